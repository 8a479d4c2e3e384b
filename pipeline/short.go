package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// A full run is short of a type if it has fewer of the type's resources than are live, by more
// than 1/shortDivisor and by more than shortFew: its export may not have been whole. In a type
// with few resources, such as the organizations of a small clinic, one or two come and go all the
// time. But if none of them is left, that is no coming and going.
const (
	shortDivisor = 10
	shortFew     = 2
)

func short(before, now int64) bool {
	missing := before - now
	return missing*shortDivisor > before && (missing > shortFew || now == 0)
}

// checkShort keeps the older runs live if this full run would have them dropped, but is short of
// a type: what its export lacks would go with them. The run is then partial, so that no later run
// and no gc takes it for a full one. The same goes for a run that cannot be compared.
//
// What was kept once may be dropped by the next run with Options.Full, if that finds no less.
func (r *run) checkShort(ctx context.Context) error {
	refused := r.report.retiringRefused()
	if r.Feed.Keep == (lake.Retention{}) && !refused || !r.inFull() || r.report.Empty() || r.report.Issues.Failed() > 0 || r.report.Quarantined > 0 {
		return nil // nothing is dropped anyway
	}
	why, err := r.whyShort(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case refused:
		return nil // the same is said already, and a run that confirms it has the counts now
	case err != nil:
		why = fmt.Sprintf("the export cannot be compared with what is live (see fhirkiln verify): %v", err)
	}
	if r.report.OlderKept = why; why != "" {
		r.Log.Warn("the older runs stay live", "why", why)
	}
	return nil
}

// whyShort says which type this full run is short of, "" if there is none. It compares the ids in
// the run's parts with those in the live ones, type by type, as far as the run would replace them:
// what it does not cover stays live, and what was asked for with other filters is not comparable.
func (r *run) whyShort(ctx context.Context) (string, error) {
	live, err := r.comparable(ctx)
	if err != nil || len(live) == 0 {
		return "", err
	}
	held, err := r.lastHeld(ctx)
	if err != nil {
		return "", err
	}
	r.Log.Info("counting the resources that are live, to compare the full run with them")
	deleted := r.newestTombstones(ctx, slices.Concat(live, r.ownParts()))
	types := map[string]bool{}
	for _, p := range live {
		types[p.Type] = r.report.Covers(p.Type)
	}
	why := ""
	for _, t := range slices.Sorted(maps.Keys(types)) {
		if !types[t] {
			continue
		}
		var was, is idSample
		for _, p := range live {
			if r.eachRow(ctx, []lake.Part{p}, t, was.add) != nil { // as verify says; a full run may be the remedy
				was.anonymous += p.Rows
			}
		}
		if err := r.eachRow(ctx, r.ownParts(), t, is.add); err != nil {
			return "", err
		}
		before, now := was.countExcept(deleted[t]), is.countExcept(nil)
		if now > 0 {
			r.report.typeOf(t).Distinct = now
		}
		confirmed := held != nil && held.Covers(t) && !short(resourcesOf(held, t), now)
		if why == "" && short(before, now) && !confirmed {
			why = fmt.Sprintf("the export has %s, more than a tenth fewer than the %d that are live",
				amount(now, t+" resource", t+" resources"), before)
		}
	}
	return why, nil
}

// comparable returns the live parts of the feed that may hold what is current, of runs with this
// run's filters. If the state is damaged, there are none for a run with Options.Full: verify tells
// people to make one, so that the damaged runs go.
func (r *run) comparable(ctx context.Context) ([]lake.Part, error) {
	runs, err := r.lake().CurrentRuns(ctx, r.lease.Feed())
	if why := whyUnread(err); why != "" && r.Full {
		r.Log.Warn("the full run is not compared with what is live", "why", why)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var parts []lake.Part
	for _, of := range runs {
		report, err := r.lake().Report(ctx, of.Run) // which CurrentRuns has read, too
		if err != nil {
			return nil, err
		}
		if maps.Equal(report.Filters, r.journal.begun.Filters) {
			parts = append(parts, of.List...)
		}
	}
	return parts, nil
}

// newestTombstones returns the resources that parts say are deleted, by type, as far as the parts
// can be read.
func (r *run) newestTombstones(ctx context.Context, parts []lake.Part) map[string]*idSample {
	deleted := map[string]*idSample{}
	for _, p := range parts {
		_ = r.eachRow(ctx, []lake.Part{p}, columnar.Deleted, func(k columnar.Key) {
			if deleted[k.ResourceType] == nil {
				deleted[k.ResourceType] = new(idSample)
			}
			deleted[k.ResourceType].add(k)
		})
	}
	return deleted
}

// lastHeld returns the report of the feed's last full run with this run's filters, if the older
// runs stayed live after it. It returns nil unless this run was asked for with Options.Full, which
// confirms what that one found.
func (r *run) lastHeld(ctx context.Context) (*lake.Report, error) {
	if !r.Full {
		return nil, nil
	}
	for _, of := range slices.Backward(r.lease.Feed().Runs) {
		for _, run := range slices.Backward(append(slices.Clone(of.Replaces), of.Run)) {
			report, err := r.lake().Report(ctx, run)
			if whyUnread(err) != "" {
				continue
			}
			if err != nil {
				return nil, err
			}
			held := report.OlderKept != "" || report.Retired != nil && report.Retired.Refused
			switch full := report.Kind == ledger.KindFull || report.Full; {
			case !maps.Equal(report.Filters, r.journal.begun.Filters):
			case held:
				return report, nil
			case full && report.Status == ledger.StatusPublished:
				return nil, nil // what was found before it does not matter any more
			}
		}
	}
	return nil, nil
}

// resourcesOf returns how many resources of a type a run has, each counted once. If the run did
// not count them, it is at most that many.
func resourcesOf(report *lake.Report, resourceType string) int64 {
	for _, t := range report.Types {
		switch {
		case t.Type != resourceType:
		case t.Distinct > 0:
			return t.Distinct
		case t.Duplicates != nil:
			return t.Rows - *t.Duplicates
		default:
			return t.Rows
		}
	}
	return 0
}
