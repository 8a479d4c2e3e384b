package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestVerdicts checks that only rows with a goal get a verdict: not rows without one, small
// sizes, or failures.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	failed := fmt.Errorf("%w: line 7", errDuckDB)
	results := []result{
		atLeast(againstInferred, "a", "4 MB/s", "2 MB/s", 2, 1.5),
		atLeast(againstInferred, "b", "", "", 0, 1.5).orFails(failed),
		atLeast(againstOurColumns, "c", "4 MB/s", "2 MB/s", 4, 3),
		atLeast(againstOurColumns, "d", "4 MB/s", "2 MB/s", 2, 3).beside(),
		within(ofOneRow, "e", "9 KB", "≤ 8 KB", 9, 8),
		within(ofMemory, "f", "", "≤ 400 MiB", 0, 400).orFails(errors.New("no gateway")),
	}
	small := within(ofStarting, "g", "50 ms", "< 30 ms", 50, 30)
	small.small = true
	results = append(results, small)
	var b bytes.Buffer
	printTable(&b, results, false)
	want := `| a | 4 MB/s | 2 MB/s | 2.00 | ≥ 1.5 × | yes |
| b |  | DuckDB: fails |  | ≥ 1.5 × | fails |
| c | 4 MB/s | 2 MB/s | 4.00 | ≥ 3.0 × | yes |
| d | 4 MB/s | 2 MB/s | 2.00 |  |  |
| e | 9 KB |  |  | ≤ 8 KB | no |
| f | fails |  |  | ≤ 400 MiB | fails |
| g | 50 ms |  |  | < 30 ms | – |
`
	if b.String() != want {
		t.Errorf("the table is\n%s\nnot\n%s", &b, want)
	}
	b.Reset()
	printSummary(&b, results)
	for _, want := range []string{"| DuckDB: fails: b | no: 1 of 2 |", "| 4.00 ×: c | yes |", "| 9 KB: e | no: 0 of 1 |", "| fails: f | no: 0 of 1 |", "| 50 ms: g | – |", "–: the goal is for inputs of 200 MB"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the summary has no %q:\n%s", want, &b)
		}
	}
	if err := failures(results); err == nil || err.Error() != "b: DuckDB: line 7\nf: no gateway" {
		t.Errorf("failures: %v", err)
	}
}

// TestFits checks that there are verdicts only for the goals' sizes.
func TestFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		b    bench
		want string
	}{
		{bench{mb: 200, bigMB: 10_000, runs: 5}, "1 2 3 4 5 6 7 8 9 10 11"},
		{bench{mb: 200, bigMB: 1000, runs: 5}, "1 2 3 4 5 6 7 9 10 11"},
		{bench{mb: 20, bigMB: 10_000, runs: 5}, "3 6 8 10 11"},
		{bench{mb: 200, bigMB: 10_000, runs: 1}, "5 6 8"},
	} {
		var fit []string
		for g := goal(1); g < goalsEnd; g++ {
			if c.b.fits(g) {
				fit = append(fit, fmt.Sprint(int(g)))
			}
		}
		if got := strings.Join(fit, " "); got != c.want {
			t.Errorf("%d MB, %d MB, %d runs fit goals %s, not %s", c.b.mb, c.b.bigMB, c.b.runs, got, c.want)
		}
	}
}
