package pipeline

import (
	"context"
	"maps"
	"slices"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// planCompactions finds consecutive runs of the feed that are worth merging into one.
func planCompactions(ctx context.Context, o Options, c CompactOptions, f ledger.Feed) ([][]lake.LiveRun, error) {
	var plan [][]lake.LiveRun
	var group []lake.LiveRun
	end := func() {
		if worthCompacting(o, c, group) {
			plan = append(plan, group)
		}
		group = nil
	}
	runs, err := o.lake().LiveRuns(ctx, f.Runs)
	if err != nil {
		return nil, err
	}
	var filters map[string]string
	for _, r := range runs {
		report, err := o.lake().Report(ctx, r.Run)
		if err != nil {
			return nil, err
		}
		if !maps.Equal(report.Filters, filters) { // a full run is compared with runs of its own filters
			end()
		}
		filters = report.Filters
		var size, n int64
		for _, p := range r.List {
			if c.wants(p) {
				size, n = size+p.Bytes, n+1
				if p.FullFooter {
					size += max(o.PartBytes-p.Bytes, 0)
				}
			}
		}
		if r.Kind == ledger.KindFull || r.Full {
			end()
		}
		if n > 0 && size/n >= o.PartBytes/2 {
			end()
			continue
		}
		group = append(group, r)
	}
	end()
	return plan, nil
}

// worthCompacting reports whether runs would have fewer parts as one run.
func worthCompacting(o Options, c CompactOptions, runs []lake.LiveRun) bool {
	small, bytes := map[string]int64{}, map[string]int64{}
	for _, r := range runs {
		for _, p := range r.List {
			if c.merges(p, o.PartBytes) {
				small[p.Type]++
				bytes[p.Type] += p.Bytes
			}
		}
	}
	for t, n := range small {
		if n > max(1, (bytes[t]+o.PartBytes-1)/o.PartBytes) {
			return true
		}
	}
	return false
}

func (c CompactOptions) wants(p lake.Part) bool {
	return len(c.Types) == 0 || slices.Contains(c.Types, p.Type)
}

// merges reports whether a part's rows are merged into another part. If not, its bytes are
// copied as they are.
func (c CompactOptions) merges(p lake.Part, target int64) bool {
	return c.wants(p) && p.Bytes < target/2 && !p.FullFooter
}
