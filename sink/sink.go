// Package sink holds the places that parts go to and are read back from: [Dir], a
// folder on local disk, and [S3], a bucket's. It knows nothing of FHIR: a part is bytes
// under a key.
//
// The common path:
//
//	dir, err := sink.OpenDir("/data/lake")
//	staging, err := dir.Stage(ctx, "r4-core-1/Patient/…/p1.parquet")
//	// write the part into staging; nobody sees it
//	receipt, err := staging.Finish(ctx)
//	err = dir.Publish(ctx, receipt) // now it is there, whole
//	part, err := dir.Open(ctx, receipt.Key)
//
// A part is staged, then published or aborted. Each step may be done by another
// process than the one before: the receipt says all that is needed.
//
// What a process knows of its parts it keeps beside them, in small files: Put writes
// one whole, Swap only if nobody has changed it since Load.
package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Receipt identifies a part that was staged whole. Its JSON is kept in ledgers: with it
// any process can publish or abort the part.
type Receipt struct {
	Key  string `json:"key"`  // where the part is or will be published, slash-separated
	Size int64  `json:"size"` // in bytes

	// Of S3 alone.
	Upload string  `json:"upload,omitempty"` // the multipart upload's id
	Stamp  string  `json:"stamp,omitempty"`  // the object's metadata says it: the part is known by it
	Chunks []Chunk `json:"chunks,omitempty"` // in the order of their numbers
}

// Chunk is a piece of a part as S3 has it.
type Chunk struct {
	Number int32  `json:"number"` // 1 to 10,000
	Size   int64  `json:"size"`   // in bytes
	ETag   string `json:"etag"`
	CRC32  string `json:"crc32,omitempty"` // in base64; "" if the upload was created without checksums
}

// Version tells two contents of a file apart. "" is that of a file that is not there.
// Two files of equal content may have equal versions, so whoever compares and swaps
// must never write a content twice.
type Version string

// ErrChanged is what Swap fails with when the file is not at the version that the
// caller knows: another process has changed it, and nothing was written.
var ErrChanged = errors.New("another process has changed it")

// ErrLocked is what [Dir.Lock] fails with while another process has the lock.
var ErrLocked = errors.New("another process has locked it")

// Staging is a part that is being written. It belongs to one goroutine. The ctx that it
// was begun with must last until it is finished.
type Staging interface {
	io.Writer

	// Finish makes the part durable, still unseen, and returns its receipt. Nothing
	// may be written after it. If it fails, abort the part.
	Finish(ctx context.Context) (Receipt, error)

	// Abort throws the part away. After Finish, or called again, it does nothing; a
	// finished part is aborted by its receipt.
	Abort(ctx context.Context) error
}

// Reader reads a file that was published or put. Safe for concurrent use, but for
// Close. The ctx that it was opened with must last as long.
type Reader interface {
	io.ReaderAt
	io.Closer

	// Size is the file's size in bytes.
	Size() int64
}

// Error is a store that did not do what it was asked.
type Error struct {
	Doing string // "creating a part"
	Where string // path or key
	Hint  string // what the user may try; not part of the error's text
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("%s in %s: %v", e.Doing, e.Where, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// check rejects keys that could escape the sink, and returns ctx's cause once ctx has ended.
func check(ctx context.Context, key string) error {
	if !fs.ValidPath(key) || key == "." {
		return fmt.Errorf("sink: %q is not a key", key)
	}
	return context.Cause(ctx)
}

// bare strips what repeats the path that Error.Where holds already.
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
