package pipeline

import (
	"context"
	"fmt"
	"time"

	"fhirkiln/pipeline/ledger"
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
// A feed that never ran may be given one, for data that is there by other means. Of o,
// Feed and State, or Sink, are used. Errors are a [*ledger.HeldError], an
// [*UnfinishedError], the ledger's, and one for a text that is no instant.
func SetWatermark(ctx context.Context, o Options, types []string, to string) ([]MoveReport, error) {
	o = o.withDefaults()
	var moves []MoveReport
	err := hold(ctx, o, func(lease *ledger.Lease) error {
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
					moves = append(moves, MoveReport{Type: m.Type, From: m.From, To: m.To})
				}
			}
			return nil
		})
	})
	return moves, err
}
