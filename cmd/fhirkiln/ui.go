package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"fhirkiln/pipeline"
)

// ui is how a command speaks: log lines and live progress on stderr, results on
// stdout.
type ui struct {
	console
	log    *slog.Logger
	screen *screen // stderr
	live   bool    // progress is drawn
}

// newUI follows the flags, then format and level, which config.yaml or the command
// gives. The format "plain" is text without times, for a command that somebody watches.
// line keeps the format that won, for what is said at the end.
func newUI(c console, line *cli, format, level string) *ui {
	format = cmp.Or(line.LogFormat, format)
	line.LogFormat = format
	var threshold slog.Level
	// Both sources allow the level's names only, so this cannot fail.
	_ = threshold.UnmarshalText([]byte(cmp.Or(line.LogLevel, level)))
	file, isFile := c.stderr.(*os.File)
	noTerm, _ := c.env("TERM")
	terminal := isFile && term.IsTerminal(int(file.Fd())) && noTerm != "dumb"
	u := &ui{
		console: c,
		screen:  &screen{out: c.stderr, width: 80},
		live:    line.Progress == "on" || line.Progress == "auto" && terminal,
	}
	if terminal {
		u.screen.size = func() int { width, _, _ := term.GetSize(int(file.Fd())); return width }
	}
	noColor, _ := c.env("NO_COLOR") // no-color.org: set, and not empty
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
	u.screen.clear()
	fmt.Fprintf(u.stdout, format, args...)
}

// watch runs a pipeline with the ui's log, and with progress if the ui is live.
func (u *ui) watch(o pipeline.Options, run func(pipeline.Options) (*pipeline.Report, error)) (*pipeline.Report, error) {
	o.Log = u.log
	o.Progress = new(pipeline.Progress)
	if !u.live {
		return run(o)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		u.draw(o.Feed.Name, o.Progress, stop)
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	return run(o)
}

func (u *ui) draw(feed string, p *pipeline.Progress, stop <-chan struct{}) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			u.screen.clear()
			return
		case now := <-tick.C:
			u.screen.status(statusLine(feed, p.Snapshot(), now))
		}
	}
}

// statusLine is the live line: phase, files, resources, bytes, rate, ETA.
func statusLine(feed string, s pipeline.Snapshot, now time.Time) string {
	elapsed := now.Sub(s.Since)
	parts := []string{feed, string(s.Phase)}
	if s.Phase == pipeline.Converting {
		parts = append(parts, fmt.Sprintf("%d/%d files", s.FilesDone, s.Files))
		if s.Expected > 0 {
			parts = append(parts, fmt.Sprintf("%s of %s resources", count(s.Resources), count(s.Expected)))
		} else {
			parts = append(parts, count(s.Resources)+" resources")
		}
		parts = append(parts, size(s.Bytes), size(int64(float64(s.Bytes-s.BytesBefore)/max(elapsed.Seconds(), 0.1)))+"/s")
		if done := s.Resources - s.ResourcesBefore; s.Expected > 0 && done > 0 && elapsed > time.Second {
			left := time.Duration(float64(elapsed) * float64(s.Expected-s.Resources) / float64(done))
			parts = append(parts, "ETA "+max(left, 0).Round(time.Second).String())
		}
	} else {
		if s.Said != "" {
			parts = append(parts, s.Said)
		}
		parts = append(parts, elapsed.Round(time.Second).String())
	}
	return strings.Join(parts, "  ")
}

// printJSON prints a report as one line.
func (u *ui) printJSON(r *pipeline.Report) error {
	if r == nil {
		return nil
	}
	u.screen.clear()
	return json.NewEncoder(u.stdout).Encode(r)
}

// printTable prints what a run published.
func (u *ui) printTable(r *pipeline.Report) {
	if r == nil || len(r.Parts) == 0 {
		return
	}
	u.screen.clear()
	w := tabwriter.NewWriter(u.stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")+"\t") }
	row("resource type", "output files", "resources", "NDJSON", "parts", "Parquet", "time")
	files := 0
	for _, t := range r.Types {
		files += t.Files
		row(t.Type, count(int64(t.Files)), count(t.Rows), size(t.NDJSONBytes), count(int64(t.Parts)), size(t.ParquetBytes), seconds(t.Seconds))
	}
	row("all", count(int64(files)), count(r.Resources), size(r.NDJSONBytes), count(int64(len(r.Parts))), size(r.ParquetBytes),
		seconds(r.Finished.Sub(r.Started).Seconds()))
	w.Flush()
}

func seconds(s float64) string { return fmt.Sprintf("%.1f s", s) }

// size writes bytes in the unit that suits, 1000 to the step as disks have it.
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

// count writes a number with commas between the thousands.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
