package sink

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io/fs"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Put writes a small file atomically: a reader sees the old content or the new. Of
// concurrent Puts, the last one wins.
func (s *S3) Put(ctx context.Context, key string, content []byte) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	_, err := s.client.PutObject(ctx, s.putInput(key, content))
	return s.failed(ctx, "writing a file", key, err)
}

func (s *S3) putInput(key string, content []byte) *s3.PutObjectInput {
	in := &s3.PutObjectInput{
		Bucket:        &s.bucket,
		Key:           aws.String(s.object(key)),
		Body:          bytes.NewReader(content),
		ContentLength: aws.Int64(int64(len(content))),
		ContentType:   contentType(key),
	}
	if s.checksums {
		in.ChecksumCRC32 = aws.String(crcText(crc32.ChecksumIEEE(content)))
	}
	in.ServerSideEncryption, in.SSEKMSKeyId, in.BucketKeyEnabled = s.encryption.headers()
	return in
}

// Load reads a small file whole and returns it with its version, which is its ETag. If the
// file does not exist, the error wraps [fs.ErrNotExist].
func (s *S3) Load(ctx context.Context, key string) ([]byte, Version, error) {
	if err := check(ctx, key); err != nil {
		return nil, "", err
	}
	var content bytes.Buffer
	var v Version
	err := s.get(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: aws.String(s.object(key))}, func(out *s3.GetObjectOutput) error {
		content.Reset()
		v = Version(aws.ToString(out.ETag))
		_, err := content.ReadFrom(out.Body)
		return err
	})
	if err != nil {
		return nil, "", s.failed(ctx, "reading a file", key, err)
	}
	return content.Bytes(), v, nil
}

// Swap replaces a file's content if the file is still at version old, and returns the new
// version. An old of "" means that the file does not exist. If the version differs, the
// error wraps [ErrChanged] and nothing was written. After any other failure the file has
// the old content or the new one, and the new one may still arrive.
//
// No content may ever be written twice to a key: when an answer is lost, Swap recognizes its
// own write by the content.
func (s *S3) Swap(ctx context.Context, key string, content []byte, old Version) (Version, error) {
	if err := check(ctx, key); err != nil {
		return "", err
	}
	const doing = "changing a file"
	in := s.putInput(key, content)
	if old == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = aws.String(string(old))
	}
	out, failed := s.client.PutObject(ctx, in)
	if failed == nil {
		return Version(aws.ToString(out.ETag)), nil
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	refused := isRefused(failed) || old != "" && isMissing(failed) // S3 does not answer 412 for a missing object
	if !refused && statusOf(failed) < http.StatusInternalServerError && codeOf(failed) != "" {
		return "", s.failed(ctx, doing, key, failed) // a definite answer
	}
	// A try without an answer may have written it, even if the next try was refused.
	there, now, err := s.Load(ctx, key)
	switch {
	case err == nil && bytes.Equal(there, content):
		return now, nil
	case refused && (err == nil || errors.Is(err, fs.ErrNotExist)):
		return "", s.failed(ctx, doing, key, ErrChanged)
	case refused:
		return "", err
	}
	return "", s.failed(ctx, doing, key, failed)
}
