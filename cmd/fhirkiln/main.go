// Command fhirkiln turns a FHIR Bulk Data export into Parquet. See the README, and
// fhirkiln --help.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"fhirkiln/columnar"
	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/pipeline/views"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// The exit codes. Each means one thing, so that cron, a CronJob's podFailurePolicy and
// people can act on it; docs/exit-codes.md says how.
const (
	exitOK          = 0
	exitBug         = 1  // something that nobody foresaw
	exitUsage       = 2  // the command line
	exitConfig      = 3  // config.yaml
	exitDenied      = 4  // the credentials were refused
	exitNotThere    = 5  // a URL leads somewhere else
	exitUnavailable = 6  // network or server: the same again later may work
	exitRefused     = 7  // the server refused the request, or its export failed
	exitBroken      = 8  // what the server sent is incomplete or damaged
	exitData        = 9  // lines are not FHIR resources, or Parquet is not what was published
	exitStorage     = 10 // the output cannot be written
	exitPartial     = 11 // published, but the server reported that something is missing
	exitLocked      = 12 // another process works at the feed
	exitInterrupted = 130
	exitTerminated  = 143
)

// cli is the command line.
type cli struct {
	Run        runCommand        `cmd:"" help:"Bring feeds of config.yaml up to date: token, export, download, Parquet."`
	Demo       demoCommand       `cmd:"" help:"Show the whole way on a synthetic payer, against a server in this process."`
	Cancel     cancelCommand     `cmd:"" help:"End a run that was cut off: delete the server's export, throw away what is staged."`
	Watermark  watermarkCommand  `cmd:"" help:"Up to when a feed is published: show it, or set it by hand."`
	Files      filesCommand      `cmd:"" help:"List the files that readers are to see, and the runs that they are of."`
	SQL        sqlCommand        `cmd:"" name:"sql" help:"Print views of all versions and of the current state, for DuckDB, Spark or Athena."`
	Compact    compactCommand    `cmd:"" help:"Merge the small files of nightly runs into large ones."`
	GC         gcCommand         `cmd:"" name:"gc" help:"Remove files that are live no more: of runs that are not kept, and what killed ones have left."`
	Convert    convertCommand    `cmd:"" help:"Turn NDJSON files into Parquet, without a server."`
	Restore    restoreCommand    `cmd:"" help:"Turn Parquet back into NDJSON, nothing lost."`
	Verify     verifyCommand     `cmd:"" help:"Read published Parquet back and check it against the runs' reports."`
	Schema     schemaCommand     `cmd:"" help:"Print the columns of a resource type, or the DDL to read them."`
	Testserver testserverCommand `cmd:"" help:"Serve a folder of NDJSON as a Bulk Data server, to practice with."`
	Completion completionCommand `cmd:"" help:"Print a script that completes commands and flags in your shell."`

	LogFormat string           `enum:",text,json" default:"" placeholder:"text|json" help:"Format of the log on stderr. Default: text, or what config.yaml says."`
	LogLevel  string           `enum:",debug,info,warn,error" default:"" placeholder:"LEVEL" help:"debug, info, warn or error. Default: info, or what config.yaml says."`
	Progress  string           `enum:"auto,on,off" default:"auto" placeholder:"auto|on|off" help:"Live progress on stderr. auto: if that is a terminal."`
	Version   kong.VersionFlag `help:"Print the version."`
}

const description = `fhirkiln turns a FHIR Bulk Data export into Parquet.

  fhirkiln demo                            see it work, in a minute
  fhirkiln run -c config.yaml              bring the feeds up to date
  fhirkiln cancel --feed NAME              end a run that was cut off, at the server too
  fhirkiln files                           what is live
  fhirkiln sql --engine duckdb             views of the current state
  fhirkiln convert PATH --out DIR          NDJSON files to Parquet, without a server
  fhirkiln testserver --data DIR           practice against your own NDJSON

Exit codes: 0 done; 1 a bug; 2 command line; 3 config; 4 credentials refused; 5 wrong address;
6 unreachable or busy, try later; 7 refused by the server; 8 incomplete or damaged data;
9 lines are not FHIR resources; 10 output not writable; 11 published but partial;
12 another process is at work; 130 and 143 interrupted.`

