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
// a cache folder for the next time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
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

// suite is a group of the table's rows.
type suite struct {
	name, about string
	slow        bool // it runs only when it is asked for
	run         func(context.Context, *bench) ([]result, error)
}

func suites() []suite {
	return []suite{
		{"columns", "MB/s against DuckDB with fhirkiln's columns", false, ourColumns},
		{"inferred", "MB/s against DuckDB with the columns that it infers", false, inferredColumns},
		{"shred", "scanning and shredding alone, against jsontext; allocations", false, parts},
		{"cores", "two cores against one", false, cores},
		{"size", "bytes of Parquet against DuckDB's, and of files of one row", false, sizes},
		{"scan", "DuckDB's time to read fhirkiln's files against its own", false, scans},
		{"same", "bytes, and time to read, against files into which DuckDB has copied fhirkiln's", false, same},
		{"memory", "peak memory: a large file, 10,000 small ones, eight fetchers into S3", false, memory},
		{"whole", "a run against a server on loopback; start-up; a night with nothing new", false, whole},
		{"codecs", "what codecs and other options of Parquet cost", true, codecs},
		{"growth", "how cost grows: rows, columns, files", true, growth},
	}
}

func run(ctx context.Context) error {
	b := &bench{}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	var (
		only  = flag.String("only", "", "comma-separated `names` of what to measure; see -list")
		list  = flag.Bool("list", false, "list what can be measured")
		clock = flag.String("clock", "wall", "`wall` or cpu: the time that ratios are of")
		write = flag.Bool("write", false, "put the tables into docs/performance.md")
	)
	flag.StringVar(&b.cache, "cache", filepath.Join(cache, "fhirkiln-bench"), "`folder` for inputs, which are kept")
	flag.IntVar(&b.mb, "mb", 200, "`megabytes` of NDJSON of an input")
	flag.IntVar(&b.bigMB, "big", 1000, "`megabytes` of NDJSON of the memory test's large file, which is made as it is read; the goal is for 10000")
	flag.IntVar(&b.runs, "runs", 5, "`times` that everything runs")
	flag.StringVar(&b.samples, "samples", "", "`folder` of real NDJSON (default ../shared/data/synthea beside the repository)")
	flag.Parse()
	all := suites()
	if *list {
		for _, s := range all {
			fmt.Printf("%-10s %s\n", s.name, s.about)
		}
		return nil
	}
	if b.cpu = *clock == "cpu"; !b.cpu && *clock != "wall" {
		return fmt.Errorf("-clock %s must be wall or cpu", *clock)
	}
	chosen, err := choose(all, *only)
	if err != nil {
		return err
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)

	facts := machineFacts(b)
	fmt.Println(facts)
	var results []result
	for _, s := range chosen {
		fmt.Fprintf(os.Stderr, "%s %s: %s\n", time.Now().Format(time.TimeOnly), s.name, s.about)
		some, err := s.run(ctx, b)
		printTable(os.Stdout, some, len(results) == 0)
		results = append(results, some...)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	fmt.Println()
	printSummary(os.Stdout, results)
	if *write {
		return writeDocument(filepath.Join(b.root, "docs", "performance.md"), facts, results)
	}
	return nil
}

func choose(all []suite, only string) ([]suite, error) {
	var chosen []suite
	if only == "" {
		for _, s := range all {
			if !s.slow {
				chosen = append(chosen, s)
			}
		}
		return chosen, nil
	}
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(s suite) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: there is no such thing; see -list", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
