package lake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"fhirkiln/pipeline/ledger"
)

// Verification is what [Lake.Verify] found.
type Verification struct {
	Feeds   int   `json:"feeds"`
	Runs    int   `json:"runs"` // live ones
	Parts   int   `json:"parts"`
	Rows    int64 `json:"rows"` // with every value decoded
	Bytes   int64 `json:"bytes"`
	NotLive int   `json:"not_live"` // parts of runs that are unfinished or no longer live: not a problem

	// How many problems are about feeds' objects, about runs' lists of parts and reports, about
	// parts, and about symlink manifests: what helps differs.
	FeedProblems     int `json:"feed_problems,omitempty"`
	RunProblems      int `json:"run_problems,omitempty"`
	PartProblems     int `json:"part_problems,omitempty"`
	ManifestProblems int `json:"manifest_problems,omitempty"`

	Problems  []string `json:"problems"`  // where something differs from what was published
	Unclaimed []string `json:"unclaimed"` // parts that belong to no run of any feed
}

// Verify reads back everything that is live and compares it with what feeds and runs say. Every
// part of a live run must be there, with the size, the SHA-256, the schema and the rows that it
// was published with, and each of its rows must turn back into a resource. The numbers of the
// feed, of the run's list of parts and of its report must agree. The symlink manifests of a feed
// that nobody is working on must name what is live. each, if not nil, is called before each
// part, with its number n and how many there are. What runs and gc change in the meantime may
// count as a problem.
//
// An error means that reading failed; what was found wrong is in the Verification.
func (l Lake) Verify(ctx context.Context, each func(key string, n, of int)) (*Verification, error) {
	v := &verifier{lake: l, each: each, unclaimed: map[string]bool{}, notLive: map[string]bool{}}
	v.Problems, v.Unclaimed = []string{}, []string{}
	// List the parts before reading the feeds: whatever is published after this is of no
	// interest.
	err := l.Parts.List(ctx, "", func(key string, _ int64) error {
		if strings.HasSuffix(key, ".parquet") && !InState(key) {
			v.unclaimed[key] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	names, err := ledger.List(ctx, l.State)
	if err != nil {
		return nil, err
	}
	if each != nil {
		v.of = countParts(ctx, l.State, names)
	}
	for _, name := range names {
		if err := v.feed(ctx, name); err != nil {
			return nil, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.unclaimed)) {
		if v.notLive[runOf(key)] {
			v.NotLive++
		} else {
			v.Unclaimed = append(v.Unclaimed, key)
		}
	}
	return &v.Verification, nil
}

// countParts counts the live parts of feeds as well as it can, for people who are waiting.
func countParts(ctx context.Context, state ledger.Store, feeds []string) (n int) {
	for _, name := range feeds {
		f, err := ledger.Read(ctx, state, name)
		if err != nil {
			continue // the verification will report it
		}
		for _, run := range f.Runs {
			n += int(run.Parts)
		}
	}
	return n
}

// verifier is a Verification under way.
type verifier struct {
	Verification
	lake  Lake
	each  func(key string, n, of int)
	n, of int // parts begun, and parts in all

	unclaimed map[string]bool // keys of parts that no live run has named yet
	notLive   map[string]bool // runs that are under way, or no longer live
}

// problem records a problem and counts it by kind.
func (v *verifier) problem(of *int, format string, args ...any) {
	*of++
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// feed verifies what is live of one feed.
func (v *verifier) feed(ctx context.Context, name string) error {
	f, err := ledger.Read(ctx, v.lake.State, name)
	if _, ok := errors.AsType[*ledger.DamagedError](err); ok {
		v.problem(&v.FeedProblems, "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	v.Feeds++
	for _, run := range f.Ended {
		v.notLive[run] = true
	}
	for _, run := range f.Dropped {
		v.notLive[run.Run] = true
	}
	if f.Unfinished != nil {
		v.notLive[f.Unfinished.Run] = true
	}
	for _, run := range f.Runs {
		if err := v.run(ctx, f, run); err != nil {
			return err
		}
	}
	return v.manifests(ctx, name)
}

// run verifies a live run.
func (v *verifier) run(ctx context.Context, f ledger.Feed, run ledger.PublishedRun) error {
	v.Runs++
	parts, err := v.lake.PartsOf(ctx, run.Run)
	if unreadable(err) {
		v.problem(&v.RunProblems, "feed %s: %v", f.Name, err)
		v.notLive[run.Run] = true // its parts are claimed, though nobody knows which they are
		return nil
	}
	if err != nil {
		return err
	}
	var bytes int64
	for _, p := range parts {
		bytes += p.Bytes
	}
	if int64(len(parts)) != run.Parts || bytes != run.Bytes {
		v.problem(&v.RunProblems, "run %s: parts.json has %d parts with %d bytes, but feed %s says %d parts with %d bytes", run.Run, len(parts), bytes, f.Name, run.Parts, run.Bytes)
	}
	if err := v.report(ctx, run, parts); err != nil {
		return err
	}
	for _, p := range parts {
		delete(v.unclaimed, p.Key)
		if v.n++; v.each != nil {
			v.each(p.Key, v.n, max(v.n, v.of))
		}
		if err := v.part(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// report checks that the numbers of a run's report agree with each other and with its list of
// parts: what was read is in the parts or in quarantine, and is what the manifest said.
func (v *verifier) report(ctx context.Context, run ledger.PublishedRun, parts []Part) error {
	content, _, err := v.lake.State.Load(ctx, ReportKey(run.Run))
	if errors.Is(err, fs.ErrNotExist) {
		v.problem(&v.RunProblems, "run %s: its report.json is missing", run.Run)
		return nil
	}
	if err != nil {
		return err
	}
	var r Report
	if err := json.Unmarshal(content, &r); err != nil {
		v.problem(&v.RunProblems, "run %s: its report.json is damaged: %v", run.Run, err)
		return nil
	}
	if !slices.Equal(byKey(parts), byKey(r.Parts)) {
		v.problem(&v.RunProblems, "run %s: parts.json and report.json list different parts", run.Run)
	}
	if run.Kind == ledger.KindCompaction {
		return nil // it was made from parts, not from files
	}
	var read, quarantined, rows int64
	for _, f := range r.Files {
		read += f.Resources
		quarantined += f.Quarantined
		// For Bundles of deletions, and for organized files, some servers count the lines.
		if f.Count != nil && *f.Count != f.Resources+f.Quarantined && *f.Count != f.Lines {
			v.problem(&v.RunProblems, "run %s: a %s file had %d resources, but the manifest said %d", r.Run, f.Type, f.Resources+f.Quarantined, *f.Count)
		}
	}
	for _, p := range r.Parts {
		rows += p.Rows
	}
	if r.Retired != nil {
		rows -= r.Retired.Resources // these came from no file
	}
	if read != r.Resources || quarantined != r.Quarantined || rows != r.Resources {
		v.problem(&v.RunProblems, "run %s: the report says %d resources and %d in quarantine, but its files say %d and %d, and its parts %d rows",
			r.Run, r.Resources, r.Quarantined, read, quarantined, rows)
	}
	return nil
}

func byKey(parts []Part) []Part {
	return slices.SortedFunc(slices.Values(parts), func(a, b Part) int { return cmp.Compare(a.Key, b.Key) })
}