func main() {
	// Most of the memory is buffers that are used again; little garbage comes. To collect
	// it at half the live memory instead of at all of it costs 2 % of the time and takes a
	// quarter off the peak.
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(50)
	}
	os.Exit(execute(os.Args[1:], console{stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv}))
}

// console is what a command sees of the world around it.
type console struct {
	stdout, stderr io.Writer
	env            func(string) (string, bool)
	patience       patience
}

// execute runs a command line and returns the exit code.
func execute(args []string, c console) int {
	var line cli
	parser, err := newParser(&line, c)
	if err != nil {
		return report(c, line.LogFormat, err)
	}
	var exited *exitRequest
	parsed, err := parse(parser, args)
	if errors.As(err, &exited) { // --help and --version have done what was asked
		return exited.code
	}
	if err != nil {
		return report(c, line.LogFormat, &usageError{error: err})
	}
	ctx, stop := withSignals(context.Background())
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil)) // by its interface: Run's arguments go by their own types
	err = parsed.Run(&line, c)
	return report(c, line.LogFormat, err)
}

func newParser(line *cli, c console) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("fhirkiln"), kong.Description(description),
		kong.Writers(c.stdout, c.stderr),
		kong.Vars{"version": version()},
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Exit(func(code int) { panic(&exitRequest{code}) }),
	)
}

// exitRequest carries kong's wish to exit out of its parser.
type exitRequest struct{ code int }

func (e *exitRequest) Error() string { return fmt.Sprintf("exit %d", e.code) }

func parse(parser *kong.Kong, args []string) (ctx *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			exit, ok := r.(*exitRequest)
			if !ok {
				panic(r)
			}
			err = exit
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	return parser.Parse(args)
}

// usageError is a command line that cannot be understood, or names something that is
// not there.
type usageError struct {
	error
	hint string // "" is --help
}

// hintedError is an error with a hint that suits better than its own.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

// report tells the user of err, and what to try, and returns its exit code. This is
// the one place where errors become exit codes.
func report(c console, logFormat string, err error) int {
	if err == nil {
		return exitOK
	}
	all := []error{err}
	if feeds := (*feedsError)(nil); errors.As(err, &feeds) {
		all = feeds.all
	}
	for _, err := range all {
		tell(c, logFormat, err)
	}
	code, _ := classify(err)
	return code
}

// tell prints one error with its hint; as a record where the log is JSON, since a
// collector reads stderr.
func tell(c console, logFormat string, err error) {
	code, hint := classify(err)
	var problems config.Errors
	switch isConfig := errors.As(err, &problems); {
	case logFormat == "json":
		slog.New(slog.NewJSONHandler(c.stderr, nil)).Error("failed", "error", err.Error(), "hint", hint, "exit_code", code)
		return
	case isConfig:
		fmt.Fprintln(c.stderr, err) // a line for each problem, with its place first, as editors like it
	default:
		fmt.Fprintln(c.stderr, "fhirkiln:", err)
	}
	if hint != "" {
		fmt.Fprintln(c.stderr, "  try:", hint)
	}
}

