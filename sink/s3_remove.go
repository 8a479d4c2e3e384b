package sink

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const removing = "removing a part"

// Abort discards a staged part, and removes it if it was published. A different file at its
// key stays. Aborting a part again does nothing.
func (s *S3) Abort(ctx context.Context, r Receipt) error {
	if err := check(ctx, r.Key); err != nil {
		return err
	}
	if r.Upload == "" {
		return nil // never staged here
	}
	// Abort the upload first, so that nobody completes it after the check.
	if err := s.abortUpload(ctx, r.Key, r.Upload); err != nil {
		return s.failed(ctx, removing, r.Key, err)
	}
	there, err := s.holds(ctx, r)
	if err == nil && there == thePart {
		err = s.remove(ctx, r.Key)
	}
	return s.failed(ctx, removing, r.Key, err)
}

// Discard discards whatever any process has staged under key, with or without a receipt,
// and removes what is published there. It is for keys that a dead run recorded before it
// staged anything. Discarding a key again does nothing. Nobody may still be writing a part
// for that key.
func (s *S3) Discard(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	err := s.abortUploads(ctx, key, "")
	if err == nil {
		err = s.remove(ctx, key)
	}
	return s.failed(ctx, removing, key, err)
}

// Remove removes published parts and files written by Put, in order. A missing file is not
// an error.
func (s *S3) Remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := check(ctx, key); err != nil {
			return err
		}
		if err := s.remove(ctx, key); err != nil {
			return s.failed(ctx, "removing a file", key, err)
		}
	}
	return nil
}

func (s *S3) remove(ctx context.Context, key string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: aws.String(s.object(key))})
	if err != nil && isMissing(err) { // S3 itself never answers this
		return nil
	}
	return err
}

// abortUploads aborts every upload of a key except keep. The store can only list uploads by
// prefix, so those of longer keys are listed as well, and left alone. MinIO lists only the
// uploads of exactly that key.
func (s *S3) abortUploads(ctx context.Context, key, keep string) error {
	object := s.object(key)
	var found []string
	err := s.uploads(ctx, object, func(u types.MultipartUpload) error {
		if id := aws.ToString(u.UploadId); aws.ToString(u.Key) == object && id != keep {
			found = append(found, id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, upload := range found {
		if err := s.abortUpload(ctx, key, upload); err != nil {
			return err
		}
	}
	return nil
}

// uploads calls each for the uploads of objects whose names start with prefix.
func (s *S3) uploads(ctx context.Context, prefix string, each func(types.MultipartUpload) error) error {
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if err := each(u); err != nil {
				return err
			}
		}
	}
	return nil
}

// Staged calls each for every part staged under a key that starts with prefix, finished or
// not, in any order, with the time when its staging began; twice for a key with two uploads.
// It is for finding what dead runs left behind that is in no ledger. An error from each
// stops it and is returned.
//
// MinIO lists uploads only if prefix is their whole key; it aborts old ones itself.
func (s *S3) Staged(ctx context.Context, prefix string, each func(key string, at time.Time) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	var all []types.MultipartUpload // collected first, since each may abort the next page's marker
	err := s.uploads(ctx, s.object(prefix), func(u types.MultipartUpload) error {
		all = append(all, u)
		return nil
	})
	if err != nil {
		return s.failed(ctx, "listing staged parts", prefix, err)
	}
	for _, u := range all {
		key := strings.TrimPrefix(aws.ToString(u.Key), s.prefix)
		if isProbe(key) || !fs.ValidPath(key) {
			continue
		}
		if err := each(key, aws.ToTime(u.Initiated)); err != nil {
			return err
		}
	}
	return nil
}

// abortUpload aborts an upload. An upload that is already aborted or completed is not an
// error. A chunk still on its way may bring the upload back, so it is aborted until it is
// gone.
func (s *S3) abortUpload(ctx context.Context, key, upload string) error {
	object := s.object(key)
	pause := 50 * time.Millisecond
	for range 6 {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
			Bucket: &s.bucket, Key: &object, UploadId: &upload,
		})
		if err == nil {
			_, err = s.client.ListParts(ctx, &s3.ListPartsInput{
				Bucket: &s.bucket, Key: &object, UploadId: &upload, MaxParts: aws.Int32(1),
			})
		}
		switch {
		case err != nil && isGone(err):
			return nil
		case err != nil:
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
	return errors.New("the upload still exists after it was aborted")
}

// isGone reports whether an upload no longer exists. Stores differ in how they answer this.
func isGone(err error) bool {
	return codeOf(err) == "NoSuchUpload" || statusOf(err) == http.StatusNotFound && codeOf(err) != "NoSuchBucket"
}
