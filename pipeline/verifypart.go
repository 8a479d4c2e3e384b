package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"fhirkiln/columnar"
	"fhirkiln/sink"
)

// PartChangedError says that a part is not the one that was published.
type PartChangedError struct {
	Key string
	Why string
}

func (e *PartChangedError) Error() string { return e.Key + ": " + e.Why }

// OpenLive opens a live part. One that is not there is a [*PartChangedError].
func OpenLive(ctx context.Context, parts Store, key string) (sink.Reader, error) {
	f, err := parts.Open(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &PartChangedError{key, "it is not there"}
	}
	return f, err
}

// CheckPart compares a part's bytes with what was published. Parquet has no checksums of its
// headers and footer: who writes rows anew has to look. Errors are a [*PartChangedError] and
// the store's.
func CheckPart(f sink.Reader, p PartReport) error {
	if f.Size() != p.Bytes {
		return &PartChangedError{p.Key, fmt.Sprintf("it has %d bytes, and was published with %d", f.Size(), p.Bytes)}
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{io.NewSectionReader(f, 0, f.Size())}, make([]byte, 1<<20)); err != nil {
		if _, ok := errors.AsType[*sink.Error](err); ok {
			return err
		}
		return &sink.Error{Doing: "reading a part", Where: p.Key, Err: err}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != p.SHA256 {
		return &PartChangedError{p.Key, fmt.Sprintf("its SHA-256 is %.12s…, and was %.12s… when it was published", got, p.SHA256)}
	}
	return nil
}

// part checks one part, byte for byte and row for row.
func (v *verifier) part(ctx context.Context, p PartReport) error {
	f, err := OpenLive(ctx, v.parts, p.Key)
	if gone, ok := errors.AsType[*PartChangedError](err); ok {
		v.problem(&v.PartProblems, "%v", gone)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	v.Parts++
	v.Bytes += f.Size()
	if err := CheckPart(f, p); err != nil {
		if changed, ok := errors.AsType[*PartChangedError](err); ok {
			v.problem(&v.PartProblems, "%v", changed)
			return nil
		}
		return err
	}
	r, err := columnar.NewReader(f, f.Size())
	if err != nil {
		v.problem(&v.PartProblems, "%s: %v", p.Key, err)
		return nil
	}
	defer r.Close()
	var rows int64
	for ; ; rows++ {
		if rows%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			v.problem(&v.PartProblems, "%s: row %d: %v", p.Key, rows+1, err)
			return nil
		}
	}
	v.Rows += rows
	if rows != p.Rows || r.ResourceType() != p.Type {
		v.problem(&v.PartProblems, "%s: it has %d rows of %s, and was published with %d of %s", p.Key, rows, r.ResourceType(), p.Rows, p.Type)
	}
	return nil
}