// classify finds an error's exit code, and a hint if there is one.
func classify(err error) (code int, hint string) {
	var hinted *hintedError
	if errors.As(err, &hinted) {
		code, _ := classify(hinted.error)
		return code, hinted.hint
	}
	var (
		signalled *signalError
		usage     *usageError
		problems  config.Errors
		exchange  *transport.Error
		store     *sink.Error
		data      *columnar.DataError
		count     *pipeline.CountError
		partial   *pipeline.PartialError
		quality   *pipeline.QualityError
		changed   *pipeline.ChangedError
		filter    *pipeline.FilterError
		held      *ledger.HeldError
		other     *ledger.OtherFeedError
		pending   *pipeline.UnfinishedError
		blocked   *pipeline.CompactBlockedError
		damaged   *ledger.DamagedError
		newer     *ledger.VersionError
		unlike    *verifyError
		unviewed  *views.OptionsError
		unread    *partError
		file      *fs.PathError // of config.yaml: the sink's are *sink.Errors
	)
	switch {
	case errors.As(err, &signalled):
		return signalled.exitCode(), ""
	case errors.As(err, &usage):
		return exitUsage, cmp.Or(usage.hint, "fhirkiln --help")
	case errors.As(err, &problems):
		return exitConfig, ""
	case errors.As(err, &held):
		return exitLocked, "wait until it has ended; if it was killed, it is taken over by itself"
	case errors.Is(err, ledger.ErrLost):
		return exitLocked, "the other process goes on with the run; this one has published nothing"
	case errors.As(err, &filter):
		return exitConfig, "run the feed once with --full, which exports everything anew; or give it another name and keep the old one's rows"
	case errors.As(err, &unviewed):
		return exitUsage, "fhirkiln sql --help"
	case errors.As(err, &pending):
		return exitUsage, "fhirkiln run brings it to its end, fhirkiln cancel throws it away; then set the watermark"
	case errors.As(err, &blocked):
		return exitUsage, "fhirkiln run brings it to its end, fhirkiln cancel throws it away; then compact"
	case errors.As(err, &other):
		return exitConfig, "give the feed another name, or its old source and purpose"
	case errors.As(err, &damaged):
		return exitStorage, damaged.Hint
	case errors.As(err, &newer):
		return exitStorage, "use the newer version of fhirkiln for this feed"
	case errors.As(err, &exchange):
		return map[transport.Kind]int{
			transport.Unavailable: exitUnavailable,
			transport.Denied:      exitDenied,
			transport.NotThere:    exitNotThere,
			transport.Refused:     exitRefused,
			transport.Broken:      exitBroken,
		}[exchange.Kind], exchange.Hint
	case errors.As(err, &store):
		return exitStorage, store.Hint
	case errors.As(err, &data):
		return exitData, "ask the server's owner about that line; nothing of this run was published"
	case errors.As(err, &quality):
		return exitData, "ask the server's owner about those lines, or raise max_quarantined and run again: what was fetched is kept; nothing of this run was published"
	case errors.As(err, &unlike):
		return exitData, "run the feed again, or restore the files from where they are kept"
	case errors.As(err, &unread):
		return exitData, "is it a file that fhirkiln wrote, and whole?"
	case errors.As(err, &count):
		return exitBroken, "run again; if it stays so, ask the server's owner; nothing of this run was published"
	case errors.As(err, &changed):
		return exitBroken, "run again to start another export; nothing of this run was published"
	case errors.As(err, &partial):
		return exitPartial, "see issues and quarantine in the run's report.json, and ask the server's owner"
	case errors.As(err, &file):
		return exitConfig, "check the path"
	}
	return exitBug, "this is a bug: report it, with the log"
}

// signalError is the cause of a context that a signal has ended.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string {
	if e.signal == syscall.SIGINT {
		return fmt.Sprintf("stopped by %v; nothing of this run was published", e.signal)
	}
	return fmt.Sprintf("stopped by %v; nothing of this run was published, the next one goes on where it stopped", e.signal)
}

// Unwrap says that who presses Ctrl-C does not want the run, while a node that is drained
// does.
func (e *signalError) Unwrap() error {
	if e.signal == syscall.SIGINT {
		return pipeline.ErrGiveUp
	}
	return nil
}

func (e *signalError) exitCode() int { return 128 + int(e.signal) }

// withSignals returns a context that SIGINT and SIGTERM end in order; a second signal
// ends the process at once.
func withSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			cancel(&signalError{s.(syscall.Signal)})
			signal.Stop(signals) // from here on the default: the next one kills
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// version is what go install or the release build stamped into the program.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
