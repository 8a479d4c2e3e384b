package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// nextKind returns the kind that the feed's next run must have.
func (r *run) nextKind() ledger.Kind {
	feed := r.lease.Feed()
	due := r.Feed.FullEvery > 0 && !feed.Full.IsZero() && r.started.Sub(feed.Full) >= r.Feed.FullEvery
	if r.Full || due || len(feed.Watermarks) == 0 {
		return ledger.KindFull
	}
	return ledger.KindIncremental
}

// planData plans the exports that fetch the data: for each group, one for each instant up to
// which some of the types are complete. Groups in full first get an export of everything.
//
// Before all of those come the exports that are made only to learn of deletes. They may span
// months, and report deletes of resources that have been created again since. They should not,
// but if they do, the exports that follow bring those resources back, as far as these have a
// later transactionTime.
func (r *run) planData(ctx context.Context, full map[string]bool) ([]planned, error) {
	missed, err := r.missedDeletes(ctx)
	if err != nil {
		return nil, err
	}
	var plan []planned
	add := func(group string, windows []ledger.Window) {
		for _, w := range windows {
			plan = append(plan, planned{Role: roleData, Group: group, Types: w.Types, Since: w.Since})
		}
	}
	for _, group := range r.groups() {
		add(group, missed)
	}
	for _, group := range r.groups() {
		add(group, r.windows(full[group] || r.journal.begun.Kind == ledger.KindFull))
	}
	return plan, nil
}

// windows groups the feed's types by the instant up to which they are complete. If full, types
// are requested from the beginning and, even so, once more since those instants: servers report
// deletes only under _since, and never again once the watermark has passed them.
func (r *run) windows(full bool) []ledger.Window {
	feed, types, start := r.lease.Feed(), r.journal.begun.Types, r.Feed.Request.Since
	var plan []ledger.Window
	if full {
		plan = append(plan, ledger.Window{Types: types, Since: start})
	}
	for _, w := range feed.Since(types) {
		switch {
		case !w.Since.IsZero():
			w.Since = w.Since.Add(-r.Feed.Overlap)
		case full:
			continue
		default:
			w.Since = start
		}
		plan = append(plan, w)
	}
	return plan
}

// missedDeletes returns windows for types without a watermark whose deletes may not have been
// reported: since the oldest live rows of those types. A type has such rows if all its runs were
// partial, if later runs left it out, or if somebody removed its watermark.
func (r *run) missedDeletes(ctx context.Context) ([]ledger.Window, error) {
	feed, start := r.lease.Feed(), r.Feed.Request.Since
	var windows []ledger.Window
	for _, w := range feed.Since(r.journal.begun.Types) {
		if !w.Since.IsZero() {
			continue
		}
		oldest, err := r.lake().OldestLive(ctx, feed, w.Types)
		if err != nil {
			return nil, err
		}
		if oldest.IsZero() || !start.IsZero() && !oldest.Before(start) {
			continue // the export from start reports these deletes anyway
		}
		w.Since = oldest.Add(-r.Feed.Overlap)
		windows = append(windows, w)
	}
	return windows, nil
}

// inFull reports whether the whole feed was exported. A full run does that, and so does a run
// that finds new members in every group of a server that does not export patients by name.
func (r *run) inFull() bool {
	switch r.journal.begun.Kind {
	case ledger.KindFull:
		return true
	case ledger.KindIncremental:
	default:
		return false
	}
	full := map[string]bool{}
	for _, x := range r.journal.withRole(roleData) {
		if x.Since.Equal(r.Feed.Request.Since) && slices.Equal(x.Types, r.journal.begun.Types) {
			full[x.Group] = true
		}
	}
	return !slices.ContainsFunc(r.groups(), func(g string) bool { return !full[g] })
}

