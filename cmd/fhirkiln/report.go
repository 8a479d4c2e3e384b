package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

type reportCommand struct {
	lakeFlags
	Feed  []string `placeholder:"NAME" help:"Only this feed; may be repeated. Default: all."`
	RunID string   `name:"run" placeholder:"RUN" help:"Print the result of this run again, as the run did when it ended."`
	Last  int      `default:"14" placeholder:"N" help:"How many of each feed's latest runs to show. Default: 14."`
	HTML  string   `name:"html" placeholder:"FILE" help:"Write a page with charts to this file, replacing an existing one; - is stdout."`
	JSON  bool     `name:"json" help:"Print the runs' reports as JSON, one per line, feed by feed, oldest first."`
}

// Help is shown by fhirkiln report --help.
func (reportCommand) Help() string {
	return `Shows what each night brought, and how long it took. It reads the reports that runs leave, which stay when
the runs' files are removed. Failed runs publish nothing and leave no report, but if a feed's last run
failed, its error is shown. The output holds no patient data.

  fhirkiln report                      the latest runs of all feeds
  fhirkiln report --run RUN            one run, type by type
  fhirkiln report s3://lake/claims --last 90 --html nights.html`
}

// Run implements the command report.
func (cmd *reportCommand) Run(ctx context.Context, line *cli, c console) error {
	switch {
	case cmd.Last < 1 || cmd.Last > 10_000:
		return &usageError{error: fmt.Errorf("--last must be from 1 to 10000, not %d", cmd.Last)}
	case cmd.HTML != "" && cmd.JSON:
		return &usageError{error: errors.New("--html and --json cannot be combined")}
	case cmd.RunID != "" && (cmd.HTML != "" || len(cmd.Feed) > 0):
		return &usageError{error: errors.New("--run cannot be combined with --html or --feed: it names one run, of whatever feed")}
	}
	ui := newUI(c, line, "plain", "info")
	defer ui.close()
	l, err := cmd.open(ctx, c, ui.log)
	if err != nil {
		return err
	}
	defer l.close()
	if cmd.RunID != "" {
		return cmd.one(ctx, l, ui)
	}
	histories, err := cmd.histories(ctx, l, ui.log)
	if err != nil {
		return err
	}
	switch {
	case cmd.JSON:
		for _, h := range histories {
			for _, r := range h.Reports {
				if err := ui.printJSON(r); err != nil {
					return err
				}
			}
		}
	case cmd.HTML != "":
		return cmd.page(histories, l, ui)
	default:
		for i, h := range histories {
			if i > 0 {
				ui.printf("\n")
			}
			ui.printf("%s", h.text(time.Now()))
		}
	}
	return nil
}

// one prints one run's report.
func (cmd *reportCommand) one(ctx context.Context, l *openLake, ui *ui) error {
	var r *lake.Report
	err := fs.ErrNotExist
	if ledger.IsName(cmd.RunID) {
		r, err = l.lake().Report(ctx, cmd.RunID)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &usageError{fmt.Errorf("there is no report of a run %q here", cmd.RunID), "fhirkiln report"}
	}
	if err != nil {
		return err
	}
	if cmd.JSON {
		return ui.printJSON(r)
	}
	ui.printResult(r)
	if spent := spentText(r); spent != "" {
		ui.printf("time: %s\n", spent)
	}
	return nil
}

// history is a feed with the reports of its latest runs, oldest first.
type history struct {
	ledger.Feed
	Reports []*lake.Report
}

