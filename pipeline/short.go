package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// A full run is short of a type if it lacks more than 1/shortDivisor of the type's resources that
// are live, and more than shortFew: its export may not have been whole. In a type with few
// resources, such as the organizations of a small clinic, one or two come and go all the time. But
// if the export has none of the type, that is no coming and going.
const (
	shortDivisor = 10
	shortFew     = 2
)

// short judges a type of which before resources were live, missing of them are not in the export,
// and the export has now, old and new.
func short(before, missing, now int64) bool {
	return missing*shortDivisor > before && (missing > shortFew || now == 0)
}

// checkShort decides whether this full run may replace what is older. It may not if it is short of
// a type: what its export lacks would go with the older runs. With Feed.Keep, the run is then
// partial, so that people hear of it. The same goes for a run that cannot be compared.
//
// What was missing once is accepted by the next run with Options.Full, if no more is missing.
func (r *run) checkShort(ctx context.Context) error {
	if !r.inFull() || r.report.Empty() || r.report.Issues.Failed() > 0 || r.report.Quarantined > 0 {
		return nil // it replaces nothing anyway
	}
	why, err := r.whyShort(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		why = fmt.Sprintf("the export cannot be compared with what is live (see fhirkiln verify): %v", err)
	}
	r.supersedes = why == ""
	if !r.supersedes && r.Feed.Keep != (lake.Retention{}) {
		r.report.OlderKept = why
		r.Log.Warn("the older runs stay live", "why", why)
	}
	return nil
}

// whyShort says what this full run is short of, "" if of nothing. It compares the ids in the run's
// parts with those in the live ones, type by type, as far as the run would replace them: what it
// does not cover stays live, and what was asked for with other filters is not comparable.
func (r *run) whyShort(ctx context.Context) (string, error) {
	live, err := r.comparable(ctx)
	if err != nil || len(live) == 0 {
		return "", err
	}
	told, err := r.lastHeld(ctx)
	if err != nil {
		return "", err
	}
	r.Log.Info("comparing the full run with the resources that are live")
	types := map[string]bool{}
	for _, of := range live {
		for _, p := range of.List {
			types[p.Type] = r.report.Covers(p.Type)
		}
	}
	var lacks []string
	for _, t := range slices.Sorted(maps.Keys(types)) {
		if !types[t] {
			continue
		}
		before, missing, now, err := r.compare(ctx, live, t)
		if err != nil {
			return "", err
		}
		if now > 0 || missing > 0 {
			report := r.report.typeOf(t)
			report.Distinct, report.Missing = now, missing
		}
		if short(before, missing-told[t], now) {
			lacks = append(lacks, fmt.Sprintf("%d of %d %s", missing, before, t))
		}
	}
	if len(lacks) == 0 {
		return "", nil
	}
	return "the export lacks resources that are live: " + strings.Join(lacks, ", "), nil
}

// compare returns how many resources of a type are live, how many of them this run lacks, and how
// many it has.
func (r *run) compare(ctx context.Context, live []lake.LiveRun, t string) (before, missing, now int64, err error) {
	var was, is idSample
	unread, anonymous := int64(0), int64(0)
	for _, of := range live {
		was.anonymous = 0
		for _, p := range of.List {
			damaged, err := r.eachRowOrDamage(ctx, p, t, was.add)
			if err != nil {
				return 0, 0, 0, err
			}
			if damaged { // as verify says; a full run may be the remedy
				unread += p.Rows
			}
		}
		// Such a row may be the same as one of the run before.
		anonymous = max(anonymous, was.anonymous)
	}
	for _, of := range append(slices.Clone(live), lake.LiveRun{List: r.ownParts()}) {
		for _, p := range of.List {
			if _, err := r.eachRowOrDamage(ctx, p, columnar.Deleted, func(k columnar.Key) {
				if k.ResourceType == t {
					was.remove(k)
				}
			}); err != nil {
				return 0, 0, 0, err
			}
		}
	}
	if err := r.eachRow(ctx, r.ownParts(), t, is.add); err != nil {
		return 0, 0, 0, err
	}
	known, absent := was.notIn(&is)
	missing = absent + unread + max(0, anonymous-is.anonymous)
	return known + unread + anonymous, missing, is.count() + is.anonymous, nil
}

// eachRowOrDamage is eachRow for one part. That the part is gone or damaged is no error; that the
// store does not give it is.
func (r *run) eachRowOrDamage(ctx context.Context, p lake.Part, t string, each func(columnar.Key)) (damaged bool, err error) {
	err = r.eachRow(ctx, []lake.Part{p}, t, each)
	if err == nil || ctx.Err() != nil {
		return false, err
	}
	if _, failed := errors.AsType[*sink.Error](err); failed && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, nil
}

// comparable returns the live runs of the feed with this run's filters, and those of their parts
// that may hold what is current. If the state is damaged, there are none for a run with
// Options.Full: verify tells people to make one, so that the damaged runs go.
func (r *run) comparable(ctx context.Context) ([]lake.LiveRun, error) {
	runs, err := r.lake().CurrentRuns(ctx, r.lease.Feed())
	_, newer := errors.AsType[*ledger.VersionError](err)
	if why := whyUnread(err); why != "" && !newer && r.Full {
		r.Log.Warn("the full run is not compared with what is live", "why", why)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := len(runs)
	var failed error
	runs = slices.DeleteFunc(runs, func(of lake.LiveRun) bool {
		report, err := r.lake().Report(ctx, of.Run) // which CurrentRuns has read, too
		failed = cmp.Or(failed, err)
		return err != nil || !maps.Equal(report.Filters, r.journal.begun.Filters)
	})
	if failed != nil {
		return nil, failed
	}
	if others := all - len(runs); others > 0 {
		r.Log.Warn("the full run is not compared with runs that were asked for with other parameters", "runs", others)
	}
	return runs, nil
}

// lastHeld returns how many resources of each type the feed's last full run with this run's
// filters was missing, if the older runs stayed live after it. Asking for this run with
// Options.Full accepts those, and without it nothing.
func (r *run) lastHeld(ctx context.Context) (map[string]int64, error) {
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
			if report.Kind != ledger.KindFull && !report.Full || !maps.Equal(report.Filters, r.journal.begun.Filters) {
				continue
			}
			told := map[string]int64{}
			if report.OlderKept != "" || report.Retired != nil && report.Retired.Refused {
				for _, t := range report.Types {
					told[t.Type] = t.Missing
				}
			}
			return told, nil // what was found before it does not matter any more
		}
	}
	return nil, nil
}
