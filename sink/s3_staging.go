package sink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// stampKey is the metadata key that identifies the staging an object came from. Unlike the
// ETag, which under KMS and in some stores is not a hash of the content, it tells for sure
// whose object is at a key.
const stampKey = "fhirkiln-part"

// s3Staging is a part on its way into a bucket.
type s3Staging struct {
	s3      *S3
	receipt Receipt
	ctx     context.Context // of the uploads of chunks
	cancel  context.CancelCauseFunc
	closed  bool
	next    *chunkBuffer // not yet full
	number  int32        // of next

	slots chan struct{} // like S3.uploading, but for this part alone
	sent  sync.WaitGroup
	mu    sync.Mutex // guards the rest
	done  []Chunk    // done[i] is chunk i+1
	err   error      // the first error of any chunk
}

var _ Staging = (*s3Staging)(nil)

// Stage begins a part to be published at key, by creating a multipart upload. No two parts
// may share a key: the one published later would replace the other. ctx must stay valid
// until the part is finished; when it ends, Write fails.
func (s *S3) Stage(ctx context.Context, key string) (Staging, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	r := Receipt{Key: key, Stamp: rand.Text()}
	in := &s3.CreateMultipartUploadInput{
		Bucket:      &s.bucket,
		Key:         aws.String(s.object(key)),
		Metadata:    map[string]string{stampKey: r.Stamp},
		ContentType: contentType(key),
	}
	if s.checksums {
		// Each chunk then has a checksum, and completing the upload requires them all.
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
	}
	in.ServerSideEncryption, in.SSEKMSKeyId, in.BucketKeyEnabled = s.encryption.headers()
	out, err := s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return nil, s.failed(ctx, "creating a part", key, err)
	}
	r.Upload = aws.ToString(out.UploadId)
	if tries, ok := retry.GetAttemptResults(out.ResultMetadata); ok && len(tries.Results) > 1 {
		// A try whose answer was lost may have created an upload whose id nobody knows.
		if err := s.abortUploads(ctx, key, r.Upload); err != nil {
			return nil, s.failed(ctx, "creating a part", key, err)
		}
	}
	uploads, cancel := context.WithCancelCause(ctx)
	return &s3Staging{
		s3: s, receipt: r, ctx: uploads, cancel: cancel,
		next: newChunkBuffer(s.blocks), number: 1,
		slots: make(chan struct{}, s.concurrency),
	}, nil
}

func (e encryption) headers() (mode types.ServerSideEncryption, key *string, bucketKey *bool) {
	if e.key != "" {
		key = &e.key
	}
	if e.bucketKey {
		bucketKey = &e.bucketKey
	}
	return types.ServerSideEncryption(e.mode), key, bucketKey
}

func contentType(key string) *string {
	switch path.Ext(key) {
	case ".parquet":
		return aws.String("application/vnd.apache.parquet")
	case ".json":
		return aws.String("application/json")
	}
	return nil
}

// Write implements [io.Writer]. It waits while the maximum number of chunks is being
// uploaded. Once a chunk has failed, every later Write returns its error.
func (s *s3Staging) Write(p []byte) (n int, err error) {
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	for len(p) > 0 {
		if err := s.failure(); err != nil {
			return n, err
		}
		m := s.next.fill(p, s.s3.chunkBytes)
		n += m
		p = p[m:]
		if s.next.size == s.s3.chunkBytes {
			if err := s.send(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (s *s3Staging) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *s3Staging) fail(err error) error {
	err = s.s3.failed(s.ctx, "writing a part", s.receipt.Key, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		s.cancel(err)
	}
	return s.err
}

// send waits for room, then uploads the next chunk in the background.
func (s *s3Staging) send() error {
	if s.number > maxChunks {
		return s.fail(fmt.Errorf("the part has more than %d chunks of %d bytes", maxChunks, s.s3.chunkBytes))
	}
	for _, room := range []chan struct{}{s.slots, s.s3.uploading} {
		select {
		case room <- struct{}{}:
		case <-s.ctx.Done():
			if room == s.s3.uploading {
				<-s.slots
			}
			return s.fail(context.Cause(s.ctx))
		}
	}
	chunk, number := s.next, s.number
	s.next, s.number = newChunkBuffer(s.s3.blocks), s.number+1
	s.receipt.Size += chunk.size
	s.mu.Lock()
	s.done = append(s.done, Chunk{Number: number, Size: chunk.size})
	s.mu.Unlock()
	s.sent.Go(func() {
		etag, crc, err := s.upload(number, chunk)
		chunk.free()
		<-s.s3.uploading
		<-s.slots
		if err != nil {
			_ = s.fail(err) // the next Write returns it
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done[number-1].ETag, s.done[number-1].CRC32 = etag, crc
	})
	return nil
}

// upload sends a chunk. Sending it again under the same number replaces it.
func (s *s3Staging) upload(number int32, chunk *chunkBuffer) (etag, crc string, err error) {
	in := &s3.UploadPartInput{
		Bucket:        &s.s3.bucket,
		Key:           aws.String(s.s3.object(s.receipt.Key)),
		UploadId:      &s.receipt.Upload,
		PartNumber:    &number,
		ContentLength: &chunk.size,
		Body:          io.NewSectionReader(chunk, 0, chunk.size), // the SDK seeks in it to send it again
	}
	if s.s3.checksums {
		// As a header: the SDK would send its own after the body, in a framing that many
		// stores do not support.
		crc = crcText(chunk.crc.Sum32())
		in.ChecksumCRC32 = &crc
	}
	out, err := s.s3.client.UploadPart(s.ctx, in)
	if err != nil {
		return "", "", err
	}
	if out.ETag == nil {
		return "", "", errors.New("the store returned no ETag for the chunk")
	}
	return *out.ETag, crc, nil
}

// Finish implements [Staging]. S3 then has all of the part's bytes, in a multipart upload.
func (s *s3Staging) Finish(ctx context.Context) (Receipt, error) {
	if s.closed {
		return Receipt{}, io.ErrClosedPipe
	}
	if err := context.Cause(ctx); err != nil {
		return Receipt{}, err
	}
	stop := context.AfterFunc(ctx, func() { s.cancel(context.Cause(ctx)) })
	defer stop()
	// An empty part is one empty chunk: an upload needs at least one.
	if s.next.size > 0 || s.number == 1 {
		if err := s.send(); err != nil {
			return Receipt{}, err
		}
	}
	s.sent.Wait()
	if err := s.failure(); err != nil {
		return Receipt{}, err
	}
	s.close()
	s.receipt.Chunks = s.done
	return s.receipt, nil
}

// Abort implements [Staging].
func (s *s3Staging) Abort(ctx context.Context) error {
	if s.closed {
		return nil
	}
	s.cancel(io.ErrClosedPipe)
	s.sent.Wait() // a chunk that arrives after the abort would stay and cost money
	s.close()
	return s.s3.failed(ctx, "removing a part", s.receipt.Key, s.s3.abortUpload(ctx, s.receipt.Key, s.receipt.Upload))
}

func (s *s3Staging) close() {
	s.closed = true
	s.next.free()
	s.cancel(io.ErrClosedPipe)
}
