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
)

// kindNow is what the next run of the feed has to be.
func (r *run) kindNow() ledger.Kind {
	feed := r.lease.Feed()
	due := r.Feed.FullEvery > 0 && !feed.Full.IsZero() && r.started.Sub(feed.Full) >= r.Feed.FullEvery
	if r.Full || due || len(feed.Watermarks) == 0 {
		return ledger.KindFull
	}
	return ledger.KindIncremental
}

// planData plans the exports that bring the data: for each group, and for each of the
// instants that its types are complete up to, one. Groups in full get everything first.
//
// What tells of deletes alone goes before all of that: it may be of months, and tell of what was
// deleted and made again since. It should not, but if so, the exports after it bring that back, as
// far as they are of a later time.
func (r *run) planData(ctx context.Context, full map[string]bool) ([]planned, error) {
	untold, err := r.untoldDeletes(ctx)
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
		add(group, untold)
	}
	for _, group := range r.groups() {
		add(group, r.windows(full[group] || r.journal.begun.Kind == ledger.KindFull))
	}
	return plan, nil
}

// windows are the feed's types by what they are complete up to. In full, they are
// asked for from the beginning, and since then all the same: servers tell of deletes under
// _since alone, and those that the watermark has passed are never told again.
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

// untoldDeletes is since when deletes may not have been told of types without a watermark: since the
// oldest of their rows that are live. There are such rows where the type's only runs were partial,
// later ones left it out, or somebody has taken its watermark away.
func (r *run) untoldDeletes(ctx context.Context) ([]ledger.Window, error) {
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
			continue // from start, deletes are told of anyway
		}
		w.Since = oldest.Add(-r.Feed.Overlap)
		windows = append(windows, w)
	}
	return windows, nil
}

// inFull says whether all of the feed was exported: as a full run does, and one that finds new
// members in each group of a server that does not export patients by name.
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

// request is the kick-off of a planned export.
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

// filterText is what a feed asks for beside types and groups: names, and hashes of
// values, since they may name patients. A watermark is good for one of them only: what
// was filtered out before it would never come.
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

// filterHash is a text to compare, in the place of one that may name people; "" of none.
func filterHash(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%.6x", sha256.Sum256([]byte(text)))
}

// changed are the names of what is not the same.
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

// checkFilters refuses a feed whose watermark is about something else.
func checkFilters(o Options, feed ledger.Feed) error {
	if o.Full || len(feed.Watermarks) == 0 {
		return nil
	}
	if changed := filterText(feed.Filters).changed(filtersOf(o.Feed)); len(changed) > 0 {
		return &FilterError{Feed: o.Feed.Name, Changed: changed}
	}
	return nil
}

// checkSink looks for a part of the newest live run, for a run of a kind that brings only
// what has changed. A sink without it is not the one that
// the watermarks are about, as where the state has a place of its own and sink.url has
// changed: what has changed since would be all that is there.
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
			return &sink.Error{Doing: "looking for what was published before", Where: r.Sink.String(),
				Err:  fmt.Errorf("%s of the live run %s is not there", parts[0].Key, runs[i].Run),
				Hint: "is sink.url the place where the feed's rows are? Put it or the files back; or export everything again with --full"}
		}
		if err != nil {
			return err
		}
		return part.Close()
	}
	return nil
}
