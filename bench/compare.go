package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func ourColumns(ctx context.Context, b *bench) ([]result, error) {
	return b.compare(ctx, againstOurColumns, fhirkilns, "DuckDB with our columns", func(string) float64 { return 3 })
}

func inferredColumns(ctx context.Context, b *bench) ([]result, error) {
	return b.compare(ctx, againstInferred, inferred, "DuckDB with inferred columns", func(name string) float64 {
		if strings.HasPrefix(name, mixName) {
			return 2
		}
		return 1.5
	})
}

// compare converts each input with both on one core.
func (b *bench) compare(ctx context.Context, g goal, columns columnsOf, against string, limit func(string) float64) ([]result, error) {
	inputs, err := b.inputs(ctx)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, in := range inputs {
		folder, err := b.folder("duckdb")
		if err != nil {
			return results, err
		}
		j, err := b.copyJob(ctx, in, folder, columns)
		if err != nil {
			return results, err
		}
		times, err := b.inTurn(ctx,
			func() (usage, error) {
				u, _, err := b.convert(ctx, "lake", 1, in.paths()...)
				return u, err
			},
			func() (usage, error) {
				u, _, err := duckDB(ctx, j)
				return u, err
			})
		if err != nil {
			return results, fmt.Errorf("%s: %w", in.name, err)
		}
		ours, theirs := b.time(times[0]).Seconds(), b.time(times[1]).Seconds()
		results = append(results, atLeast(g, in.name+", "+against,
			fmt.Sprintf("%.0f MB/s", in.megabytesPer(ours)), fmt.Sprintf("%.0f MB/s", in.megabytesPer(theirs)), theirs/ours, limit(in.name)))
	}
	return results, nil
}

// folder is an empty one for outputs.
func (b *bench) folder(name string) (string, error) {
	path := filepath.Join(b.scratch, name)
	if err := os.RemoveAll(path); err != nil {
		return "", err
	}
	return path, os.Mkdir(path, 0o700)
}

// both converts an input with both, once, and returns the two folders.
func (b *bench) both(ctx context.Context, in *input) (ours, theirs string, err error) {
	if theirs, err = b.folder("duckdb"); err != nil {
		return "", "", err
	}
	j, err := b.copyJob(ctx, in, theirs, fhirkilns)
	if err != nil {
		return "", "", err
	}
	if _, _, err := duckDB(ctx, j); err != nil {
		return "", "", err
	}
	_, ours, err = b.convert(ctx, "lake", 1, in.paths()...)
	return ours, theirs, err
}
