package sink

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// List calls each for every file whose key starts with prefix, in byte order of the keys.
// It skips staged parts and the objects that OpenS3 tests with. An error from each stops it
// and is returned.
func (s *S3) List(ctx context.Context, prefix string, each func(key string, size int64) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{
		Bucket: &s.bucket, Prefix: aws.String(s.object(prefix)),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.failed(ctx, "listing files", prefix, err)
		}
		for _, o := range page.Contents {
			key := strings.TrimPrefix(aws.ToString(o.Key), s.prefix)
			// Other tools create objects to mark folders.
			if isProbe(key) || strings.HasSuffix(key, "/") || key == "" {
				continue
			}
			if err := each(key, aws.ToInt64(o.Size)); err != nil {
				return err
			}
		}
	}
	return nil
}
