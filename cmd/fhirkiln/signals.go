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

// signalError is the cause of a context that a signal has ended.
type signalError struct {
	signal  syscall.Signal
	command string // the first word: run
}

func (e *signalError) Error() string {
	stopped := "stopped by " + e.name()
	switch e.command {
	case "run", "demo", "convert", "compact":
	default:
		return stopped
	}
	if e.signal == syscall.SIGINT {
		stopped += "; nothing of this run was published, and what it had staged is given up"
		if e.command == "run" {
			stopped += ", the export at the server too, if that lets it go; SIGTERM keeps both for the next run"
		}
		return stopped
	}
	return stopped + "; nothing of this run was published; the same command again goes on where it can, or begins anew"
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

// Unwrap says that who presses Ctrl-C does not want the run, while a node that is drained
// and a terminal that is closed do.
func (e *signalError) Unwrap() error {
	if e.signal == syscall.SIGINT {
		return pipeline.ErrGiveUp
	}
	return nil
}

func (e *signalError) exitCode() int { return 128 + int(e.signal) }

// withSignals returns a context that SIGINT, SIGTERM and SIGHUP end in order; another
// signal after twiceWithin ends the process at once. SIGHUP and SIGINT stay ignored where they
// are: nohup wants the one so, and shells the other for what a script starts with &.
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
		// Not Ignore, which programs that this one starts would inherit.
		signal.Notify(pipes, syscall.SIGPIPE)
	}
	go func() {
		select {
		case s := <-signals:
			cancel(&signalError{s.(syscall.Signal), first})
			// From then on the default: the next one kills.
			time.AfterFunc(twiceWithin, func() { signal.Stop(signals) })
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// twiceWithin is for how long the same wish may come twice: timeout(1) signals the process and
// then its group, and so do a shell whose terminal closes and the kernel.
const twiceWithin = time.Second

// printsOnly says whether a command may end, as any filter does, where nobody reads on
// (fhirkiln files | head). All others have something to bring to its end: a log that
// nobody reads stops none of them, and a result that nobody reads is an error.
func printsOnly(command string) bool {
	first, _, _ := strings.Cut(command, " ")
	switch first {
	case "check", "completion", "files", "report", "restore", "schema", "sql", "verify": // restore --out has written all by then
		return true
	}
	return command == "watermark show"
}
