// Package sink stores parts and reads them back: [Dir] in a folder on local disk, [S3] in
// a folder of a bucket. It knows nothing of FHIR: a part is bytes under a key.
//
// The common path:
//
//	dir, err := sink.OpenDir("/data/lake")
//	staging, err := dir.Stage(ctx, "r4-core-1/Patient/…/p1.parquet")
//	// write the part into staging; no reader sees it yet
//	receipt, err := staging.Finish(ctx)
//	err = dir.Publish(ctx, receipt) // now it is visible, whole
//	part, err := dir.Open(ctx, receipt.Key)
//
// A part is staged, then published or aborted. Each step may run in a different process:
// the receipt holds everything needed.
//
// Processes keep their state beside the parts, in small files: Put writes a file whole,
// Swap replaces one only if nobody has changed it since Load.
package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Receipt identifies a fully staged part. Ledgers keep it as JSON, so that any process can
// publish or abort the part.
type Receipt struct {
	Key  string `json:"key"`  // where the part is or will be published, slash-separated
	Size int64  `json:"size"` // in bytes

	// S3 only.
	Upload string  `json:"upload,omitempty"` // the multipart upload's id
	Stamp  string  `json:"stamp,omitempty"`  // in the object's metadata; identifies the part
	Chunks []Chunk `json:"chunks,omitempty"` // ordered by number
}

// Chunk is a piece of a part, as stored by S3.
type Chunk struct {
	Number int32  `json:"number"` // 1 to 10,000
	Size   int64  `json:"size"`   // in bytes
	ETag   string `json:"etag"`
	CRC32  string `json:"crc32,omitempty"` // in base64; "" if the upload was created without checksums
}

// Version identifies a file's content. It is "" for a file that does not exist. Equal
// contents may have equal versions, so callers of Swap must never write the same content
// twice.
type Version string

// ErrChanged is returned by Swap if the file is no longer at the caller's version:
// another process has changed it, and nothing was written.
var ErrChanged = errors.New("another process has changed it")

// ErrLocked is returned by [Dir.Lock] while another process holds the lock.
var ErrLocked = errors.New("another process has locked it")

// Staging is a part being written. It must be used by one goroutine at a time. The ctx
// passed to Stage must stay valid until Finish returns.
type Staging interface {
	io.Writer

	// Finish makes the part durable, but not yet visible, and returns its receipt.
	// Nothing may be written after it. If it fails, abort the part.
	Finish(ctx context.Context) (Receipt, error)

	// Abort discards the part. It does nothing after Finish or when called again; a
	// finished part is aborted by its receipt.
	Abort(ctx context.Context) error
}

// Reader reads a published part or a file written by Put. All methods but Close are safe
// for concurrent use. The ctx passed to Open must stay valid until Close.
type Reader interface {
	io.ReaderAt
	io.Closer

	// Size is the file's size in bytes.
	Size() int64
}

// Error reports an operation that failed at the store.
type Error struct {
	Doing string // "creating a part"
	Where string // path or key
	Hint  string // what the user can try; not part of the error's text
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Doing, e.Where, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// check rejects keys that could escape the sink, and returns ctx's cause once ctx has ended.
func check(ctx context.Context, key string) error {
	if !fs.ValidPath(key) || key == "." {
		return fmt.Errorf("sink: %q is not a valid key", key)
	}
	return context.Cause(ctx)
}

// bare strips the path from err, since Error.Where already has it.
func bare(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}
