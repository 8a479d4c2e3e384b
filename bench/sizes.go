package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"fhirkiln/bulk/bulktest/population"
)

// sizes compares sizes of Parquet files.
func sizes(ctx context.Context, b *bench) ([]result, error) {
	inputs, err := b.inputs(ctx)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, in := range inputs {
		mine, its, err := b.sizesOf(ctx, in)
		results = append(results, atMost(againstSize, in.name+", Parquet, DuckDB with our columns", megabytes(mine), megabytes(its), float64(mine)/float64(its), 1).orFails(err))
	}
	for _, g := range []struct {
		resourceType string
		kb           float64
	}{{"Patient", 30}, {"Observation", 68}, {"ExplanationOfBenefit", 155}} {
		size, err := b.oneRow(ctx, g.resourceType)
		results = append(results, within(ofOneRow, "a file of one "+g.resourceType, fmt.Sprintf("%.1f KB", float64(size)/1e3), fmt.Sprintf("≤ %g KB", g.kb), float64(size)/1e3, g.kb).orFails(err))
	}
	return results, nil
}

// sizesOf returns the bytes of Parquet that fhirkiln and DuckDB make from an input.
func (b *bench) sizesOf(ctx context.Context, in *input) (mine, its int64, err error) {
	ours, theirs, err := b.both(ctx, in)
	if err != nil {
		return 0, 0, err
	}
	return bytesOfBoth(ours, theirs)
}

// bytesOfBoth returns the bytes of Parquet in two folders.
func bytesOfBoth(ours, theirs string) (mine, its int64, err error) {
	if mine, err = bytesIn(ours, ".parquet"); err == nil {
		its, err = bytesIn(theirs, ".parquet")
	}
	return mine, its, err
}

// partsOf returns the glob for a type's parts in a folder that fhirkiln wrote to.
func partsOf(folder, resourceType string) string {
	return filepath.Join(folder, "*", resourceType, "*", "*", "*", "*.parquet")
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// oneRow returns the size of a part with a single resource.
func (b *bench) oneRow(ctx context.Context, resourceType string) (int64, error) {
	path := filepath.Join(b.madeIn, "one-"+resourceType+".ndjson")
	err := b.make(ctx, path, func(w io.Writer) error {
		var all strings.Builder
		world := population.New(population.Options{Seed: seed})
		r, err := world.Open(resourceType, 0, 20)
		if err != nil {
			return err
		}
		defer r.Close()
		if _, err := io.Copy(&all, r); err != nil {
			return err
		}
		first, _, _ := strings.Cut(all.String(), "\n")
		_, err = fmt.Fprintln(w, first)
		return err
	})
	if err != nil {
		return 0, err
	}
	_, lake, err := b.convert(ctx, "lake", 1, path)
	if err != nil {
		return 0, err
	}
	return bytesIn(lake, ".parquet")
}

// typicalColumns are the columns that a typical query reads, by type.
var typicalColumns = map[string]string{
	"Observation":          "id, status, code, subject, effectiveDateTime",
	"ExplanationOfBenefit": "id, status, patient, billablePeriod, total",
	"Claim":                "id, status, patient, billablePeriod, total",
	"Encounter":            "id, status, class, subject, period",
}

// scans compares how long DuckDB takes to read fhirkiln's files and its own, with one thread.
func scans(ctx context.Context, b *bench) ([]result, error) {
	var results []result
	for _, t := range goalTypes {
		var ours, theirs string
		in, err := b.generated(ctx, t, b.mb)
		if err == nil {
			ours, theirs, err = b.both(ctx, in)
		}
		for _, columns := range []string{typicalColumns[t], ownColumns, "*"} {
			var mine, its time.Duration
			if err == nil {
				mine, its, err = b.reads(ctx, columns, partsOf(ours, t), filepath.Join(theirs, t+".parquet"))
			}
			what := map[string]string{ownColumns: "the columns that both have", "*": "all columns"}[columns]
			row := atMost(againstScan, t+", DuckDB reads "+cmp.Or(what, "five columns"), milliseconds(mine), milliseconds(its), mine.Seconds()/its.Seconds(), 1.1)
			if columns == ownColumns {
				row = row.beside() // the goal is for five columns and for all
			}
			results = append(results, row.orFails(err))
		}
	}
	return results, nil
}

// ownColumns stands for the columns that both fhirkiln's and DuckDB's files have.
const ownColumns = "* EXCLUDE __all"

// reads returns how long DuckDB takes to read columns of our files and of its own.
func (b *bench) reads(ctx context.Context, columns, ours, theirs string) (mine, its time.Duration, err error) {
	j := job{Threads: 1, Times: b.runs + 1, Timed: []string{hashOf(ours, columns), hashOf(theirs, columns)}}
	_, all, err := duckDB(ctx, j)
	if err != nil {
		return 0, 0, err
	}
	return b.statement(all[0][1:]), b.statement(all[1][1:]), nil // the first reads fill caches
}

// hashOf returns a query that decodes every value of the columns. fhirkiln's files have columns
// beyond FHIR's; [ownColumns] leaves out those at the top level.
func hashOf(file, columns string) string {
	from := fmt.Sprintf("read_parquet(%s, hive_partitioning = false)", text(file))
	switch columns {
	case "*":
		return fmt.Sprintf("SELECT bit_xor(hash(COLUMNS(*))) FROM %s", from)
	case ownColumns:
		return fmt.Sprintf("SELECT bit_xor(hash(COLUMNS(c -> NOT starts_with(c, '__')))) FROM %s", from)
	}
	var all []string
	for c := range strings.SplitSeq(columns, ", ") {
		all = append(all, fmt.Sprintf(`bit_xor(hash("%s"))`, c))
	}
	return fmt.Sprintf("SELECT %s FROM %s", strings.Join(all, ", "), from)
}

// statement returns the median of a statement's compared times.
func (b *bench) statement(all []took) time.Duration {
	var times []time.Duration
	for _, t := range all {
		if b.cpu {
			times = append(times, t.CPU)
		} else {
			times = append(times, t.Wall)
		}
	}
	return median(times)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1e3) }
