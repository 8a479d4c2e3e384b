package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"fhirkiln/sink"
)

// Part is a part as it was published.
type Part struct {
	Type   string `json:"type"`
	Key    string `json:"key"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`

	// FullFooter says that the part has as many row groups as readers like, so it is not merged
	// with others, however small it is.
	FullFooter bool `json:"full_footer,omitempty"`
}

// PartChangedError says that a part is not the one that was published.
type PartChangedError struct {
	Key string
	Why string
}

func (e *PartChangedError) Error() string { return e.Key + ": " + e.Why }

// OpenPart opens a live part. If it is missing, the error is a [*PartChangedError].
func (l Lake) OpenPart(ctx context.Context, key string) (sink.Reader, error) {
	f, err := l.Parts.Open(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &PartChangedError{key, "it is missing"}
	}
	return f, err
}

// Check compares a file's bytes with the part that was published. Parquet has no checksums of
// its headers and footer, so whoever rewrites rows must check. Errors are a [*PartChangedError]
// and the store's.
func (p Part) Check(f sink.Reader) error {
	if f.Size() != p.Bytes {
		return &PartChangedError{p.Key, fmt.Sprintf("it has %d bytes, but was published with %d", f.Size(), p.Bytes)}
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{io.NewSectionReader(f, 0, f.Size())}, make([]byte, 1<<20)); err != nil {
		if _, ok := errors.AsType[*sink.Error](err); ok {
			return err
		}
		return &sink.Error{Doing: "reading a part", Where: p.Key, Err: err}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != p.SHA256 {
		return &PartChangedError{p.Key, fmt.Sprintf("its SHA-256 is %.12s…, but was %.12s… when it was published", got, p.SHA256)}
	}
	return nil
}
