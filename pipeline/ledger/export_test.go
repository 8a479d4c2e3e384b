package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// Stop makes the lease look as if its process had been stopped for so long and woken just now.
func (l *Lease) Stop(d time.Duration) {
	was := *l.now.Load()
	was.sent = was.sent.Add(-d)
	l.now.Store(&was)
}

// ReadRun reads the entries of a run that count at present, without a lease, in the order of
// [Run.Entries]. A run without a ledger has none.
func ReadRun(ctx context.Context, s Store, run string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		if !IsName(run) {
			yield(nil, fmt.Errorf("%q is not a run name", run))
			return
		}
		there, err := list(ctx, s, run)
		var counted []entry
		if err == nil {
			counted, err = there.counted(ctx, s, run)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		readEntries(ctx, s, run, counted)(yield)
	}
}
