package sink

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A Parquet file is read at its end, then at as many places in turn as it has columns with
// values, a little at each. So fetched bytes are cached, in extents of these blocks.
const (
	readBlock   = 128 << 10
	firstExtent = 4       // blocks: 512 KiB
	longExtent  = 16      // blocks: 2 MiB; consecutive extents grow up to this
	direct      = 4 << 20 // reads of at least this size bypass the cache
	keptBytes   = 32 << 20
)

// s3Reader is an object of a bucket, as it was when it was opened.
type s3Reader struct {
	s3   *S3
	ctx  context.Context
	key  string
	etag *string
	size int64

	mu      sync.Mutex
	extents map[int64]*extent // by the number of each of their blocks
	used    *list.List        // of *extent, most recently used first
	kept    int64             // bytes
}

// extent is a run of blocks, fetched or being fetched.
type extent struct {
	first, blocks int64
	bytes         []byte
	err           error
	done          chan struct{} // closed when bytes or err is set
	use           *list.Element
}

var _ Reader = (*s3Reader)(nil)

// Open opens what was published or put at key. If there is no such file, the error wraps
// [fs.ErrNotExist]. The reader caches at most 32 MiB. If the file is replaced while it is
// being read, reads fail with [ErrChanged].
func (s *S3) Open(ctx context.Context, key string) (Reader, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: aws.String(s.object(key))})
	if err != nil {
		return nil, s.failed(ctx, "opening a file", key, err)
	}
	return &s3Reader{
		s3: s, ctx: ctx, key: key, etag: head.ETag, size: aws.ToInt64(head.ContentLength),
		extents: map[int64]*extent{}, used: list.New(),
	}, nil
}

// Size implements [Reader].
func (r *s3Reader) Size() int64 { return r.size }

// Close implements [Reader].
func (r *s3Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.extents)
	r.used.Init()
	r.kept = 0
	return nil
}

// ReadAt implements [io.ReaderAt]. It reconnects when a connection breaks.
func (r *s3Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("sink: reading at %d", off)
	}
	if off >= r.size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	var end error
	if rest := r.size - off; int64(len(p)) > rest {
		p, end = p[:rest], io.EOF
	}
	if len(p) >= direct {
		if err := r.fetch(p, off); err != nil {
			return 0, err
		}
		return len(p), end
	}
	for n < len(p) {
		at := off + int64(n)
		b, err := r.block(at / readBlock)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b[at%readBlock:])
	}
	return n, end
}

// block returns the bytes from the start of a block to the end of its extent.
func (r *s3Reader) block(number int64) ([]byte, error) {
	r.mu.Lock()
	it, ok := r.extents[number]
	if ok {
		r.used.MoveToFront(it.use)
	} else {
		it = r.begin(number)
	}
	r.mu.Unlock()
	if !ok {
		it.err = r.fetch(it.bytes, it.first*readBlock)
		if it.err != nil {
			r.mu.Lock()
			r.drop(it) // so that the next read tries again
			r.mu.Unlock()
		}
		close(it.done)
	}
	<-it.done
	if it.err != nil {
		return nil, it.err
	}
	return it.bytes[(number-it.first)*readBlock:], nil
}

// begin adds the extent that starts with a block, and drops old ones to make room. r.mu is
// held.
func (r *s3Reader) begin(number int64) *extent {
	length := int64(firstExtent)
	if before, ok := r.extents[number-1]; ok {
		length = min(2*before.blocks, longExtent)
	}
	last := (r.size - 1) / readBlock
	it := &extent{first: number, done: make(chan struct{})}
	for n := number; n <= last && it.blocks < length && r.extents[n] == nil; n++ {
		r.extents[n] = it
		it.blocks++
	}
	it.bytes = make([]byte, min(it.blocks*readBlock, r.size-number*readBlock))
	it.use = r.used.PushFront(it)
	r.kept += int64(len(it.bytes))
	for r.kept > keptBytes {
		r.drop(r.used.Back().Value.(*extent))
	}
	return it
}

// drop removes an extent from the cache; whoever waits for it still gets it. r.mu is held.
func (r *s3Reader) drop(it *extent) {
	if r.extents[it.first] != it {
		return
	}
	for n := it.first; n < it.first+it.blocks; n++ {
		delete(r.extents, n)
	}
	r.used.Remove(it.use)
	r.kept -= int64(len(it.bytes))
}

func (r *s3Reader) fetch(p []byte, off int64) error {
	err := r.s3.get(r.ctx, &s3.GetObjectInput{
		Bucket:  &r.s3.bucket,
		Key:     aws.String(r.s3.object(r.key)),
		IfMatch: r.etag,
		Range:   aws.String(fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)),
	}, func(out *s3.GetObjectOutput) error {
		if got := aws.ToInt64(out.ContentLength); got != int64(len(p)) {
			return fmt.Errorf("the store sent %d bytes instead of %d", got, len(p))
		}
		_, err := io.ReadFull(out.Body, p)
		return err
	})
	if isRefused(err) {
		err = ErrChanged
	}
	return r.s3.failed(r.ctx, "reading a file", r.key, err)
}

// get requests an object and passes the response to read. It retries if the body breaks
// off, which the SDK leaves to its callers.
func (s *S3) get(ctx context.Context, in *s3.GetObjectInput, read func(*s3.GetObjectOutput) error) error {
	if s.checksums && in.Range == nil {
		in.ChecksumMode = "ENABLED"
	}
	pause := min(time.Second, s.maxBackoff)
	for try := 1; ; try++ {
		out, err := s.client.GetObject(ctx, in)
		if err != nil {
			return err
		}
		err = read(out)
		out.Body.Close()
		if err == nil || try >= s.attempts || ctx.Err() != nil {
			return err
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the response was cut off")
		}
		s.log.Debug("reading a file again", "object", aws.ToString(in.Key), "error", briefly(err))
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, s.maxBackoff)
	}
}
