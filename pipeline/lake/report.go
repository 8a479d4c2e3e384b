package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"fhirkiln/pipeline/ledger"
)

// Report is what a run did. It holds no unredacted URL and no patient data.
type Report struct {
	Run      string      `json:"run"`
	Feed     string      `json:"feed"`
	Source   string      `json:"source"`
	Purpose  string      `json:"purpose,omitempty"`
	Kind     ledger.Kind `json:"kind,omitempty"`
	Full     bool        `json:"full,omitempty"`    // all of the feed was exported, whatever the kind
	Resumed  bool        `json:"resumed,omitempty"` // an earlier process began the run
	Layout   string      `json:"layout"`
	Started  time.Time   `json:"started"`
	Finished time.Time   `json:"finished"`

	// Phases is where the run's time went, as far as its last process is concerned. Its exports
	// go through the phases one after the other.
	Phases []PhaseReport `json:"phases,omitempty"`

	Status ledger.Status `json:"status"`          // or [StatusFailed]
	Error  string        `json:"error,omitempty"` // why the run failed

	// TransactionTime is the lowest of the exports', as the server wrote it; "" if one
	// has none that can be read.
	TransactionTime string `json:"transaction_time,omitempty"`

	Resources    int64 `json:"resources"`     // read from whole files, and rows published
	Quarantined  int64 `json:"quarantined"`   // lines that could not become rows
	NDJSONBytes  int64 `json:"ndjson_bytes"`  // uncompressed
	ParquetBytes int64 `json:"parquet_bytes"` // published

	// Duplicates counts resources with the same type, id and meta.versionId (where there is one)
	// that came more than once in the run: each time but the first. All are published; the views
	// of current data show one. Nil: not known, since the run was resumed by another process, or
	// had more than 3 million resources.
	Duplicates *int64 `json:"duplicates,omitempty"`

	// Attachments counts rows that hold a URL of an attachment at the export's server.
	Attachments int64 `json:"attachments,omitempty"`

	Members *MembersReport `json:"members,omitempty"` // of the feed's groups

	// Watermarks are the times up to which the feed is complete after the run, by resource type;
	// "*" is every type. Held says why the run did not move them.
	Watermarks map[string]string `json:"watermarks,omitempty"`
	Held       string            `json:"watermark_held,omitempty"`

	// Retired is what came of retiring what a full run lacks; nil if the feed does not want that
	// or there was nothing to do.
	Retired *RetireReport `json:"retired,omitempty"`

	// OlderKept is why the feed's older runs stay live after a full run, though they need not be
	// kept; "" if that was not in question.
	OlderKept string `json:"older_runs_kept,omitempty"`

	// Filters are what was asked for besides types and groups, as hashes to compare.
	Filters map[string]string `json:"filters,omitempty"`

	// GroupSearch is a hash of what the groups were searched by, "" if they were not.
	GroupSearch string `json:"group_search,omitempty"`

	// Moved is how the run moved the watermarks.
	Moved []MoveReport `json:"watermark_moves,omitempty"`

	// ExportKept is why the server's exports are left there, "" if they are not.
	ExportKept string `json:"export_kept,omitempty"`

	// Replaces are the runs that a compaction was made from. Its exports are theirs.
	Replaces []string `json:"replaces,omitempty"`

	Exports []ExportReport `json:"exports"`
	Types   []TypeReport   `json:"types"`
	Files   []FileReport   `json:"files"`
	Parts   []Part         `json:"parts"`
	Issues  Issues         `json:"issues,omitempty"`

	// Quarantine are the keys of the files with the quarantined lines: NDJSON, one object per
	// line, with file, line, offset, reason and bytes (base64).
	Quarantine []string `json:"quarantine,omitempty"`

	// ServerErrors are the keys of the files with what the server's error files say is missing:
	// NDJSON, the OperationOutcomes that have such issues, as the server sent them.
	ServerErrors []string `json:"server_errors,omitempty"`
}

// StatusFailed is the status of a run that published nothing. It stands in reports, never in a
// feed's object.
const StatusFailed ledger.Status = "failed"

// JSON returns the report as it is stored.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// Report reads the report of a run. The error wraps [fs.ErrNotExist] if there is none, or is a
// [*ledger.DamagedError], or the store's.
func (l Lake) Report(ctx context.Context, run string) (*Report, error) {
	key := ReportKey(run)
	content, _, err := l.State.Load(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading the report of run %s: %w", run, err)
	}
	var r Report
	err = json.Unmarshal(content, &r)
	if err == nil && r.Run != run { // for example null, or {}
		err = errors.New("it is not the report of this run")
	}
	if err != nil {
		return nil, &ledger.DamagedError{Key: key, Err: err, Hint: "restore it from a backup"}
	}
	return &r, nil
}

// PutReport writes down, for people and for gc, what a run has published: its report, and the
// list of its parts if any of it is to be live.
func (l Lake) PutReport(ctx context.Context, r *Report) error {
	parts, err := json.MarshalIndent(partList{Run: r.Run, Parts: r.Parts}, "", "  ")
	if err != nil {
		return err
	}
	report, err := r.JSON()
	if err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.State.Put(gctx, ReportKey(r.Run), report) })
	if r.Empty() {
		return group.Wait() // the run will not be among the feed's, and gc may remove all that it has except its report
	}
	group.Go(func() error {
		if err := l.State.Put(gctx, PartsKey(r.Run), append(parts, '\n')); err != nil {
			return fmt.Errorf("writing the list of parts of run %s: %w", r.Run, err)
		}
		return nil
	})
	return group.Wait()
}

// Empty reports whether the run has left nothing that could be live: neither parts nor
// quarantine nor the server's errors.
func (r *Report) Empty() bool {
	return len(r.Parts) == 0 && len(r.Quarantine) == 0 && len(r.ServerErrors) == 0
}
