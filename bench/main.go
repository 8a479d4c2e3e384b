// Bench compares fhirkiln with DuckDB on this machine and prints a table of both, with
// fhirkiln's goals.
//
//	go -C bench run .                           # all suites that take minutes
//	go -C bench run . -list                     # list the suites
//	go -C bench run . -only columns,size -mb 50 # some of them, on less data
//	go -C bench run . -big 10000 -write         # with a 10 GB file; updates docs/performance.md
//
// The two run in separate processes, alternating, on the same input, so that other load on
// the machine affects both. Each gets one core (GOMAXPROCS=1, threads=1), input in the page
// cache, and zstd. Numbers are medians. On a shared machine, -clock cpu compares CPU time
// instead of wall time.
//
// Inputs come from the seeded generator of bulk/bulktest/population, both plain and with
// everything that real servers add, and from the sample data if it is present. They are kept
// in a cache folder keyed by what they are made of. The goals apply to the sizes that -write
// requires; smaller runs print rows without verdicts. A failure becomes a row that says so;
// the rest is still measured, and the exit code is 1.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == childArgument {
		if err := duckDBChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal kills what ignores ctx
	// This makes writing to a closed stdout an ordinary error, after which outputs are removed.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench holds what all measurements share.
type bench struct {
	root    string // the repository
	cache   string // a folder per version of the inputs; kept
	scratch string // outputs; removed at the end
	samples string // folder of real NDJSON; "" is the default one, which may be missing
	madeIn  string // folder in the cache for the generator's inputs
	realIn  string // folder in the cache for inputs from the sample data
	bin     string // the fhirkiln binary

	// realTypes are the goal types that the sample data has, followed by "" for all of the
	// data. It is empty without sample data.
	realTypes []string

	mb    int // NDJSON in an input, in units of 10^6 bytes
	bigMB int // the same for the input of the memory test
	runs  int
	cpu   bool
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range suites() {
			fmt.Fprintf(stdout, "%-10s %s\n", s.name, s.about)
		}
		return nil
	}
	b := &o.bench
	if err := b.place(ctx); err != nil {
		return err
	}
	if o.write && o.writes("goals") && len(b.realTypes) <= len(goalTypes) {
		return errors.New("-write: the goals' table has rows for sample data of all goal types, and some of it is missing")
	}
	// In the cache folder, so that outputs are on disk and not in memory.
	if b.scratch, err = os.MkdirTemp(b.cache, "run-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)
	if err := b.build(ctx); err != nil {
		return err
	}
	return measureAll(ctx, o, stdout)
}

// measureAll runs the chosen suites and prints the results of each as it finishes. A failure
// is returned only after the rest has run.
func measureAll(ctx context.Context, o *options, stdout io.Writer) error {
	out := bufio.NewWriter(stdout) // remembers the first error
	facts := machineFacts(&o.bench)
	fmt.Fprintln(out, facts)
	var results []result
	var unfinished []string // names of suites
	for _, s := range o.suites {
		fmt.Fprintf(os.Stderr, "%s %s: %s\n", time.Now().Format(time.TimeOnly), s.name, s.about)
		some, err := s.run(ctx, &o.bench)
		if ctx.Err() != nil {
			return context.Cause(ctx) // names the signal
		}
		if err != nil {
			unfinished = append(unfinished, s.name)
			fmt.Fprintf(os.Stderr, "%s ends early: %v\n", s.name, err)
		}
		if err := failures(some); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		for i := range some {
			some[i].small = !o.fits(some[i].goal)
		}
		printTable(out, some, len(results) == 0)
		results = append(results, some...)
		if err := out.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(out)
	printSummary(out, results)
	if err := out.Flush(); err != nil {
		return err
	}
	if len(unfinished) > 0 {
		return fmt.Errorf("%s not fully measured", strings.Join(unfinished, ", "))
	}
	var err error
	if failures(results) != nil {
		err = errors.New("some rows failed")
	}
	if o.write {
		return errors.Join(err, writeDocument(filepath.Join(o.root, "docs", "performance.md"), facts, results))
	}
	return err
}
