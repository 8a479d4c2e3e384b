package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// codecs measures what Parquet options cost: size, time to write, and DuckDB's time to read
// all columns. There are no goals. Ratios are of the size to the default's.
func codecs(ctx context.Context, b *bench) ([]result, error) {
	var results []result
	for _, t := range goalTypes[:2] {
		in, err := b.generated(ctx, t, b.mb)
		if err != nil {
			return results, err
		}
		usual := int64(0)
		for _, flags := range []string{"--compression zstd", "--compression zstd --compression-level 3", "--compression zstd --compression-level 9",
			"--compression zstd --compression-level 19", "--compression snappy", "--compression gzip", "--compression none",
			"--bloom-filter", "--identifying-statistics", "--row-group-mib 64", "--row-group-mib 512"} {
			var lake string
			all, err := b.inTurn(ctx, func() (u usage, err error) {
				u, lake, err = b.convert(ctx, "lake", 1, append(strings.Fields(flags), in.paths()...)...)
				return u, err
			})
			if err != nil {
				return results, fmt.Errorf("%s: %w", flags, err)
			}
			size, err := bytesIn(lake, ".parquet")
			if err != nil {
				return results, err
			}
			if usual == 0 {
				usual = size
			}
			j := job{Threads: 1, Times: b.runs + 1, Timed: []string{hashOf(filepath.Join(lake, "*", t, "*", "*", "*", "*.parquet"), "*")}}
			_, read, err := duckDB(ctx, j)
			if err != nil {
				return results, err
			}
			peak := int64(0)
			for _, u := range all[0] {
				peak = max(peak, u.peak)
			}
			results = append(results, result{table: "codecs", what: t + ", `" + flags + "`",
				ours: fmt.Sprintf("%s, written in %s with %d MiB, read in %s", megabytes(size), b.time(all[0]).Round(10*time.Millisecond), peak>>20,
					milliseconds(b.statement(read[0][1:]))),
				ratio: float64(size) / float64(usual)})
		}
	}
	return results, nil
}
