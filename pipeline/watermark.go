package pipeline

import (
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

// UnfinishedError says that a feed's watermark cannot be set, since an unfinished run has
// exports from the one before: it would move the watermark on, whatever is set now.
type UnfinishedError struct {
	Feed, Run string
	Started   time.Time
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("the feed %s has a run that is not finished, %s of %s, which would move the watermark on from the one before",
		e.Feed, e.Run, e.Started.Format(time.RFC3339))
}

// SetWatermark sets the watermarks of resource types, or that of all types if there are
// none, to an instant (RFC 3339), backwards too; "" takes them away, so that the next run
// exports those types in full. The feed's history has it, as set by hand. It returns how
// they moved.
//
// A feed that never ran may be given one, for data that is there by other means. Only
// o.Feed and o.State, or o.Sink, are used. Errors are a [*ledger.HeldError], an
// [*UnfinishedError], the ledger's, and one for a text that is no instant.
func SetWatermark(ctx context.Context, o Options, types []string, to string) ([]lake.MoveReport, error) {
	o = o.withDefaults()
	var moves []lake.MoveReport
	err := withLease(ctx, o, func(lease *ledger.Lease) error {
		return lease.Update(lease.Context(), func(f *ledger.Feed) error {
			if u := f.Unfinished; u != nil {
				return &UnfinishedError{Feed: f.Name, Run: u.Run, Started: u.Started}
			}
			at := time.Now().UTC()
			if err := f.Set(types, to, at); err != nil {
				return err
			}
			if f.Filters == nil {
				f.Filters = filtersOf(o.Feed) // what the watermark is about
			}
			moves = nil // this may be called again
			for _, m := range f.History {
				if m.By == ledger.BySet && m.At.Equal(at) {
					moves = append(moves, lake.MoveReport{Type: m.Type, From: m.From, To: m.To})
				}
			}
			return nil
		})
	})
	return moves, err
}

// moveWatermark moves f's watermarks to the lowest transactionTime of the run's
// exports. It does so only if nothing of the export is missing.
//
// The list of members goes with them: of whom it lists, everything is published up to the
// watermark. What a run that does not move it has not brought of a new member, the next
// one asks for again.
func (r *run) moveWatermark(f *ledger.Feed, members string, now time.Time) {
	if r.report.Kind == ledger.KindFiles {
		return
	}
	if r.inFull() {
		f.Full = r.started.UTC() // even if the watermark stays: else each night would be full from then on
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
	if len(filterText(f.Filters).changed(r.journal.begun.Filters)) > 0 {
		f.KeepOnly(nil, r.id, now) // they are about something else, even if they are later
	}
	f.Filters = maps.Clone(r.journal.begun.Filters)
	older := slices.ContainsFunc(f.Since(types), func(w ledger.Window) bool { return w.Since.After(instant(upTo)) })
	if older && f.Members != "" {
		// Else a type without one would get this one, and lack for good those who have joined
		// since: the feed's list has them already.
		r.keepWatermark("the server's transactionTime is older than the one before")
		return
	}
	stay, err := f.Move(types, upTo, r.id, now)
	switch {
	case err != nil:
		r.keepWatermark(err.Error())
	case len(stay) > 0:
		r.keepWatermark("the server's transactionTime is not later than the one before")
	}
	if older {
		return // new members are not published that far
	}
	f.Members = members
	if members != "" && len(types) > 0 {
		f.KeepOnly(types, r.id, now) // of other types, new members are not published at all
	}
}

// completeUpTo is the lowest transactionTime, or where the exports were to end before it:
// what changed from there on is not in them. The end itself is not in them either, and
// neither is the next export's _since (IG, "Query Parameters").
//
// Of a transactionTime that was still to come, it is the run's start. Servers are known to
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

// clockSkew is by how much a server's clock may be before this machine's.
const clockSkew = 10 * time.Minute

// instant is zero for what cannot be read.
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

// checkTime says whether the transactionTime is still to come. One that is days ahead is
// refused: no row of a later export would ever count as newer.
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
		log.Warn("the server's transactionTime is still to come; the next run asks since the start of this one", "transaction_time", m.TransactionTimeText)
	}
	return ahead > clockSkew, nil
}
