package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ourColumns compares with DuckDB reading fhirkiln's columns, for each input. Rows with lines in
// any order have no goal.
func ourColumns(ctx context.Context, b *bench) ([]result, error) {
	const against = "DuckDB with our columns"
	results, err := b.compare(ctx, againstOurColumns, fhirkilns, against, func(string) float64 { return 3 })
	if err != nil {
		return results, err
	}
	ordered := []func() (*input, error){func() (*input, error) { return b.generated(ctx, "Observation", b.mb) }}
	if slices.Contains(b.realTypes, "Observation") {
		ordered = append(ordered, func() (*input, error) { return b.real(ctx, "Observation") })
	}
	for _, in := range ordered {
		in, err := in()
		if err == nil {
			in, err = b.inAnyOrder(ctx, in)
		}
		if err != nil {
			return results, err
		}
		ours, theirs, ratio, err := b.speeds(ctx, in, fhirkilns)
		results = append(results, atLeast(againstOurColumns, in.name+", "+against, ours, theirs, ratio, 3).beside().orFails(err))
	}
	return results, nil
}

func inferredColumns(ctx context.Context, b *bench) ([]result, error) {
	return b.compare(ctx, againstInferred, inferred, "DuckDB with inferred columns", func(name string) float64 {
		if strings.HasPrefix(name, mixName) {
			return 2
		}
		return 1.5
	})
}

// compare converts each input with both programs on one core.
func (b *bench) compare(ctx context.Context, g goal, columns columnsOf, against string, limit func(string) float64) ([]result, error) {
	inputs, err := b.inputs(ctx)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, in := range inputs {
		ours, theirs, ratio, err := b.speeds(ctx, in, columns)
		results = append(results, atLeast(g, in.name+", "+against, ours, theirs, ratio, limit(in.name)).orFails(err))
	}
	return results, nil
}

// speeds returns the speeds of fhirkiln and DuckDB, and the ratio of ours to DuckDB's.
func (b *bench) speeds(ctx context.Context, in *input, columns columnsOf) (ours, theirs string, ratio float64, err error) {
	folder, err := b.folder("duckdb")
	if err != nil {
		return "", "", 0, err
	}
	j, err := b.copyJob(ctx, in, folder, columns)
	if err != nil {
		return "", "", 0, err
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
		return "", "", 0, err
	}
	mine, its := b.time(times[0]).Seconds(), b.time(times[1]).Seconds()
	return fmt.Sprintf("%.0f MB/s", in.megabytesPer(mine)), fmt.Sprintf("%.0f MB/s", in.megabytesPer(its)), its / mine, nil
}

// folder makes an empty folder for outputs. What it held before is removed.
func (b *bench) folder(name string) (string, error) {
	path := filepath.Join(b.scratch, name)
	if err := os.RemoveAll(path); err != nil {
		return "", err
	}
	return path, os.Mkdir(path, 0o700)
}

// both converts an input once with each program and returns the two output folders.
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
