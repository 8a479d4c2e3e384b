package sink

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

var (
	errNotStaged   = fmt.Errorf("the part is not staged: %w", fs.ErrNotExist)
	errAnotherFile = errors.New("a different file is already there")
)

// Publish makes a staged part visible under its key, by completing its upload.
// Publishing it again does nothing.
//
// Whatever the store answers, the object that exists afterwards decides: stores differ in
// their answers for an already completed upload, and an answer may be lost.
func (s *S3) Publish(ctx context.Context, r Receipt) error {
	if err := check(ctx, r.Key); err != nil {
		return err
	}
	return s.failed(ctx, "publishing a part", r.Key, s.publish(ctx, r))
}

func (s *S3) publish(ctx context.Context, r Receipt) error {
	if r.Upload == "" {
		return errNotStaged
	}
	chunks := make([]types.CompletedPart, len(r.Chunks))
	for i, c := range r.Chunks {
		chunks[i] = types.CompletedPart{PartNumber: &c.Number, ETag: &c.ETag}
		if c.CRC32 != "" {
			chunks[i].ChecksumCRC32 = &c.CRC32
		}
	}
	_, failed := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket:          &s.bucket,
		Key:             aws.String(s.object(r.Key)),
		UploadId:        &r.Upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: chunks},
	})
	// If the upload is gone, another process may be completing it right now.
	const maxPause = 400 * time.Millisecond
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		there, err := s.holds(ctx, r)
		switch {
		case err != nil:
			return err
		case there == thePart:
			return nil
		case failed != nil && !isGone(failed):
			return failed
		case pause <= maxPause:
			if err := sleep(ctx, pause); err != nil {
				return err
			}
		case there == anotherFile:
			return errAnotherFile
		default:
			return errNotStaged
		}
	}
}

func sleep(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}

// held says what is published at a key.
type held int

const (
	nothing held = iota
	anotherFile
	thePart
)

func (s *S3) holds(ctx context.Context, r Receipt) (held, error) {
	head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: aws.String(s.object(r.Key))})
	switch {
	case err != nil && isMissing(err):
		return nothing, nil
	case err != nil:
		return nothing, err
	case r.Upload == "" || aws.ToInt64(head.ContentLength) != r.Size:
		return anotherFile, nil
	}
	for key, stamp := range head.Metadata {
		if strings.EqualFold(key, stampKey) && stamp == r.Stamp {
			return thePart, nil
		}
		if strings.EqualFold(key, stampKey) {
			return anotherFile, nil
		}
	}
	// The store, or a proxy in front of it, loses metadata.
	if strings.Trim(aws.ToString(head.ETag), `"`) == r.etag() {
		return thePart, nil
	}
	return anotherFile, nil
}

// etag returns the ETag that S3 gives a multipart object, except under KMS: the MD5 of its
// chunks' MD5s, a hyphen and their number. It is "" if the chunks' ETags are not MD5s.
func (r Receipt) etag() string {
	sum := md5.New()
	for _, c := range r.Chunks {
		b, err := hex.DecodeString(strings.Trim(c.ETag, `"`))
		if err != nil || len(b) != md5.Size {
			return ""
		}
		sum.Write(b)
	}
	return fmt.Sprintf("%x-%d", sum.Sum(nil), len(r.Chunks))
}

// Confirm checks that every chunk of a part is still staged, or that the part is already
// published. If neither, the error wraps [fs.ErrNotExist].
func (s *S3) Confirm(ctx context.Context, r Receipt) error {
	if err := check(ctx, r.Key); err != nil {
		return err
	}
	const doing = "confirming a part"
	staged, err := s.staged(ctx, r)
	if err != nil {
		return s.failed(ctx, doing, r.Key, err)
	}
	if staged {
		return nil
	}
	there, err := s.holds(ctx, r)
	if err == nil && there != thePart {
		err = fmt.Errorf("the part is neither staged nor published: %w", fs.ErrNotExist)
	}
	return s.failed(ctx, doing, r.Key, err)
}

// staged reports whether the store has all the receipt's chunks in its upload.
func (s *S3) staged(ctx context.Context, r Receipt) (bool, error) {
	if r.Upload == "" {
		return false, nil
	}
	wanted := map[int32]Chunk{}
	for _, c := range r.Chunks {
		wanted[c.Number] = c
	}
	pages := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{
		Bucket: &s.bucket, Key: aws.String(s.object(r.Key)), UploadId: &r.Upload,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		switch {
		case err != nil && isGone(err):
			return false, nil
		case err != nil:
			return false, err
		}
		for _, p := range page.Parts {
			c, ok := wanted[aws.ToInt32(p.PartNumber)]
			if ok && c.Size == aws.ToInt64(p.Size) && sameETag(c.ETag, aws.ToString(p.ETag)) {
				delete(wanted, c.Number)
			}
		}
	}
	return len(wanted) == 0, nil
}

// sameETag compares ETags without quotes, which some stores put in some answers only.
func sameETag(a, b string) bool { return strings.Trim(a, `"`) == strings.Trim(b, `"`) }
