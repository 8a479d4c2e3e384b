package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"fhirkiln/columnar"
	"fhirkiln/sink"
)

// Store is a sink as [Verify] reads it; [*sink.Dir] is one. See there.
type Store interface {
	List(ctx context.Context, prefix string, each func(key string, size int64) error) error
	Open(ctx context.Context, key string) (sink.Reader, error)
}

// Verification is what [Verify] found.
type Verification struct {
	Runs      int      `json:"runs"`
	Parts     int      `json:"parts"`
	Rows      int64    `json:"rows"` // decoded, every value of them
	Bytes     int64    `json:"bytes"`
	Problems  []string `json:"problems"`  // what does not agree with a run's report
	Unclaimed []string `json:"unclaimed"` // parts that no run's report names
}

// Verify reads all that runs have published and holds it against their reports: every
// part is there, has the size, the SHA-256, the schema and the rows that it was
// published with, and each of its rows turns back into a resource; and the numbers of
// each report agree with each other. each, if not nil, is called before each part.
//
// An error is one of reading; what was found wrong is in the Verification.
func Verify(ctx context.Context, s Store, each func(key string)) (*Verification, error) {
	v := &Verification{Problems: []string{}, Unclaimed: []string{}}
	var reports []string
	unclaimed := map[string]bool{}
	err := s.List(ctx, "", func(key string, _ int64) error {
		switch {
		case strings.HasPrefix(key, "_fhirkiln/runs/") && path.Base(key) == "report.json":
			reports = append(reports, key)
		case strings.HasSuffix(key, ".parquet"):
			unclaimed[key] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, key := range reports {
		r, err := readReport(ctx, s, key)
		if err != nil {
			return nil, err
		}
		v.Runs++
		v.report(r)
		for _, p := range r.Parts {
			delete(unclaimed, p.Key)
			if each != nil {
				each(p.Key)
			}
			if err := v.part(ctx, s, p); err != nil {
				return nil, err
			}
		}
	}
	err = s.List(ctx, "", func(key string, _ int64) error {
		if unclaimed[key] {
			v.Unclaimed = append(v.Unclaimed, key)
		}
		return nil
	})
	return v, err
}

func readReport(ctx context.Context, s Store, key string) (*Report, error) {
	f, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r Report
	if err := json.NewDecoder(io.NewSectionReader(f, 0, f.Size())).Decode(&r); err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	return &r, nil
}

func (v *Verification) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// report checks that a report's numbers agree: what was read is in the parts or in
// quarantine, and is what the manifest said.
func (v *Verification) report(r *Report) {
	var read, quarantined, rows int64
	for _, f := range r.Files {
		read += f.Resources
		quarantined += f.Quarantined
		if f.Count != nil && *f.Count != f.Resources+f.Quarantined {
			v.problem("run %s: a file of %s held %d resources, the manifest said %d", r.Run, f.Type, f.Resources+f.Quarantined, *f.Count)
		}
	}
	for _, p := range r.Parts {
		rows += p.Rows
	}
	if read != r.Resources || quarantined != r.Quarantined || rows != r.Resources {
		v.problem("run %s: the report says %d resources and %d in quarantine, its files %d and %d, its parts %d rows",
			r.Run, r.Resources, r.Quarantined, read, quarantined, rows)
	}
}

// part checks one part, byte for byte and row for row.
func (v *Verification) part(ctx context.Context, s Store, p PartReport) error {
	f, err := s.Open(ctx, p.Key)
	if err != nil {
		v.problem("%s: %v", p.Key, err)
		return nil
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
