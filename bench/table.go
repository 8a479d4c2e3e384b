package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// result is a row of the table.
type result struct {
	what         string
	ours, theirs string
	ratio        float64 // 0 is none
	goal         string
	met          bool
}

// atLeast is a result whose ratio is to be so large; 0 is no goal.
func atLeast(what, ours, theirs string, ratio, goal float64) result {
	r := result{what: what, ours: ours, theirs: theirs, ratio: ratio}
	if goal > 0 {
		r.goal, r.met = fmt.Sprintf("≥ %.1f ×", goal), ratio >= goal
	}
	return r
}

// atMost is a result whose ratio is to be so small; 0 is no goal.
func atMost(what, ours, theirs string, ratio, goal float64) result {
	r := result{what: what, ours: ours, theirs: theirs, ratio: ratio}
	if goal > 0 {
		r.goal, r.met = fmt.Sprintf("≤ %.2g ×", goal), ratio <= goal
	}
	return r
}

// within is a result that is to be no more than its goal.
func within(what, ours, goal string, met bool) result {
	return result{what: what, ours: ours, goal: goal, met: met}
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
		if r.goal != "" {
			verdict = "no"
			if r.met {
				verdict = "yes"
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", r.what, r.ours, r.theirs, ratio, r.goal, verdict)
	}
}

// machineFacts are what a reader of the table must know.
func machineFacts(b *bench) string {
	clock := "wall time"
	if b.cpu {
		clock = "processor time"
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

// load is how many processes wanted a core in the last 1, 5 and 15 minutes.
func load() string {
	all, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(all)); err == nil && len(fields) > 2 {
		return strings.Join(fields[:3], " ")
	}
	return "unknown"
}

// The table in a document stands between these.
const (
	tableBegin = "<!-- bench: table -->\n"
	tableEnd   = "<!-- bench: end -->\n"
)

// writeDocument replaces the table in a document.
func writeDocument(path, facts string, results []result) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(old, []byte(tableBegin))
	_, after, also := bytes.Cut(rest, []byte(tableEnd))
	if !ok || !also {
		return fmt.Errorf("%s has no lines %q and %q to put the table between", path, tableBegin, tableEnd)
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(tableBegin)
	b.WriteString(facts + "\n")
	printTable(&b, results, true)
	b.WriteString(tableEnd)
	b.Write(after)
	return os.WriteFile(path, b.Bytes(), 0o644)
}
