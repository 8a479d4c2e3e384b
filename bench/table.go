package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// result is a row of the table.
type result struct {
	goal         goal   // 0 for none
	table        string // the document's table for it, if it has no goal
	what         string
	ours, theirs string
	ratio        float64 // 0 for none
	limit        string
	over         float64 // measured value ÷ limit; the goal is met up to 1
	small        bool    // measured on less than the goal requires, so there is no verdict
	err          error   // why there are no numbers
}

// counts reports whether a goal applies to the result.
func (r result) counts() bool { return r.goal != 0 && r.limit != "" }

// beside returns the result without its limit: a row to compare with those of the goal.
func (r result) beside() result {
	r.limit, r.over = "", 0
	return r
}

// orFails returns the result, or, if err is not nil, a row that reports the failure, so that
// the rest can still be measured.
func (r result) orFails(err error) result {
	if err == nil {
		return r
	}
	r.err, r.ours, r.theirs, r.ratio, r.over = err, "fails", "", 0, math.Inf(1)
	if errors.Is(err, errDuckDB) {
		r.ours, r.theirs = "", "DuckDB: fails"
	}
	return r
}

// failures returns the errors of all failed results, or nil.
func failures(results []result) error {
	var all []error
	for _, r := range results {
		if r.err != nil {
			all = append(all, fmt.Errorf("%s: %w", r.what, r.err))
		}
	}
	return errors.Join(all...)
}

// atLeast returns a result whose ratio should be at least limit.
func atLeast(g goal, what, ours, theirs string, ratio, limit float64) result {
	return result{goal: g, what: what, ours: ours, theirs: theirs, ratio: ratio, limit: fmt.Sprintf("≥ %.1f ×", limit), over: limit / ratio}
}

// atMost returns a result whose ratio should be at most limit.
func atMost(g goal, what, ours, theirs string, ratio, limit float64) result {
	return result{goal: g, what: what, ours: ours, theirs: theirs, ratio: ratio, limit: fmt.Sprintf("≤ %.3g ×", limit), over: ratio / limit}
}

// within returns a result whose measured value should be at most maximum. limit is the text for it.
func within(g goal, what, ours, limit string, measured, maximum float64) result {
	return result{goal: g, what: what, ours: ours, limit: limit, over: measured / maximum}
}

const tableHead = "| | fhirkiln | against | ratio | goal | |\n|---|---|---|---|---|---|\n"

func printTable(w io.Writer, results []result, head bool) {
	if head {
		io.WriteString(w, tableHead)
	}
	for _, r := range results {
		ratio, verdict := "", ""
		if r.ratio > 0 {
			ratio = fmt.Sprintf("%.2f", r.ratio)
		}
		switch {
		case !r.counts():
		case r.err != nil:
			verdict = "fails"
		case r.small:
			verdict = "–"
		case r.over <= 1:
			verdict = "yes"
		default:
			verdict = "no"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", r.what, r.ours, r.theirs, ratio, r.limit, verdict)
	}
}

// machineFacts describes the run for readers of the table: time, commit, machine, sizes.
func machineFacts(b *bench) string {
	clock := "wall time"
	if b.cpu {
		clock = "processor time, but of wall time for shredding, two cores, the whole way and starts"
	}
	commit := "unknown"
	git := exec.CommandContext(context.Background(), "git", "describe", "--always", "--dirty")
	git.Dir = b.root
	if out, err := git.Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, commit %s. %s, %d cores, %s/%s, %s. Load %s. Inputs of %d MB (the large file: %d MB), medians of %d runs in turn, ratios of %s.\n",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), commit, processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(),
		load(), b.mb, b.bigMB, b.runs, clock)
}

func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor unknown"
}

// load returns the load averages over 1, 5 and 15 minutes.
func load() string {
	all, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(all)); err == nil && len(fields) > 2 {
		return strings.Join(fields[:3], " ")
	}
	return "unknown"
}

// writeDocument replaces the text between the lines "<!-- bench: NAME -->" and
// "<!-- bench: end -->" of a document, for each table that has results. Results with a goal
// go to the table "goals".
func writeDocument(path, facts string, results []result) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	tables := map[string][]result{}
	for _, r := range inOrder(results) {
		name := r.table
		if r.goal != 0 {
			name = "goals"
		}
		tables[name] = append(tables[name], r)
	}
	for name, some := range tables {
		var b bytes.Buffer
		b.WriteString(facts + "\n")
		if name == "goals" {
			printSummary(&b, some)
			b.WriteString("\nEach of them:\n\n")
		}
		printTable(&b, some, true)
		if text, err = replaced(text, name, b.Bytes()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return os.WriteFile(path, text, 0o644)
}

// replaced returns text with the content of the named block replaced.
func replaced(text []byte, name string, with []byte) ([]byte, error) {
	begin, end := "<!-- bench: "+name+" -->\n", "<!-- bench: end -->\n"
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, also := bytes.Cut(rest, []byte(end))
	if !ok || !also {
		return nil, fmt.Errorf("no lines %q and %q to put the table between", begin, end)
	}
	return slices.Concat(before, []byte(begin), with, []byte(end), after), nil
}