// request returns the kick-off of a planned export.
func (r *run) request(x *export) bulk.Request {
	p, q := x.planned, r.Feed.Request
	q.Group = p.Group
	switch p.Role {
	case roleMembers:
		q = bulk.Request{Level: q.Level, Group: p.Group, Types: []string{"Patient"}, Elements: []string{"id"},
			Header: q.Header, Parameters: q.Parameters, Lenient: q.Lenient, RepeatLists: q.RepeatLists, Post: q.Post,
			SeparateStatus: q.SeparateStatus, ExportType: q.ExportType}
		if x.whole {
			q.Elements = nil
		}
		if x.untyped {
			q.Types = nil
		}
	case roleHistory:
		q.Types, q.Since, q.Patients, q.Post = p.Types, r.Feed.Request.Since, p.Patients, true
	case roleData:
		q.Types, q.Since = p.Types, p.Since
		if r.Feed.DeltaType != "" && !p.Since.Equal(r.Feed.Request.Since) {
			q.ExportType = r.Feed.DeltaType
		}
	}
	return q
}

// filterText is what a feed asks for besides types and groups: names, and hashes of values,
// since these may name patients. A watermark holds for one filterText only: under another, what
// was filtered out before the watermark would never come.
type filterText map[string]string

func filtersOf(f Feed) filterText {
	q := f.Request
	all := filterText{}
	add := func(name string, values ...string) {
		if text := strings.Join(slices.Sorted(slices.Values(values)), "\n"); text != "" {
			all[name] = filterHash(text)
		}
	}
	add("elements", q.Elements...)
	add("type_filters", q.TypeFilters...)
	add("associated_data", q.AssociatedData...)
	add("patients", q.Patients...)
	add("organize_by", q.OrganizeBy)
	if !q.Until.IsZero() {
		add("until", q.Until.UTC().Format(time.RFC3339Nano))
	}
	var parameters []string
	for _, p := range q.Parameters {
		parameters = append(parameters, p.Name+"="+p.Value)
	}
	add("parameters", parameters...)
	all["level"] = string(q.Level)
	return all
}

// filterHash returns a hash to compare instead of a text that may name people, "" for "".
func filterHash(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%.6x", sha256.Sum256([]byte(text)))
}

// changed returns the names of the filters that differ.
func (was filterText) changed(is filterText) []string {
	var names []string
	for _, side := range []filterText{was, is} {
		for name := range side {
			if was[name] != is[name] && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// checkWatermarks returns an error if the feed's watermarks hold for another server, or for
// other filters.
func (r *run) checkWatermarks() error {
	feed := r.lease.Feed()
	if r.Full || len(feed.Watermarks) == 0 {
		return nil
	}
	if otherServer(feed.Server, serverOf(r.Feed)) {
		host, _, _ := strings.Cut(feed.Server, " ")
		return &OtherServerError{Feed: r.Feed.Name, Was: host, Is: transport.Redact(r.Feed.Base)}
	}
	if changed := filterText(feed.Filters).changed(filtersOf(r.Feed)); len(changed) > 0 {
		return &FilterError{Feed: r.Feed.Name, Changed: changed}
	}
	return nil
}

// checkSink looks for a part of the newest live run that has any, before a run that fetches only
// changes. If the part is missing, this is not the sink that the watermarks are about: the state
// may be kept elsewhere, and sink.url may have changed. The sink would then hold nothing but the
// changes since.
func (r *run) checkSink(ctx context.Context, kind ledger.Kind) error {
	if kind != ledger.KindIncremental {
		return nil
	}
	runs := r.lease.Feed().Runs
	for i := len(runs) - 1; i >= 0; i-- {
		if runs[i].Parts == 0 {
			continue
		}
		parts, err := r.lake().PartsOf(ctx, runs[i].Run)
		if err != nil || len(parts) == 0 {
			return err
		}
		part, err := r.Sink.Open(ctx, parts[0].Key)
		if errors.Is(err, fs.ErrNotExist) {
			return &sink.Error{Doing: "looking for what was published earlier", Where: r.Sink.String(),
				Err:  fmt.Errorf("%s of the live run %s is missing", parts[0].Key, runs[i].Run),
				Hint: "check that sink.url is where the feed's rows are, and correct it or restore the files; or export everything again with --full"}
		}
		if err != nil {
			return err
		}
		return part.Close()
	}
	return nil
}
