package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	Feed  []string `placeholder:"NAME" help:"Of this feed only; may be repeated. Default: all."`
	RunID string   `name:"run" placeholder:"RUN" help:"Print what this run did, as it was printed at its end."`
	Last  int      `default:"14" placeholder:"N" help:"How many of the latest runs of each feed are shown. Default: 14."`
	HTML  string   `name:"html" placeholder:"FILE" help:"Write a page with pictures to this file, - for stdout. One that is there is replaced."`
	JSON  bool     `name:"json" help:"Print the runs' reports as JSON, one a line, oldest first."`
}

// Help is shown by fhirkiln report --help.
func (reportCommand) Help() string {
	return `What each night has brought, and how long it took. It reads what runs have reported of themselves, which
stays when their files go; a run that failed has published nothing, and is in the log alone. There is
no patient data in it.

  fhirkiln report                                   the latest runs of all feeds
  fhirkiln report --run RUN                         one run, type by type
  fhirkiln report s3://lake/claims --last 90 --html nights.html`
}

// Run implements the command report.
func (cmd *reportCommand) Run(ctx context.Context, line *cli, c console) error {
	switch {
	case cmd.Last < 1 || cmd.Last > 10_000:
		return &usageError{error: fmt.Errorf("--last must be from 1 to 10000, not %d", cmd.Last)}
	case cmd.HTML != "" && cmd.JSON:
		return &usageError{error: errors.New("--html and --json exclude each other")}
	case cmd.HTML != "" && cmd.RunID != "":
		return &usageError{error: errors.New("--html and --run exclude each other: the page is about feeds")}
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
	histories, err := cmd.histories(ctx, l)
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
	r, err := l.lake().Report(ctx, cmd.RunID)
	if errors.Is(err, fs.ErrNotExist) || !ledger.IsName(cmd.RunID) {
		return &usageError{fmt.Errorf("no run %q has left a report here", cmd.RunID), "fhirkiln report"}
	}
	if err != nil {
		return err
	}
	if cmd.JSON {
		return ui.printJSON(r)
	}
	ui.printResult(r)
	return nil
}

// history is a feed with the reports of its latest runs, oldest first.
type history struct {
	ledger.Feed
	Reports []*lake.Report
}

func (cmd *reportCommand) histories(ctx context.Context, l *openLake) ([]history, error) {
	feeds, err := l.feeds(ctx, cmd.Feed)
	if err != nil {
		return nil, err
	}
	all := make([]history, len(feeds))
	for i, f := range feeds {
		all[i].Feed = f
		if all[i].Reports, err = readReports(ctx, l.lake(), latestRuns(f, cmd.Last)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// latestRuns are the latest that a feed knows of, oldest first: those that are live, those
// whose rows live on in others, and those that are live no longer. Names of runs sort by time.
func latestRuns(f ledger.Feed, most int) []string {
	var runs []string
	for _, r := range f.Runs {
		runs = append(append(runs, r.Run), r.Replaces...)
	}
	for _, r := range f.Dropped {
		runs = append(runs, r.Run)
	}
	slices.Sort(runs)
	runs = slices.Compact(runs)
	return runs[max(0, len(runs)-most):]
}

// readReports reads reports, several at once. One that is not there is left out.
func readReports(ctx context.Context, l lake.Lake, runs []string) ([]*lake.Report, error) {
	reports := make([]*lake.Report, len(runs))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(16) // each is a request
	for i, run := range runs {
		group.Go(func() error {
			r, err := l.Report(gctx, run)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			reports[i] = r
			return err
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(reports, func(r *lake.Report) bool { return r == nil }), err
}

// text is a feed's history for people, the latest run first.
func (h history) text(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (source %s): %s\n", h.Name, h.Source, h.standing(now))
	if len(h.Reports) == 0 {
		return b.String()
	}
	most := h.mostResources()
	row := func(begun, kind, took, resources, bar, parquet, status string) {
		line := fmt.Sprintf("%-16s  %-11s  %7s  %13s %-8s %9s %s", begun, kind, took, resources, bar, parquet, status)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	row("begun (UTC)", "kind", "took", "resources", "", "Parquet", "")
	for _, r := range slices.Backward(h.Reports) {
		status := ""
		if r.Status != ledger.StatusPublished {
			status = string(r.Status)
		}
		row(utcMinute(r.Started), string(r.Kind), seconds(r.Finished.Sub(r.Started).Seconds()),
			count(r.Resources), barText(logShare(r.Resources, most)), size(r.ParquetBytes), status)
	}
	return b.String()
}

// standing says up to when a feed is published, and what is under way.
func (h history) standing(now time.Time) string {
	var said []string
	oldest := ""
	for _, w := range h.Watermarks {
		if at, err := time.Parse(time.RFC3339Nano, w.Time); err == nil {
			if was, err := time.Parse(time.RFC3339Nano, oldest); err != nil || at.Before(was) {
				oldest = w.Time
			}
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, oldest); err == nil {
		said = append(said, fmt.Sprintf("published up to %s, %s ago", oldest, ageText(now.Sub(at))))
	} else {
		said = append(said, "no watermark")
	}
	if u := h.Unfinished; u != nil {
		said = append(said, fmt.Sprintf("run %s is unfinished (%s)", u.Run, amount(u.Attempts, "attempt")))
	}
	return strings.Join(said, "; ")
}

func (h history) mostResources() int64 {
	var most int64
	for _, r := range h.Reports {
		most = max(most, r.Resources)
	}
	return most
}

// page writes the page with pictures.
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
		return &sink.Error{Doing: "writing the page", Where: cmd.HTML, Err: err, Hint: "name a file that this user may write (--html)"}
	}
	return nil
}

// replaceFile writes a file whole: whoever reads it meanwhile has the old one or the new.
func replaceFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
