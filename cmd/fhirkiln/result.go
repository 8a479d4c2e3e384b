package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// printResult prints what a run has published, or that there was nothing to publish. For a
// failed run it prints nothing.
func (u *ui) printResult(r *lake.Report) {
	if r == nil || r.Status == lake.StatusFailed || r.Status == "" {
		return
	}
	var b strings.Builder
	if r.Kind != ledger.KindFiles {
		fmt.Fprintf(&b, "%s: %s\n", r.Feed, headline(r))
	}
	if len(r.Parts) > 0 {
		writeTable(&b, r)
	}
	writeNotes(&b, r)
	u.printf("%s", b.String())
}

// headline names the run.
func headline(r *lake.Report) string {
	run := fmt.Sprintf("%s run %s", r.Kind, r.Run)
	if r.Resumed {
		run = "resumed " + run
	}
	switch since := lowestSince(r); {
	case len(r.Parts) > 0 || r.Resources > 0 || r.Quarantined > 0:
		return fmt.Sprintf("%s is published", run)
	case since.IsZero():
		return fmt.Sprintf("the server has nothing for this feed (%s)", run)
	default:
		return fmt.Sprintf("nothing has changed since %s (%s)", since.UTC().Format(time.RFC3339), run)
	}
}

// lowestSince returns the earliest _since of a run's exports, or zero if it asked for
// everything.
func lowestSince(r *lake.Report) time.Time {
	var lowest time.Time
	for _, x := range r.Exports {
		if x.Since == nil {
			return time.Time{}
		}
		if lowest.IsZero() || x.Since.Before(lowest) {
			lowest = *x.Since
		}
	}
	return lowest
}

func writeTable(to io.Writer, r *lake.Report) {
	const apart = 2 // so that the table fits into 80 columns, with billions of rows
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, apart, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")+"\t") }
	row("resource type", "files", "resources", "NDJSON", "parts", "Parquet", "time")
	files := 0
	for _, t := range r.Types {
		files += t.Files
		row(t.Type, count(int64(t.Files)), count(t.Rows), size(t.NDJSONBytes), count(int64(t.Parts)), size(t.ParquetBytes), seconds(t.Seconds))
	}
	row("all", count(int64(files)), count(r.Resources), size(r.NDJSONBytes), count(int64(len(r.Parts))), size(r.ParquetBytes),
		seconds(r.Finished.Sub(r.Started).Seconds()))
	w.Flush()
	for line := range strings.Lines(table.String()) {
		io.WriteString(to, line[apart:]) // without the gap before the first column
	}
}

// writeNotes says what the run did besides publishing.
func writeNotes(w io.Writer, r *lake.Report) {
	if m := r.Members; m != nil {
		fmt.Fprintf(w, "group members: %s listed, %s new, %s left\n", count(int64(m.Listed)), count(int64(m.New)), count(int64(m.Left)))
	}
	if r.Attachments > 0 {
		fmt.Fprintf(w, "attachments: %s rows have URLs of files at the server\n", count(r.Attachments))
	}
	if r.Duplicates != nil && *r.Duplicates > 0 {
		fmt.Fprintf(w, "duplicates: %s of the rows are versions of resources that came more than once\n", count(*r.Duplicates))
	}
	if r.ExportKept != "" {
		fmt.Fprintf(w, "the export is kept at the server: %s\n", r.ExportKept)
	}
	for moved := r.Moved; len(moved) > 0; {
		same, types := moved[0], []string(nil)
		var others []lake.MoveReport
		for _, m := range moved {
			if m.From == same.From && m.To == same.To {
				types = append(types, m.Type)
			} else {
				others = append(others, m)
			}
		}
		fmt.Fprintln(w, "watermark:", moveText(same, types))
		moved = others
	}
	if r.Held != "" {
		fmt.Fprintf(w, "watermark: stays: %s\n", r.Held)
	}
}

// moveText says how the watermark of types moved.
func moveText(m lake.MoveReport, types []string) string {
	text := typesText(types)
	if m.From == m.To && m.To != "" {
		return text + " unchanged at " + m.To
	}
	if m.From != "" {
		text += " from " + m.From
	}
	if m.To == "" {
		return text + " to none: the next run exports in full"
	}
	return text + " to " + m.To
}

// typesText names types, but only the first few if there are many.
func typesText(types []string) string {
	const maxNames = 6
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t
		if t == "*" {
			names[i] = "all types"
		}
	}
	if len(names) > maxNames+1 {
		names = append(names[:maxNames], fmt.Sprintf("%d more", len(names)-maxNames))
	}
	return strings.Join(names, ", ")
}
