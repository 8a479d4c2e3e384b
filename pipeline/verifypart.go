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
)

// part checks one part, byte for byte and row for row.
func (v *verifier) part(ctx context.Context, p PartReport) error {
	f, err := v.parts.Open(ctx, p.Key)
	if errors.Is(err, fs.ErrNotExist) {
		v.problem("%s: it is not there", p.Key)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	v.Parts++
	v.Bytes += f.Size()
	if f.Size() != p.Bytes {
		v.problem("%s: it has %d bytes, and was published with %d", p.Key, f.Size(), p.Bytes)
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, f.Size())); err != nil {
		return fmt.Errorf("reading %s: %w", p.Key, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != p.SHA256 {
		v.problem("%s: its SHA-256 is %.12s…, and was %.12s… when it was published", p.Key, got, p.SHA256)
		return nil
	}
	r, err := columnar.NewReader(f, f.Size())
	if err != nil {
		v.problem("%s: %v", p.Key, err)
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
			v.problem("%s: row %d: %v", p.Key, rows+1, err)
			return nil
		}
	}
	v.Rows += rows
	if rows != p.Rows || r.ResourceType() != p.Type {
		v.problem("%s: it has %d rows of %s, and was published with %d of %s", p.Key, rows, r.ResourceType(), p.Rows, p.Type)
	}
	return nil
}
