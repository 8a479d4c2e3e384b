package main

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

type filesCommand struct {
	lakeFlags
	Feed  []string `placeholder:"NAME" help:"Only this feed; may be repeated. Default: all."`
	Type  []string `placeholder:"TYPE" help:"Only this resource type (deleted: tombstones); may be repeated. Default: all."`
	RunID []string `name:"run" placeholder:"RUN" help:"Only this run; may be repeated. Default: all live runs."`
	Runs  bool     `help:"List the live runs instead of their files."`
	JSON  bool     `name:"json" help:"Print JSON, one line per file or run."`
}

// Help is shown by fhirkiln files --help.
func (filesCommand) Help() string {
	return `The live files are all files of every published run, and none of a run that is in
progress, was discarded, or waits for gc. The folders may hold more files than that.

  fhirkiln files                                    one path or URL per line
  fhirkiln files s3://lake/claims --type Patient
  fhirkiln files --runs                             the live runs`
}

// liveFile is a live part as JSON.
type liveFile struct {
	lake.LivePart
	URL string `json:"url"` // or a path
}

// liveRun is a live run as JSON.
type liveRun struct {
	Feed            string        `json:"feed"`
	Source          string        `json:"source"`
	Run             string        `json:"run"`
	Kind            ledger.Kind   `json:"kind"`
	Status          ledger.Status `json:"status"`
	Published       time.Time     `json:"published"`
	TransactionTime string        `json:"transaction_time,omitempty"`
	Resources       int64         `json:"resources"`
	Parts           int64         `json:"parts"`
	Bytes           int64         `json:"bytes"`
}

// Run implements the command files.
func (cmd *filesCommand) Run(ctx context.Context, line *cli, c console) error {
	if err := checkTypes(cmd.Type); err != nil {
		return err
	}
	ui := newUI(c, line, "plain", "info")
	defer ui.close()
	l, err := cmd.open(ctx, c, ui.log)
	if err != nil {
		return err
	}
	defer l.close()
	if err := cmd.checkRuns(ctx, l); err != nil {
		return err
	}
	if cmd.Runs {
		return cmd.runs(ctx, l, ui)
	}
	parts, err := l.live(ctx, cmd.Feed, cmd.wants)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, p := range parts {
		if len(cmd.Type) > 0 && !slices.Contains(cmd.Type, p.Type) {
			continue
		}
		if !cmd.JSON {
			fmt.Fprintln(&b, below(l.where, p.Key))
		} else if err := ui.printJSON(liveFile{p, below(l.where, p.Key)}); err != nil {
			return err
		}
	}
	ui.printf("%s", b.String())
	return nil
}

func (cmd *filesCommand) wants(_ ledger.Feed, r ledger.PublishedRun) bool {
	return len(cmd.RunID) == 0 || slices.Contains(cmd.RunID, r.Run)
}

// checkRuns rejects runs that are not live.
func (cmd *filesCommand) checkRuns(ctx context.Context, l *openLake) error {
	if len(cmd.RunID) == 0 {
		return nil
	}
	feeds, err := l.feeds(ctx, cmd.Feed)
	if err != nil {
		return err
	}
	for _, run := range cmd.RunID {
		live := slices.ContainsFunc(feeds, func(f ledger.Feed) bool {
			return slices.ContainsFunc(f.Runs, func(r ledger.PublishedRun) bool { return r.Run == run })
		})
		if !live {
			return &usageError{fmt.Errorf("no run %q is live", run), "fhirkiln files --runs"}
		}
	}
	return nil
}

// runs prints what is live, run by run.
func (cmd *filesCommand) runs(ctx context.Context, l *openLake, ui *ui) error {
	if len(cmd.Type) > 0 {
		return &usageError{error: fmt.Errorf("--runs and --type cannot be combined: a run has files of several types")}
	}
	feeds, err := l.feeds(ctx, cmd.Feed)
	if err != nil {
		return err
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "feed\trun\tkind\tstatus\tpublished\ttransactionTime\tresources\tparts\tParquet")
	for _, f := range feeds {
		for _, r := range f.Runs {
			if !cmd.wants(f, r) {
				continue
			}
			if cmd.JSON {
				err := ui.printJSON(liveRun{f.Name, f.Source, r.Run, r.Kind, r.Status, r.Published, r.TransactionTime, r.Resources, r.Parts, r.Bytes})
				if err != nil {
					return err
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, r.Run, r.Kind, r.Status, r.Published.UTC().Format(time.RFC3339),
				r.TransactionTime, count(r.Resources), count(r.Parts), size(r.Bytes))
		}
	}
	if !cmd.JSON {
		w.Flush()
		ui.printf("%s", b.String())
	}
	return nil
}

// below returns the full path or URL of a key in a place.
func below(where, key string) string {
	if bucket, ok := strings.CutPrefix(where, "s3://"); ok {
		return "s3://" + path.Join(bucket, key)
	}
	return filepath.Join(where, filepath.FromSlash(key))
}
