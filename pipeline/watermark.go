package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/transport"
)

// UnfinishedError says that a feed's watermark cannot be set because a run of the feed is
// unfinished. That run's exports start from the old watermark, and it would move the watermark
// on, whatever is set now.
type UnfinishedError struct {
	Feed, Run string
	Started   time.Time
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("feed %s has an unfinished run, %s, begun %s, which would move the watermark on from the previous one",
		e.Feed, e.Run, e.Started.Format(time.RFC3339))
}

// SetWatermark sets the watermarks of resource types, or that of all types if none are given, to
// an instant (RFC 3339), which may be earlier than the present one. If to is "", it removes
// them, so that the next run exports those types in full. The feed's history records the moves
// as set by hand, and SetWatermark returns them.
//
// An instant counts for the server at o.Feed.Base from then on, and so do the other types'
// watermarks: setting one to its present value confirms a new address of the same server.
//
// A feed that has never run may be given a watermark, for data that got there by other means.
// Besides what it takes to hold the feed's lease, only o.Feed, o.Now and o.State, or o.Sink, are
// used. With o.Sink, it also tidies up after earlier runs. Errors are a [*ledger.HeldError], an [*UnfinishedError],
// those of the ledger, and one for a text that is not an instant.
func SetWatermark(ctx context.Context, o Options, types []string, to string) ([]lake.MoveReport, error) {
	o = o.withDefaults()
	var moves []lake.MoveReport
	err := withLease(ctx, o, func(lease *ledger.Lease) error {
		return lease.Update(lease.Context(), func(f *ledger.Feed) error {
			if u := f.Unfinished; u != nil {
				return &UnfinishedError{Feed: f.Name, Run: u.Run, Started: u.Started}
			}
			set, err := f.Set(types, to, o.Now().UTC())
			if err != nil {
				return err
			}
			if f.Filters == nil {
				f.Filters = filtersOf(o.Feed) // what the watermark holds for
			}
			if is := serverOf(o.Feed); to != "" && is != "" {
				f.Server = is
			}
			moves = nil // this function may be called again
			for _, m := range set {
				moves = append(moves, lake.MoveReport{Type: m.Type, From: m.From, To: m.To})
			}
			return nil
		})
	})
	return moves, err
}

// moveWatermark moves f's watermarks to the lowest transactionTime of the run's exports,
// provided that nothing is missing from them.
//
// The list of members moves with the watermarks: for every member on it, everything up to the
// watermark is published. If a run does not move the watermark, the next run asks again for
// whatever this one has not fetched about a new member.
func (r *run) moveWatermark(f *ledger.Feed, members string, now time.Time) {
	if r.report.Kind == ledger.KindFiles {
		return
	}
	if r.inFull() {
		f.Full = r.started.UTC() // even if the watermark stays: otherwise every night from then on would be full
	}
	if n := r.report.Issues.Failed(); n > r.Feed.MaxErrors {
		r.keepWatermark("the server reported errors, so the next run asks again")
		return
	}
	if r.report.TransactionTime == "" {
		r.keepWatermark("the server gave no readable transactionTime")
		return
	}
	types, upTo := r.journal.begun.Types, r.completeUpTo()
	if otherServer(f.Server, r.journal.begun.Server) || len(filterText(f.Filters).changed(r.journal.begun.Filters)) > 0 {
		f.KeepOnly(nil, r.id, now) // the old watermarks hold for something else, even if they are later
	}
	f.Filters, f.Server = maps.Clone(r.journal.begun.Filters), cmp.Or(r.journal.begun.Server, f.Server)
	older := slices.ContainsFunc(f.Since(types), func(w ledger.Window) bool { return w.Since.After(instant(upTo)) })
	if older && f.Members != "" {
		// Otherwise a type without a watermark would get this one, and would never get the
		// patients who have joined since: the feed's list has them already.
		r.keepWatermark("the server's transactionTime is earlier than the previous one")
		return
	}
	stay, err := f.Move(types, upTo, r.id, now)
	switch {
	case err != nil:
		r.keepWatermark(err.Error())
	case len(stay) > 0:
		r.keepWatermark("the server's transactionTime is not later than the previous one")
	}
	if older {
		return // new members are not published up to the later watermark
	}
	f.Members = members
	if members != "" && len(types) > 0 {
		f.KeepOnly(types, r.id, now) // for other types, new members are not published at all
	}
}

// completeUpTo returns the lowest transactionTime, or an instant just before the requested end
// (until) of the exports if that is not later: what changed after the end is not in them.
// Neither is what changed at the end itself, and the next export leaves out its _since too (IG,
// "Query Parameters").
//
// If a transactionTime was still in the future, it returns the run's start. Servers are known to
// write local time as if it were UTC, and what changes until then would never be asked for.
func (r *run) completeUpTo() string {
	text, upTo := r.report.TransactionTime, instant(r.report.TransactionTime)
	if slices.ContainsFunc(r.journal.exports, func(x *export) bool { return x.complete != nil && x.complete.Ahead }) {
		upTo = r.started.UTC().Truncate(time.Millisecond)
		text = upTo.Format(time.RFC3339Nano)
	}
	if until := r.Feed.Request.Until; !until.IsZero() && !until.After(upTo) {
		return until.UTC().Truncate(time.Millisecond).Add(-time.Millisecond).Format(time.RFC3339Nano)
	}
	return text
}

// clockSkew is how far a server's clock may be ahead of this machine's.
const clockSkew = 10 * time.Minute

// instant parses a time. It returns zero for what cannot be parsed.
func instant(text string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, text) //nolint:errcheck // as said
	return t
}

func (r *run) keepWatermark(why string) {
	if r.report.Held == "" {
		r.report.Held = why
		r.Log.Warn("the watermark stays", "why", why)
	}
}

// checkTime reports whether the transactionTime is in the future, by more than clockSkew. One
// that is more than a day ahead is refused: no row of a later export would ever count as newer.
func (r *run) checkTime(m *bulk.Manifest, log *slog.Logger) (isAhead bool, err error) {
	ahead := m.TransactionTime.Sub(r.Now())
	switch {
	case m.TransactionTime.IsZero():
		log.Warn("the server gave no readable transactionTime")
	case ahead > 24*time.Hour:
		return true, &transport.Error{Kind: transport.Broken, Doing: "reading the manifest", URL: m.StatusURL,
			Err:  fmt.Errorf("its transactionTime, %s, is %v ahead of this machine's clock", m.TransactionTimeText, ahead.Round(time.Minute)),
			Hint: "if this machine's clock is right, ask the server's owner"}
	case ahead > clockSkew:
		log.Warn("the server's transactionTime is in the future; the next run asks for what has changed since the start of this one", "transaction_time", m.TransactionTimeText)
	}
	return ahead > clockSkew, nil
}
