// Command fhirkiln turns a FHIR Bulk Data export into Parquet. See the README and
// fhirkiln --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"fhirkiln/columnar"
	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/pipeline/views"
	"fhirkiln/setup"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// Exit codes. Each means one thing, so that cron, a CronJob's podFailurePolicy and people
// can act on it; see docs/exit-codes.md. The description in --help lists them, too.
const (
	exitOK          = 0
	exitBug         = 1  // an unforeseen error
	exitUsage       = 2  // the command line
	exitConfig      = 3  // config.yaml
	exitDenied      = 4  // the credentials were refused
	exitNotThere    = 5  // a URL leads somewhere else
	exitUnavailable = 6  // network or server; trying again later may work
	exitRefused     = 7  // the server refused the request, or its export failed
	exitBroken      = 8  // what the server sent is incomplete or damaged
	exitData        = 9  // lines are not FHIR resources, or Parquet differs from what was published
	exitStorage     = 10 // the output cannot be written
	exitPartial     = 11 // published, but the server reported that something is missing
	exitLocked      = 12 // another process is working on the feed
	exitHungUp      = 129
	exitInterrupted = 130
	exitTerminated  = 143
)

func main() {
	floor := collectSeldom()
	code := execute(os.Args[1:], console{stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv, limitMemory: debug.SetMemoryLimit})
	runtime.KeepAlive(floor)
	os.Exit(code)
}

// console is a command's view of its environment.
type console struct {
	stdout, stderr io.Writer
	env            func(string) (string, bool)
	patience       setup.Patience
	limitMemory    func(bytes int64) int64 // [debug.SetMemoryLimit]; may be nil
}

// execute runs a command line and returns the exit code.
func execute(args []string, c console) int {
	var line cli
	parser, err := newParser(&line, c)
	if err != nil {
		return report(c, line.LogFormat, err)
	}
	parsed, err := parse(parser, args)
	if exited, ok := errors.AsType[*exitRequest](err); ok { // --help or --version, already printed
		return exited.code
	}
	if err != nil {
		return report(c, logFormatOf(args), usage(err, commandOf(err)))
	}
	ctx, stop := withSignals(context.Background(), parsed.Command())
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil)) // as an interface; the types of Run's other arguments are concrete
	result := &resultWriter{w: c.stdout}
	c.stdout = result
	if err = parsed.Run(&line, c); err == nil {
		err = result.err()
	}
	return report(c, line.LogFormat, usage(err, parsed.Command()))
}

// hintedError replaces the hint of an error by a better one.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

// report tells the user about err and what to try, and returns its exit code.
func report(c console, logFormat string, err error) int {
	if err == nil {
		return exitOK
	}
	tell(c, logFormat, err)
	code, _ := classify(err)
	return code
}

// tell prints an error with its hint. If the log is JSON it prints a log record, since a
// collector reads stderr.
func tell(c console, logFormat string, err error) {
	code, hint := classify(err)
	var problems config.Errors
	isConfig := errors.As(err, &problems)
	if _, ok := errors.AsType[*feedsError](err); ok {
		hint, isConfig = "", false // each feed's failure is in the log
	}
	switch {
	case logFormat == "json":
		log := slog.New(slog.NewJSONHandler(c.stderr, nil))
		if single, ok := errors.AsType[*feedError](err); ok {
			log = withRun(log.With("feed", single.feed), err)
		}
		log.Error("failed", "error", err.Error(), "hint", hint, "exit_code", code)
		return
	case isConfig:
		fmt.Fprintln(c.stderr, err) // one line per problem, starting with its position, as editors expect
	default:
		fmt.Fprintln(c.stderr, "fhirkiln:", err)
	}
	if hint != "" {
		fmt.Fprintln(c.stderr, "  try:", hint)
	}
}

