package pipeline

import (
	"context"

	"fhirkiln/pipeline/ledger"
)

// withLease calls do while this process holds the feed's lease. Before that, it tidies up what
// earlier processes have left.
func withLease(ctx context.Context, o Options, do func(*ledger.Lease) error) (err error) {
	lease, err := ledger.Acquire(ctx, o.State, ledger.Options{Feed: o.Feed.Name, Source: o.Feed.Source, Purpose: o.Feed.Purpose,
		Holder: o.Holder, TTL: o.LeaseTTL, Log: o.Log})
	if err != nil {
		return err
	}
	defer func() { // also after a panic: the lease would go on renewing itself
		stop, cancel := windDown(ctx)
		defer cancel()
		if failed := lease.Release(stop); failed != nil && err == nil {
			o.Log.Warn("could not release the feed's lease; it expires by itself", "error", failed)
		}
	}()
	tidyRuns(lease.Context(), o, lease)
	return do(lease)
}
