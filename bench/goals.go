package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// goal is a performance goal. Several results may count toward one goal.
type goal int

// The goals, in the order in which they are printed. 0 is no goal.
const (
	_ goal = iota
	againstOurColumns
	againstInferred
	againstTokens
	onTwoCores
	againstSize
	ofOneRow
	againstScan
	ofMemory
	ofTheWhole
	ofAllocations
	ofStarting
	goalsEnd
)

// about describes a goal and its limit.
func (g goal) about() (what, limit string) {
	switch g {
	case againstOurColumns:
		return "MB/s of NDJSON, one core, against DuckDB with our columns", "≥ 3.0 × each"
	case againstInferred:
		return "the same, against DuckDB with the columns that it infers", "≥ 1.5 × each, 2.0 × on the mix"
	case againstTokens:
		return "scanning and shredding alone, against `jsontext` reading tokens", "≥ 0.8 × each"
	case onTwoCores:
		return "two cores against one: one large file, many files", "≥ 1.8 × each"
	case againstSize:
		return "bytes of Parquet against DuckDB's with our columns", "≤ 1.0 × each"
	case ofOneRow:
		return "a file of one row: Patient, Observation, ExplanationOfBenefit", "≤ 30, 68, 155 KB"
	case againstScan:
		return "DuckDB's time to scan five typical columns, and all, of our files against its own", "≤ 1.1 × each"
	case ofMemory:
		return "peak resident memory, two cores: one large file; 10,000 small output files; S3 sink with 8 fetchers", "≤ 400 MiB each"
	case ofTheWhole:
		return "the whole way on loopback, wall time against its parts' processor time ÷ cores", "≤ 1.25 ×"
	case ofAllocations:
		return "allocations for each resource", "~0"
	case ofStarting:
		return "`fhirkiln --help`; a nightly run with nothing new, on loopback", "< 30 ms; < 500 ms"
	}
	return "", ""
}

// fits reports whether the inputs and runs are large enough for a goal's verdict.
func (b *bench) fits(g goal) bool {
	mb, runs := b.mb >= goalMB, b.runs >= goalRuns
	switch g {
	case ofOneRow:
		return true
	case ofMemory:
		return b.bigMB >= goalBigMB
	case againstSize:
		return mb
	case againstTokens, ofAllocations, ofStarting:
		return runs
	}
	return mb && runs
}

// printSummary prints each goal once, with its worst result.
func printSummary(w io.Writer, results []result) {
	io.WriteString(w, "| | goal | the worst of its rows | met |\n|---|---|---|---|\n")
	small := false
	for g := goal(1); g < goalsEnd; g++ {
		what, limit := g.about()
		worst, met := "not measured", ""
		if of := slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.goal != g || !r.counts() }); len(of) > 0 {
			r := slices.MaxFunc(of, func(a, b result) int { return cmp.Compare(a.over, b.over) })
			value := r.ours
			switch {
			case r.err != nil:
				value = r.ours + r.theirs
			case r.ratio > 0:
				value = fmt.Sprintf("%.2f ×", r.ratio)
			}
			worst, met = fmt.Sprintf("%s: %s", value, r.what), "yes"
			missed := slices.DeleteFunc(of, func(r result) bool { return r.over <= 1 })
			if len(missed) > 0 {
				met = fmt.Sprintf("no: %d of %d", len(of)-len(missed), len(of))
			}
			if r.small {
				met, small = "–", true
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", what, limit, worst, met)
	}
	if small {
		fmt.Fprintf(w, "\n–: the goal is for inputs of %d MB, a large file of %d MB and %d runs.\n", goalMB, goalBigMB, goalRuns)
	}
}

// inOrder sorts results by goal, those without one last.
func inOrder(results []result) []result {
	place := func(r result) goal {
		if r.goal == 0 {
			return goalsEnd
		}
		return r.goal
	}
	return slices.SortedStableFunc(slices.Values(results), func(a, b result) int { return cmp.Compare(place(a), place(b)) })
}
