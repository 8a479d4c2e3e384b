//go:build cgo

package e2e

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline/views"
)

// TestCurrent has a case for everything that decides which version is current.
func TestCurrent(t *testing.T) {
	t.Parallel()
	rows := func(all ...lakeRow) []lakeRow { return all }
	for _, tt := range []struct {
		name     string
		runs     []lakeRun
		idSpaces map[string]string
		want     []string // marks of current_Patient
		all      int      // rows of Patient, if different from the number of live rows
	}{
		{name: "the newest export wins, whatever lastUpdated says", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: tuesday, rows: rows(lakeRow{"1", "2026-01-01T00:00:00Z", "new"})}),
			runOf("r2", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "2026-03-01T00:00:00Z", "old"})}),
		}, want: []string{"new"}},
		{name: "transactionTimes are compared as instants", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "", "new"})}),
			runOf("r2", lakeFile{transactionTime: mondayEarly, rows: rows(lakeRow{"1", "", "old"})}),
		}, want: []string{"new"}},
		{name: "of one export, the newest lastUpdated as an instant", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "2026-01-01T00:00:00Z", "new"})}),
			runOf("r2", lakeFile{transactionTime: mondayAlso, rows: rows(lakeRow{"1", "2026-01-01T08:59:59+09:00", "old"})}),
		}, want: []string{"new"}},
		{name: "no lastUpdated loses", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "1970-01-01T00:00:00Z", "new"}, lakeRow{"1", "", "old"}, lakeRow{"1", "soon", "odd"})}),
		}, want: []string{"new"}},
		{name: "then the run", runs: []lakeRun{
			runOf("r2", lakeFile{transactionTime: monday, name: "a", rows: rows(lakeRow{"1", "", "new"})}),
			runOf("r1", lakeFile{transactionTime: monday, name: "b", rows: rows(lakeRow{"1", "", "old"})}),
		}, want: []string{"new"}},
		{name: "then the file, then the line", runs: []lakeRun{{name: "r1", feed: "a", source: "s", state: live, files: []lakeFile{
			{name: "b", transactionTime: monday, rows: rows(
				lakeRow{"1", "", "1"}, lakeRow{"2", "", "-"}, lakeRow{"3", "", "-"}, lakeRow{"4", "", "-"}, lakeRow{"5", "", "-"},
				lakeRow{"6", "", "-"}, lakeRow{"7", "", "-"}, lakeRow{"8", "", "-"}, lakeRow{"1", "", "9"}, lakeRow{"1", "", "10"})},
			{name: "a", transactionTime: monday, rows: rows(lakeRow{"1", "", "a"})},
		}}}, want: []string{"-", "-", "-", "-", "-", "-", "-", "10"}},
		{name: "files of one name: one row all the same", runs: []lakeRun{{name: "r1", feed: "a", source: "s", state: live, files: []lakeFile{
			{name: "https://h/file?...", transactionTime: monday, rows: rows(lakeRow{"1", "", "same"})},
			{name: "https://h/file?...", transactionTime: monday, rows: rows(lakeRow{"1", "", "same"}, lakeRow{"2", "", "other"})},
		}}}, want: []string{"other", "same"}},
		{name: "times that cannot be read lose", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: "1970-01-01T00:00:00Z", rows: rows(lakeRow{"1", "", "new"})}),
			runOf("r2", lakeFile{transactionTime: "2026-03-02", rows: rows(lakeRow{"1", "", "day"})}),
			runOf("r3", lakeFile{transactionTime: "infinity", rows: rows(lakeRow{"1", "", "infinity"})}),
			runOf("r4", lakeFile{transactionTime: "now", rows: rows(lakeRow{"1", "", "now"})}),
			runOf("r5", lakeFile{transactionTime: "2026-03-02T01:00:00", rows: rows(lakeRow{"1", "", "zoneless"})}),
			runOf("r6", lakeFile{rows: rows(lakeRow{"1", "", "none"})}),
		}, want: []string{"new"}},
		{name: "ids of two sources collide", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "", "mine"})}),
			runOf("r2", lakeFile{transactionTime: tuesday, rows: rows(lakeRow{"1", "", "theirs"})}).of("b", "other"),
			runOf("r3", lakeFile{transactionTime: tuesday, deleted: []string{"1"}}).of("c", "third"),
		}, want: []string{"mine", "theirs"}},
		{name: "two feeds of a source have one space of ids", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "", "old"}, lakeRow{"2", "", "gone"})}),
			runOf("r2", lakeFile{transactionTime: tuesday, rows: rows(lakeRow{"1", "", "new"}), deleted: []string{"2"}}).of("b", "s"),
		}, want: []string{"new"}},
		{name: "an id space of two sources", idSpaces: map[string]string{"b": "s"}, runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "", "old"}, lakeRow{"2", "", "gone"}, lakeRow{"3", "", "kept"})}),
			runOf("r2", lakeFile{transactionTime: tuesday, rows: rows(lakeRow{"1", "", "new"}), deleted: []string{"2"}}).of("b", "other"),
			runOf("r3", lakeFile{transactionTime: tuesday, deleted: []string{"3"}}).of("c", "other"),
		}, want: []string{"kept", "new"}},
		{name: "a tombstone before, at and after an export", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "", "later"}, lakeRow{"2", "2026-03-05T00:00:00Z", "equal"}, lakeRow{"3", "", "gone"})}),
			runOf("r2", lakeFile{transactionTime: mondayEarly, deleted: []string{"1"}}),
			runOf("r3", lakeFile{transactionTime: mondayAlso, deleted: []string{"2"}}),
			runOf("r4", lakeFile{transactionTime: tuesday, deleted: []string{"3"}}),
		}, want: []string{"later"}},
		{name: "what is sent again is back, and older versions are not", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: mondayEarly, rows: rows(lakeRow{"1", "2026-03-05T00:00:00Z", "first"})}),
			runOf("r2", lakeFile{transactionTime: monday, deleted: []string{"1"}}),
			runOf("r3", lakeFile{transactionTime: tuesday, rows: rows(lakeRow{"1", "2026-03-01T00:00:00Z", "again"})}),
		}, want: []string{"again"}},
		{name: "a tombstone without a time wins over rows without one alone", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: "1970-01-01T00:00:00Z", rows: rows(lakeRow{"1", "", "kept"})}),
			runOf("r2", lakeFile{transactionTime: "?", rows: rows(lakeRow{"2", "", "gone"})}),
			runOf("r3", lakeFile{deleted: []string{"1", "2"}}),
		}, want: []string{"kept"}},
		{name: "absence never deletes", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "", "absent"}, lakeRow{"2", "", "old"})}),
			runOf("r2", lakeFile{transactionTime: tuesday, rows: rows(lakeRow{"2", "", "new"})}),
		}, want: []string{"absent", "new"}},
		{name: "rows without an id are all kept", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"", "", "a"}, lakeRow{"", "", "b"})}),
			runOf("r2", lakeFile{transactionTime: tuesday, rows: rows(lakeRow{"", "", "c"}), deleted: []string{""}}),
		}, want: []string{"a", "b", "c"}},
		{name: "only what is live counts", all: 1, runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "", "live"})}),
			runOf("r2", lakeFile{transactionTime: tuesday, rows: rows(lakeRow{"1", "", "retired"}, lakeRow{"2", "", "retired"})}).in(retired),
			runOf("r3", lakeFile{transactionTime: tuesday, rows: rows(lakeRow{"1", "", "staged"}, lakeRow{"3", "", "staged"})}).in(unpublished),
			runOf("r4", lakeFile{transactionTime: tuesday, deleted: []string{"1"}}).in(retired),
			runOf("r5", lakeFile{transactionTime: tuesday, deleted: []string{"1"}}).in(unpublished),
			runOf("r6", lakeFile{transactionTime: tuesday, rows: rows(lakeRow{"1", "", "b"}), deleted: []string{"1"}}).of("b", "s").in(unpublished),
		}, want: []string{"live"}},
		{name: "compaction changes nothing", runs: []lakeRun{
			runOf("r1", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "", "old"}, lakeRow{"2", "", "gone"})}).in(retired),
			runOf("r2", lakeFile{transactionTime: monday, rows: rows(lakeRow{"1", "", "new"})}).in(retired),
			{name: "r3", feed: "a", source: "s", state: live, files: []lakeFile{
				{name: "z", run: "r1", transactionTime: monday, rows: rows(lakeRow{"1", "", "old"}, lakeRow{"2", "", "gone"})},
				{name: "a", run: "r2", transactionTime: monday, rows: rows(lakeRow{"1", "", "new"}), deleted: []string{"2"}},
			}},
		}, want: []string{"new"}, all: 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := session(t)
			dir := t.TempDir()
			putLake(t, db, dir, tt.runs)
			makeViews(t, db, views.Options{Root: dir, Types: []string{"Patient"}, Tombstones: hasTombstones(tt.runs), IDSpaces: tt.idSpaces})
			if diff := cmp.Diff(tt.want, marks(t, db, "current_Patient")); diff != "" {
				t.Errorf("current_Patient (-want +DuckDB):\n%s", diff)
			}
			all := tt.all
			for _, r := range tt.runs {
				for _, f := range r.files {
					if tt.all == 0 {
						all += len(f.rows)
					}
				}
			}
			if n := len(marks(t, db, "Patient")); n != all {
				t.Errorf("Patient has %d rows, want %d", n, all)
			}
		})
	}
}
