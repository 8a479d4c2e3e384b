package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

// same compares fhirkiln's files with DuckDB's copies of them. DuckDB reads less from NDJSON than
// fhirkiln does, so files it makes from NDJSON have fewer columns and values. The copies have the
// same ones and differ only in how they are written.
func same(ctx context.Context, b *bench) ([]result, error) {
	inputs, err := b.inputs(ctx)
	if err != nil {
		return nil, err
	}
	var results []result
	add := func(what, ours, theirs string, ratio float64, err error) {
		results = append(results, result{table: "same", what: what, ours: ours, theirs: theirs, ratio: ratio}.orFails(err))
	}
	for _, in := range inputs {
		ours, theirs, err := b.copied(ctx, in)
		var mine, its int64
		if err == nil {
			mine, its, err = bytesOfBoth(ours, theirs)
		}
		add(in.name+", Parquet", megabytes(mine), megabytes(its), float64(mine)/float64(its), err)
		if err != nil || !slices.Contains(goalTypes, in.name) {
			continue
		}
		for _, what := range []struct{ name, columns string }{{"five columns", typicalColumns[in.name]}, {"all columns", "*"}} {
			mine, its, err := b.reads(ctx, what.columns, partsOf(ours, in.name), filepath.Join(theirs, in.name+".parquet"))
			add(in.name+", DuckDB reads "+what.name, milliseconds(mine), milliseconds(its), mine.Seconds()/its.Seconds(), err)
		}
	}
	return results, nil
}

// copied converts an input, has DuckDB copy the result, and returns the two folders.
func (b *bench) copied(ctx context.Context, in *input) (ours, theirs string, err error) {
	if _, ours, err = b.convert(ctx, "lake", 1, in.paths()...); err != nil {
		return "", "", err
	}
	if theirs, err = b.folder("duckdb"); err != nil {
		return "", "", err
	}
	j := job{Threads: 1, Times: 1}
	for _, f := range in.files {
		j.Timed = append(j.Timed, fmt.Sprintf("COPY (FROM read_parquet(%s, hive_partitioning = false)) TO %s (FORMAT parquet, COMPRESSION zstd)",
			text(partsOf(ours, f.resourceType)), text(filepath.Join(theirs, f.resourceType+".parquet"))))
	}
	_, _, err = duckDB(ctx, j)
	return ours, theirs, err
}
