package lake

import (
	"context"
	"errors"
	"io"

	"fhirkiln/columnar"
)

// part checks one part, byte for byte and row for row.
func (v *verifier) part(ctx context.Context, p Part) error {
	f, err := v.lake.OpenPart(ctx, p.Key)
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
	if err := p.Check(f); err != nil {
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
		v.problem(&v.PartProblems, "%s: it has %d rows of %s, but was published with %d of %s", p.Key, rows, r.ResourceType(), p.Rows, p.Type)
	}
	return nil
}
