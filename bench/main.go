// Bench measures fhirkiln beside DuckDB on this machine, and prints a table of both with
// the goals that fhirkiln is held to.
//
//	go -C bench run .                           # everything that takes minutes
//	go -C bench run . -list                     # what there is
//	go -C bench run . -only columns,size -mb 50 # some of it, on less data
//	go -C bench run . -big 10000 -write         # with a file of 10 GB; the tables go to docs/performance.md
//
// The two run as processes of their own, in turn, on the same input: what else the
// machine does meets both. Each gets one core (GOMAXPROCS=1, threads=1), input in the page
// cache, and zstd. Numbers are medians. On a machine that others use, -clock cpu compares
// processor time instead of the wall's.
//
// Inputs come from the seeded generator of bulk/bulktest/population, as they are and with
// all that real servers add, and from the sample data where that is there; they are kept in
// a cache folder for the next time, by what they are made of. The goals are about the sizes
// that -write asks for; of less, there are rows without verdicts. What fails is a row that
// says so, and exit code 1 after the rest.
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
	context.AfterFunc(ctx, stop) // a second signal then ends what does not listen
	// With this, writing to a stdout that nobody reads is an error like others, after which
	// outputs are removed.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is what all measurements share.
type bench struct {
	root    string // of the repository
	cache   string // a folder for each version of the inputs, kept
	scratch string // outputs, removed
	samples string // folder of real NDJSON; "" is the usual one, which need not be there
	madeIn  string // where in the cache the generator's inputs are
	realIn  string // where in the cache those of the sample data are
	bin     string // fhirkiln

	// realTypes are those of the goals' types that the sample data has, and "" for all
	// of it; none, if there is none.
	realTypes []string

	mb    int // of NDJSON in an input, 10^6 bytes each
	bigMB int // in the input of the memory test
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
		return errors.New("-write: the goals' table has rows of sample data of all types, which is not there")
	}
	// Beside the inputs, so that outputs are on a disk and not in memory.
	if b.scratch, err = os.MkdirTemp(b.cache, "run-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)
	if err := b.build(ctx); err != nil {
		return err
	}
	return measureAll(ctx, o, stdout)
}

// measureAll runs the suites that were asked for, and prints what each gives when it has it.
// What fails is an error in the end, after the rest.
func measureAll(ctx context.Context, o *options, stdout io.Writer) error {
	out := bufio.NewWriter(stdout) // it keeps the first error
	facts := machineFacts(&o.bench)
	fmt.Fprintln(out, facts)
	var results []result
	var unfinished []string // suites
	for _, s := range o.suites {
		fmt.Fprintf(os.Stderr, "%s %s: %s\n", time.Now().Format(time.TimeOnly), s.name, s.about)
		some, err := s.run(ctx, &o.bench)
		if ctx.Err() != nil {
			return context.Cause(ctx) // which names the signal
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
		return fmt.Errorf("not all of %s was measured", strings.Join(unfinished, ", "))
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