// classify returns an error's exit code, and a hint if there is one. This is the only place
// where errors become exit codes.
func classify(err error) (code int, hint string) {
	if hinted, ok := errors.AsType[*hintedError](err); ok {
		code, _ := classify(hinted.error)
		return code, hinted.hint
	}
	var (
		signalled *signalError
		usage     *usageError
		source    *setup.SourceError
		problems  config.Errors
		exchange  *transport.Error
		store     *sink.Error
		data      *columnar.DataError
		count     *pipeline.CountError
		partial   *pipeline.PartialError
		quality   *pipeline.QualityError
		changed   *pipeline.ChangedError
		window    *pipeline.WindowError
		cut       *pipeline.BrokenFileError
		filter    *pipeline.FilterError
		moved     *pipeline.OtherServerError
		held      *ledger.HeldError
		other     *ledger.OtherFeedError
		pending   *pipeline.UnfinishedError
		blocked   *pipeline.CompactBlockedError
		damaged   *ledger.DamagedError
		newer     *ledger.VersionError
		unlike    *verifyError
		unviewed  *views.OptionsError
		unread    *partError
		altered   *lake.PartChangedError
		absent    *noConfigError
		file      *fs.PathError // for config.yaml; the sink returns *sink.Error
	)
	switch {
	case errors.As(err, &signalled):
		return signalled.exitCode(), ""
	case errors.As(err, &usage):
		return exitUsage, usage.hint
	case errors.As(err, &source):
		return exitUsage, source.Hint
	case errors.As(err, &problems):
		return exitConfig, ""
	case errors.As(err, &held):
		return exitLocked, "wait until it ends; if it was killed, run again, and the new process takes over"
	case errors.Is(err, ledger.ErrNotRenewed) && errors.As(err, &store):
		return exitStorage, store.Hint
	case errors.Is(err, ledger.ErrNotRenewed):
		return exitStorage, "the store did not answer for too long; run again: the next run finds out how far this one got, and resumes it"
	case errors.Is(err, ledger.ErrLost):
		return exitLocked, "the other process continues the run; this one published nothing"
	case errors.As(err, &filter):
		return exitConfig, "run the feed once with --full to export everything again; or give the feed another name, which keeps the old one's rows"
	case errors.As(err, &moved):
		return exitConfig, "if it is the same server at a new address, confirm that with fhirkiln watermark set and the earliest present watermark (fhirkiln watermark show); " +
			"if not, give the source and the feed new names, or run the feed once with --full, which exports everything again"
	case errors.As(err, &unviewed):
		return exitUsage, "fhirkiln sql --help"
	case errors.As(err, &pending):
		return exitUsage, "finish it with fhirkiln run, or discard it with fhirkiln cancel; then set the watermark"
	case errors.As(err, &blocked):
		return exitUsage, "finish it with fhirkiln run, or discard it with fhirkiln cancel; then compact"
	case errors.As(err, &other):
		return exitConfig, "give the feed another name, or go back to its old source and purpose"
	case errors.As(err, &damaged):
		return exitStorage, damaged.Hint
	case errors.As(err, &newer):
		return exitStorage, "use the newer version of fhirkiln for this feed"
	case errors.As(err, &exchange):
		return exitOf(exchange.Kind), exchange.Hint
	case errors.As(err, &store):
		return exitStorage, store.Hint
	case errors.As(err, &data):
		return exitData, "ask the server's owner about that line; nothing of this run was published"
	case errors.As(err, &quality) && quality.Kept:
		return exitData, "ask the server's owner about those lines, or raise max_quarantined and run again, which reuses what was fetched; nothing of this run was published"
	case errors.As(err, &quality):
		return exitData, "fix those lines; or allow more of them, for example with --max-quarantined 5%, to publish all others with a list of the bad ones; nothing was published"
	case errors.As(err, &unlike):
		return exitData, unlike.hint()
	case errors.As(err, &altered):
		return exitData, "restore the file from a backup; without one, set keep_runs: 1 for the feed and export everything again (fhirkiln run --full), which must exit with 0"
	case errors.As(err, &unread):
		return exitData, "check that the file is complete and that fhirkiln wrote it"
	case errors.As(err, &count):
		return exitBroken, "run again; if that does not help, ask the server's owner; nothing of this run was published"
	case errors.As(err, &window):
		return exitBroken, "compress it again without --long, or with at most --long=27; nothing of this run was published"
	case errors.As(err, &cut):
		return exitBroken, "fetch or export it again; nothing of this run was published"
	case errors.As(err, &changed):
		return exitBroken, "run again to start another export; nothing of this run was published"
	case errors.As(err, &partial) && partial.NotRetired != "":
		return exitPartial, "see retired in " + partial.Report + ", and ask the server's owner whether its export was complete"
	case errors.As(err, &partial) && partial.OlderKept != "":
		return exitPartial, "ask the server's owner whether its export was complete; if it was, run the feed with --full, and the older runs go"
	case errors.As(err, &partial) && partial.ServerErrors != "":
		return exitPartial, "see what the server says is missing in " + partial.ServerErrors + " (it may name patients), and issues and quarantine in " +
			partial.Report + "; ask whoever sent the data"
	case errors.As(err, &partial):
		return exitPartial, "see issues and quarantine in " + partial.Report + ", and ask whoever sent the data"
	case errors.As(err, &absent):
		return exitConfig, "use -c FILE; fhirkiln demo and fhirkiln convert need no config"
	case errors.As(err, &file):
		return exitConfig, "check the path"
	}
	return exitBug, "this is a bug; please report it, with the log"
}

// exitOf returns the exit code for a failed exchange with a server.
func exitOf(k transport.Kind) int {
	switch k {
	case transport.Unavailable:
		return exitUnavailable
	case transport.Denied:
		return exitDenied
	case transport.NotThere:
		return exitNotThere
	case transport.Refused:
		return exitRefused
	case transport.Broken:
		return exitBroken
	}
	return exitBug
}

// release is the version set by a build without git: -ldflags "-X main.release=v1".
var release string

// version returns the version that the image's build, go install or the release build put
// into the program.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
