package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"fhirkiln/pipeline"
)

// signalError is the cause of a context ended by a signal.
type signalError struct {
	signal  syscall.Signal
	command string // its first word, such as run
}

func (e *signalError) Error() string {
	stopped := "stopped by " + e.name()
	switch e.command {
	case "run", "demo", "convert", "compact":
	default:
		return stopped
	}
	if e.signal == syscall.SIGINT {
		stopped += "; nothing of this run was published, and its staged parts are discarded"
		if e.command == "run" {
			stopped += ", as is the export at the server if that allows it; SIGTERM keeps both for the next run"
		}
		return stopped
	}
	return stopped + "; nothing of this run was published; the same command resumes the run if possible, or starts over"
}

func (e *signalError) name() string {
	switch e.signal {
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGHUP:
		return "SIGHUP"
	}
	return "SIGTERM"
}

// Unwrap returns [pipeline.ErrGiveUp] for SIGINT: with Ctrl-C the user gives up the run. When
// a node is drained or a terminal is closed, the run is still wanted.
func (e *signalError) Unwrap() error {
	if e.signal == syscall.SIGINT {
		return pipeline.ErrGiveUp
	}
	return nil
}

func (e *signalError) exitCode() int { return 128 + int(e.signal) }

// withSignals returns a context that SIGINT, SIGTERM and SIGHUP end in an orderly way. A
// second signal after twiceWithin ends the process at once. SIGHUP and SIGINT stay ignored if
// they already are: nohup ignores the former, and shells the latter for what a script starts
// with &.
func withSignals(parent context.Context, command string) (context.Context, func()) {
	first, _, _ := strings.Cut(command, " ")
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	pipes := make(chan os.Signal, 1)
	if !printsOnly(command) {
		// Not Ignore, which child processes would inherit.
		signal.Notify(pipes, syscall.SIGPIPE)
	}
	go func() {
		select {
		case s := <-signals:
			cancel(&signalError{s.(syscall.Signal), first})
			// From then on, the default action: the next signal kills.
			time.AfterFunc(twiceWithin, func() { signal.Stop(signals) })
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// twiceWithin is how long further signals count as the same one: timeout(1) signals the process
// and then its group, and when a terminal closes, both its shell and the kernel send a signal.
const twiceWithin = time.Second

// printsOnly reports whether a command may die by SIGPIPE, like any filter, when nobody reads
// on (fhirkiln files | head). All other commands have work to finish: they go on when nobody
// reads their log, and fail when nobody reads their result.
func printsOnly(command string) bool {
	first, _, _ := strings.Cut(command, " ")
	switch first {
	case "check", "completion", "files", "report", "restore", "schema", "sql", "verify": // restore --out has written all by then
		return true
	}
	return command == "watermark show"
}
