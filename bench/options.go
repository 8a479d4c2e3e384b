package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suite is a group of rows that are measured together.
type suite struct {
	name, about string
	table       string // the document's table for its rows
	slow        bool   // runs only if -only names it
	run         func(context.Context, *bench) ([]result, error)
}

func suites() []suite {
	return []suite{
		{"columns", "MB/s against DuckDB with fhirkiln's columns", "goals", false, ourColumns},
		{"inferred", "MB/s against DuckDB with the columns it infers", "goals", false, inferredColumns},
		{"shred", "scanning and shredding alone, against jsontext; allocations", "goals", false, parts},
		{"cores", "two cores against one", "goals", false, cores},
		{"size", "bytes of Parquet against DuckDB's, and of files of one row", "goals", false, sizes},
		{"scan", "DuckDB's time to read fhirkiln's files against its own", "goals", false, scans},
		{"same", "bytes and time to read, against DuckDB's copies of fhirkiln's files", "same", false, same},
		{"memory", "peak memory: a large file, 10,000 small ones, eight fetchers into S3", "goals", false, memory},
		{"whole", "a run against a server on loopback; start-up; a night with nothing new", "goals", false, whole},
		{"codecs", "what codecs and other options of Parquet cost", "codecs", true, codecs},
		{"growth", "how cost grows: rows, columns, files", "growth", true, growth},
	}
}

// The sizes that the goals and the document's tables require.
const (
	goalMB    = 200
	goalBigMB = 10_000
	goalRuns  = 5
)

// options is a parsed command line.
type options struct {
	bench
	suites      []suite
	list, write bool
}

// parse parses a command line and rejects one whose measurements would be useless.
func parse(args []string) (*options, error) {
	o := &options{}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	var (
		only  = flags.String("only", "", "comma-separated `names` of the suites to run; see -list")
		clock = flags.String("clock", "wall", "`wall` or cpu: which time to compare")
	)
	flags.BoolVar(&o.list, "list", false, "list the suites")
	flags.BoolVar(&o.write, "write", false, "write the tables to docs/performance.md; the goals' table only as a whole, with -big 10000")
	flags.StringVar(&o.cache, "cache", filepath.Join(cache, "fhirkiln-bench"), "`folder` in which inputs are kept")
	flags.IntVar(&o.mb, "mb", goalMB, "`megabytes` of NDJSON per input")
	flags.IntVar(&o.bigMB, "big", 1000, "`megabytes` of NDJSON in the memory test's large file, which is generated as it is read; the goal requires 10000")
	flags.IntVar(&o.runs, "runs", goalRuns, "how many `times` to run everything")
	flags.StringVar(&o.samples, "samples", "", "`folder` of real NDJSON (default ../shared/data/synthea beside the repository)")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%q: unexpected argument", flags.Arg(0))
	}
	if o.cpu = *clock == "cpu"; !o.cpu && *clock != "wall" {
		return nil, fmt.Errorf("-clock %s must be wall or cpu", *clock)
	}
	if o.mb < 1 || o.bigMB < 1 || o.runs < 1 {
		return nil, errors.New("-mb, -big and -runs must be 1 or more")
	}
	if o.suites, err = choose(suites(), *only); err != nil {
		return nil, err
	}
	if o.write {
		return o, o.mayWrite()
	}
	return o, nil
}

// mayWrite rejects options that would replace tables of the document with weaker ones.
func (o *options) mayWrite() error {
	if o.mb != goalMB {
		return fmt.Errorf("-write: the tables are for inputs of %d MB, not -mb %d", goalMB, o.mb)
	}
	if !o.writes("goals") {
		return nil
	}
	for _, s := range suites() {
		if s.table == "goals" && !slices.ContainsFunc(o.suites, func(c suite) bool { return c.name == s.name }) {
			return fmt.Errorf("-write: the goals' table needs %s, too; -only same, codecs and growth have tables of their own", s.name)
		}
	}
	if o.bigMB != goalBigMB || o.runs < goalRuns {
		return fmt.Errorf("-write: the goals' table needs -big %d and at least -runs %d, not %d and %d", goalBigMB, goalRuns, o.bigMB, o.runs)
	}
	return nil
}

// writes reports whether the chosen suites have rows for a table of the document.
func (o *options) writes(table string) bool {
	return slices.ContainsFunc(o.suites, func(s suite) bool { return s.table == table })
}

// choose returns the suites named in a comma-separated list, each once, or for "" all that are
// not slow.
func choose(all []suite, only string) ([]suite, error) {
	var chosen []suite
	if only == "" {
		return slices.DeleteFunc(all, func(s suite) bool { return s.slow }), nil
	}
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(s suite) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: no such suite; see -list", name)
		}
		if !slices.ContainsFunc(chosen, func(s suite) bool { return s.name == name }) {
			chosen = append(chosen, all[i])
		}
	}
	return chosen, nil
}