func (cmd *reportCommand) histories(ctx context.Context, l *openLake, log *slog.Logger) ([]history, error) {
	feeds, err := l.feeds(ctx, cmd.Feed)
	if err != nil {
		return nil, err
	}
	all := make([]history, len(feeds))
	for i, f := range feeds {
		all[i].Feed = f
		if all[i].Reports, err = cmd.reports(ctx, l.lake(), latestRuns(f, cmd.Last), log.With("feed", f.Name)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// latestRuns returns the latest runs that a feed knows of, at most limit, oldest first. They
// include live runs, runs merged into others, runs no longer live, runs that moved a watermark,
// which may have brought nothing, and the last run that succeeded. Run names sort by time.
func latestRuns(f ledger.Feed, limit int) []string {
	var runs []string
	for _, m := range f.History {
		if m.Run != "" {
			runs = append(runs, m.Run)
		}
	}
	for _, r := range f.Runs {
		runs = append(append(runs, r.Run), r.Replaces...)
	}
	for _, r := range f.Dropped {
		runs = append(runs, r.Run)
	}
	if f.LastSuccess != nil {
		runs = append(runs, f.LastSuccess.Run)
	}
	slices.Sort(runs)
	runs = slices.Compact(runs)
	return runs[max(0, len(runs)-limit):]
}

// reports reads the runs' reports, a few at once, since each is a request and may cover many
// files. It skips missing and damaged reports with a warning.
func (cmd *reportCommand) reports(ctx context.Context, l lake.Lake, runs []string, log *slog.Logger) ([]*lake.Report, error) {
	reports := make([]*lake.Report, len(runs))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i, run := range runs {
		group.Go(func() error {
			r, err := l.Report(gctx, run)
			if _, damaged := errors.AsType[*ledger.DamagedError](err); damaged || errors.Is(err, fs.ErrNotExist) {
				log.Warn("leaving out a run: cannot read its report", "run", run, "error", err)
				return nil
			}
			if err == nil && !cmd.JSON {
				r.Files, r.Parts, r.Exports = nil, nil, nil // unused here, and most of the report
			}
			reports[i] = r
			return err
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(reports, func(r *lake.Report) bool { return r == nil }), err
}

// text returns a feed's history for people, newest run first.
func (h history) text(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (source %s): %s\n", h.Name, h.Source, h.standing(now))
	if u := h.Unfinished; u != nil {
		fmt.Fprintf(&b, "unfinished: run %s, %s\n", u.Run, amount(u.Processes, "attempt"))
	}
	b.WriteString(showFailure(h.LastFailure).line())
	if len(h.Reports) == 0 {
		return b.String()
	}
	largest := h.maxResources()
	row := func(begun, kind, took, resources, bar, parquet, status string) {
		line := fmt.Sprintf("%-16s  %-11s  %7s  %13s %-8s %9s %s", begun, kind, took, resources, bar, parquet, status)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	row("started (UTC)", "kind", "took", "resources", "", "Parquet", "")
	for _, r := range slices.Backward(h.Reports) {
		var status []string
		if r.Status != ledger.StatusPublished {
			status = append(status, string(r.Status))
		}
		if r.Resumed {
			status = append(status, "resumed")
		}
		bar := ""
		if r.Kind != ledger.KindCompaction {
			bar = barText(logShare(r.Resources, largest))
		}
		row(utcMinute(r.Started), string(r.Kind), seconds(tookSeconds(r)), count(r.Resources), bar, size(r.ParquetBytes), strings.Join(status, ","))
	}
	return b.String()
}

// tookSeconds returns how long a run took, by a clock that may have been set meanwhile.
func tookSeconds(r *lake.Report) float64 { return max(r.Finished.Sub(r.Started).Seconds(), 0) }

// standing says up to when a feed is published.
func (h history) standing(now time.Time) string {
	var oldest time.Time
	text := ""
	for _, w := range h.Watermarks {
		if at, err := time.Parse(time.RFC3339Nano, w.Time); err == nil && (text == "" || at.Before(oldest)) {
			oldest, text = at, w.Time
		}
	}
	if text == "" {
		return "no watermark"
	}
	return fmt.Sprintf("published up to %s, %s ago", text, ageText(now.Sub(oldest)))
}

// maxResources returns the largest number of resources in a run. Compactions do not count:
// they bring nothing.
func (h history) maxResources() int64 {
	var largest int64
	for _, r := range h.Reports {
		if r.Kind != ledger.KindCompaction {
			largest = max(largest, r.Resources)
		}
	}
	return largest
}

// page writes the page with charts.
func (cmd *reportCommand) page(histories []history, l *openLake, ui *ui) error {
	var b bytes.Buffer
	if err := writePage(&b, l.where, histories, time.Now()); err != nil {
		return err
	}
	if cmd.HTML == "-" {
		ui.printf("%s", b.String())
		return nil
	}
	if err := replaceFile(cmd.HTML, b.Bytes()); err != nil {
		return &sink.Error{Doing: "writing the page", Where: cmd.HTML, Err: err, Hint: "choose a file that this user can write to (--html)"}
	}
	return nil
}

// replaceFile writes a file atomically: readers see the old one or the new. A new file is
// readable only by its owner; an existing one keeps its mode. Anything other than a regular
// file, such as a pipe, is written to directly.
func replaceFile(name string, content []byte) error {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	there, err := os.Stat(name)
	if err == nil && !there.Mode().IsRegular() {
		return os.WriteFile(name, content, 0o600)
	}
	f, failed := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // 0600
	if failed != nil {
		return failed
	}
	if err == nil {
		err = f.Chmod(there.Mode().Perm())
	} else {
		err = nil // name is new or cannot be examined; in that case Rename fails
	}
	_, failed = f.Write(content)
	err = errors.Join(err, failed)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
