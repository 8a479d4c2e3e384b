//go:build cgo

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirkiln/pipeline/views"
)

// TestCurrentOfAnyHistory makes random lakes, and compares the current state with the result of
// a program without SQL.
func TestCurrentOfAnyHistory(t *testing.T) {
	t.Parallel()
	db := session(t)
	atAnInstant := ""
	for _, b := range fences(t, "current.md") {
		if strings.Contains(b.body, "at an instant?") {
			atAnInstant = strings.NewReplacer("name[1].family AS family", "language", "id, family", "language").Replace(b.body)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		runs := drawRuns(rt)
		idSpaces := map[string]string{}
		for _, feed := range []string{"a", "b", "c"} {
			if space := rapid.SampledFrom([]string{"", "", "x", "s"}).Draw(rt, "id space"); space != "" {
				idSpaces[feed] = space
			}
		}
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		putLake(t, db, dir, runs)
		if !hasRows(runs) {
			return // DuckDB has no view for a type without files
		}
		makeViews(t, db, views.Options{Root: dir, Types: []string{"Patient"}, Tombstones: hasTombstones(runs), IDSpaces: idSpaces})
		if diff := gocmp.Diff(currentOf(runs, idSpaces), marks(t, db, "current_Patient")); diff != "" {
			rt.Fatalf("current_Patient of %+v with %v (-model +DuckDB):\n%s", runs, idSpaces, diff)
		}
		if hasTombstones(runs) {
			at := rapid.SampledFrom([]string{monday, tuesday, mondayEarly}).Draw(rt, "instant")
			query := strings.ReplaceAll(atAnInstant, "2026-11-21 12:00:00Z", at)
			if diff := gocmp.Diff(currentOf(knownAt(runs, at), idSpaces), marks(t, db, "("+query+")")); diff != "" {
				rt.Fatalf("at %s, of %+v with %v (-model +DuckDB):\n%s", at, runs, idSpaces, diff)
			}
		}
		if n, want := len(marks(t, db, "Patient")), countLive(runs); n != want {
			rt.Fatalf("Patient has %d rows, want %d", n, want)
		}
	})
}

// drawRuns makes runs of three feeds. There are few times, so that there are ties, in several
// zones, and some cannot be parsed.
func drawRuns(t *rapid.T) []lakeRun {
	sources := map[string]string{"a": "s", "b": "s", "c": "other"}
	times := rapid.SampledFrom([]string{monday, tuesday, mondayEarly, mondayAlso, "2026-03-02T01:00:00.000001Z", "2026-03-02T01:00:00.0000011Z", "2026-03-02", "today", ""})
	updates := rapid.SampledFrom([]string{"", "", monday, mondayEarly, mondayAlso, tuesday, "2026-03-02", "sometime"})
	ids := rapid.SampledFrom([]string{"1", "1", "2", "3", "\u00e9", ""})
	var runs []lakeRun
	n := 0
	for i := range rapid.IntRange(1, 5).Draw(t, "runs") {
		r := lakeRun{
			feed:  rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "feed"),
			state: rapid.SampledFrom([]runState{live, live, live, retired, unpublished}).Draw(t, "state"),
			// The order of names differs from that of the slice.
			name: fmt.Sprintf("r%d%d", rapid.IntRange(0, 9).Draw(t, "name"), i),
		}
		r.source = sources[r.feed]
		for f := range rapid.IntRange(1, 3).Draw(t, "files") {
			file := lakeFile{name: fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"x", "y"}).Draw(t, "file"), f), transactionTime: times.Draw(t, "transactionTime")}
			for range rapid.IntRange(0, 12).Draw(t, "rows") {
				n++
				file.rows = append(file.rows, lakeRow{id: ids.Draw(t, "id"), lastUpdated: updates.Draw(t, "lastUpdated"), mark: fmt.Sprintf("m%d", n)})
			}
			for range rapid.IntRange(0, 2).Draw(t, "deletions") {
				file.deleted = append(file.deleted, ids.Draw(t, "deleted"))
			}
			r.files = append(r.files, file)
		}
		runs = append(runs, r)
	}
	if rapid.Bool().Draw(t, "compact") {
		runs = compact(runs, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "feed to compact"))
	}
	return runs
}

// compact puts the files of a feed's live runs into one run, and retires them.
func compact(runs []lakeRun, feed string) []lakeRun {
	merged := lakeRun{name: "r0", feed: feed, state: live} // a name that drawRuns never uses
	for i, r := range runs {
		if r.feed != feed || r.state != live {
			continue
		}
		runs[i].state, merged.source = retired, r.source
		for _, f := range r.files {
			f.run = r.name
			merged.files = append(merged.files, f)
		}
	}
	if merged.files == nil {
		return runs
	}
	return append(runs, merged)
}

func hasRows(runs []lakeRun) bool {
	return slices.ContainsFunc(runs, func(r lakeRun) bool {
		return slices.ContainsFunc(r.files, func(f lakeFile) bool { return f.rows != nil })
	})
}

func countLive(runs []lakeRun) (n int) {
	for _, r := range runs {
		for _, f := range r.files {
			if r.state == live {
				n += len(f.rows)
			}
		}
	}
	return n
}

// knownAt returns the runs with only the files that were exported up to an instant.
func knownAt(runs []lakeRun, instant string) []lakeRun {
	at, _ := time.Parse(time.RFC3339Nano, instant)
	runs = slices.Clone(runs)
	for i, r := range runs {
		runs[i].files = nil
		for _, f := range r.files {
			if len(f.transactionTime) == len(time.DateOnly) {
				f.transactionTime += "T00:00:00Z" // as DuckDB casts it
			}
			if exported, err := time.Parse(time.RFC3339Nano, f.transactionTime); err == nil && !exported.After(at) {
				runs[i].files = append(runs[i].files, f)
			}
		}
	}
	return runs
}

// currentOf returns the sorted marks of the current versions.
func currentOf(runs []lakeRun, idSpaces map[string]string) []string {
	type version struct {
		exported, updated time.Time
		run, file         string
		line              int
		mark              string
	}
	type key struct{ space, id string }
	newer := func(a, b version) int {
		return cmp.Or(a.exported.Compare(b.exported), a.updated.Compare(b.updated),
			strings.Compare(a.run, b.run), strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	}
	versions, deleted := map[key][]version{}, map[key][]time.Time{}
	current := []string{}
	for _, r := range runs {
		if r.state != live {
			continue
		}
		space := r.source
		if s, ok := idSpaces[r.feed]; ok {
			space = s
		}
		for _, f := range r.files {
			exported, _ := time.Parse(time.RFC3339Nano, f.transactionTime)
			exported = exported.Truncate(time.Microsecond)
			for line, row := range f.rows {
				if row.id == "" {
					current = append(current, row.mark)
					continue
				}
				updated, _ := span(row.lastUpdated)
				k := key{space, row.id}
				versions[k] = append(versions[k], version{exported, updated, f.origin(r).Run, f.name, line, row.mark})
			}
			for _, id := range f.deleted {
				deleted[key{space, id}] = append(deleted[key{space, id}], exported)
			}
		}
	}
	for k, all := range versions {
		newest := slices.MaxFunc(all, newer)
		if !slices.ContainsFunc(deleted[k], func(at time.Time) bool { return !at.Before(newest.exported) }) {
			current = append(current, newest.mark)
		}
	}
	slices.Sort(current)
	return current
}
