package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

// ui is a command's output: log lines and live progress on stderr, results on stdout.
type ui struct {
	console
	log    *slog.Logger
	screen *screen // stderr
	board  board   // on the screen
	live   bool    // progress is drawn

	stopping sync.Once // sayStopping speaks once, however many runs there are
}

// newUI follows the flags, or else format and level, which come from config.yaml or the
// command. The format "plain" is text without times, for interactive commands. newUI stores
// the chosen format in line, for the final message.
func newUI(c console, line *cli, format, level string) *ui {
	format = cmp.Or(line.LogFormat, format)
	line.LogFormat = format
	var threshold slog.Level
	// Both sources only allow valid names, so this cannot fail.
	_ = threshold.UnmarshalText([]byte(cmp.Or(line.LogLevel, level)))
	file, isFile := c.stderr.(*os.File)
	noTerm, _ := c.env("TERM")
	terminal := isFile && term.IsTerminal(int(file.Fd())) && noTerm != "dumb"
	s := &screen{out: c.stderr, width: 80}
	u := &ui{
		console: c,
		screen:  s,
		board:   board{screen: s},
		live:    line.Progress == "on" || line.Progress == "auto" && terminal,
	}
	if terminal {
		u.screen.size = func() int { width, _, _ := term.GetSize(int(file.Fd())); return width }
	}
	noColor, _ := c.env("NO_COLOR") // no-color.org: set and not empty
	var handler slog.Handler
	switch {
	case format == "json":
		handler = slog.NewJSONHandler(u.screen, &slog.HandlerOptions{Level: threshold})
	case format == "plain" || terminal:
		handler = tint.NewTextHandler(u.screen, &tint.Options{Level: threshold, NoColor: noColor != "" || !terminal,
			TimeFormat: time.TimeOnly, ReplaceAttr: dropTime(format == "plain")})
	default:
		handler = slog.NewTextHandler(u.screen, &slog.HandlerOptions{Level: threshold})
	}
	u.log = slog.New(handler)
	return u
}

func dropTime(drop bool) func([]string, slog.Attr) slog.Attr {
	return func(groups []string, a slog.Attr) slog.Attr {
		if drop && a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}
}

func (u *ui) close() { u.screen.clear() }

func (u *ui) printf(format string, args ...any) {
	u.screen.above(func() { fmt.Fprintf(u.stdout, format, args...) })
}

// warn logs the config's warnings.
func (u *ui) warn(cfg *config.Config) {
	for _, w := range cfg.Warnings {
		u.log.Warn(w.Message, "at", fmt.Sprintf("%s:%d:%d", w.File, w.Line, w.Column))
	}
}

// watch runs a pipeline with the ui's log, and shows its progress if the ui is live. If a
// signal ends the run, it says what becomes of it. Safe for concurrent use.
func (u *ui) watch(ctx context.Context, o pipeline.Options, run func(pipeline.Options) (*lake.Report, error)) (*lake.Report, error) {
	o.Log = u.log
	o.Progress = new(pipeline.Progress)
	defer context.AfterFunc(ctx, func() { u.stopping.Do(func() { u.sayStopping(ctx) }) })()
	if u.live {
		defer u.board.add(o.Feed.Name, o.Progress)()
	}
	return run(o)
}

// sayStopping says what the end of ctx means, since stopping may take a while.
func (u *ui) sayStopping(ctx context.Context) {
	signalled, ok := errors.AsType[*signalError](context.Cause(ctx))
	if !ok {
		return
	}
	what := "stopping"
	switch canceled := signalled.signal == syscall.SIGINT; {
	case canceled && signalled.command == "run":
		what = "canceling: discarding staged parts and telling the server to delete its export"
	case canceled:
		what = "canceling: discarding staged parts"
	case signalled.command == "run":
		what = "stopping; what is done so far is kept"
	}
	u.log.Warn(what+"; a second signal, at least a second from now, ends the process at once", "signal", signalled.name())
}

// printJSON prints a value as one line.
func (u *ui) printJSON(v any) (err error) {
	u.screen.above(func() { err = json.NewEncoder(u.stdout).Encode(v) })
	return err
}

// printReport prints a run's report as one line of JSON. If the run did not end with 0, it adds
// the exit code that err is for and what to try.
func (u *ui) printReport(r *lake.Report, err error) error {
	line := struct {
		*lake.Report
		ExitCode int    `json:"exit_code,omitempty"`
		Hint     string `json:"hint,omitempty"`
	}{Report: r}
	if err != nil {
		line.ExitCode, line.Hint = classify(err)
	}
	return u.printJSON(line)
}

func seconds(s float64) string {
	if s >= 100 {
		return ageText(time.Duration(s * float64(time.Second)))
	}
	return fmt.Sprintf("%.1f s", s)
}

// size formats bytes in a suitable unit, in steps of 1000 like disk sizes.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1000, 0
	for ; v >= 999.95 && unit < 3; unit++ {
		v /= 1000
	}
	return fmt.Sprintf("%.1f %cB", v, "kMGT"[unit])
}

// count formats a number with commas between the thousands.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// amount returns "1 part", "2 parts" and so on. The plural must end in s.
func amount(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return count(int64(n)) + " " + of + "s"
}
