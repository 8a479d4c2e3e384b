//go:build cgo

package e2e

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/pipeline/views"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// changes returns what one run fetches: new versions of some patients, and deletions of others.
// Every two nights share one lastUpdated.
func changes(r *rand.Rand, n int) (data, deleted bulktest.Files) {
	var lines []string
	for id := range 40 {
		if n > 0 && r.IntN(3) > 0 {
			continue
		}
		meta := fmt.Sprintf(`"meta":{"lastUpdated":"2026-03-%02dT00:00:00Z"},`, 1+n-n%2)
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","id":"%d",%s"language":"%d","extension":[{"url":"http://e/%d","valueDecimal":1.50}],"multipleBirthInteger":%d}`,
			id, meta, r.IntN(1000), n, n))
	}
	data = bulktest.Files{bulktest.Lines("Patient", lines...),
		bulktest.Lines("Observation", fmt.Sprintf(`{"resourceType":"Observation","id":"o","meta":{"lastUpdated":"2026-03-%02dT00:00:00Z"},"unknown":[1.50,null,"%d"]}`, 1+n, n))}
	for id := range 40 {
		if n > 0 && r.IntN(8) == 0 {
			deleted = append(deleted, bulktest.Lines("Bundle", fmt.Sprintf(
				`{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/%d"}}]}`, id)))
		}
	}
	return data, deleted
}

// runChanges runs the feed against a server that has these changes.
func runChanges(t *testing.T, dir *sink.Dir, n int, data, deleted bulktest.Files) {
	t.Helper()
	server, err := bulktest.NewServer(bulktest.Options{Data: data, Deleted: deleted,
		TransactionTime: func() time.Time { return time.Date(2026, 3, 1, 0, n, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client := transport.New(transport.Options{})
	defer client.CloseIdleConnections()
	c, err := bulk.New(bulk.Options{Base: server.FHIR(), HTTP: client, Poll: bulk.Poll{Min: time.Millisecond, Max: time.Millisecond},
		Credentials: auth.NewCache(auth.ClientCredentials{TokenURL: server.TokenURL(), ClientID: bulktest.DefaultClientID,
			ClientSecret: bulktest.DefaultClientSecret, Scope: bulktest.DefaultScope, HTTP: client})})
	if err != nil {
		t.Fatal(err)
	}
	_, err = pipeline.Run(t.Context(), pipeline.Options{Server: pipeline.Client(c), Sink: dir,
		Feed: pipeline.Feed{Name: "members", Source: "bison", Request: bulk.Request{Level: bulk.System}}})
	if err != nil {
		t.Fatal(err)
	}
}

// viewRows returns the rows of a view as text, without the run of their file.
func viewRows(t *testing.T, db *sql.DB, view string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), fmt.Sprintf(`SELECT row::VARCHAR FROM (SELECT * EXCLUDE (kiln_run) FROM %q) row ORDER BY 1`, view))
	if err != nil {
		t.Fatalf("%s: %v", view, err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCompactionKeepsEveryRow runs some nights of changes, and asks DuckDB for every row with its
// __origin and for the current state, before and after a compaction, and after gc.
func TestCompactionKeepsEveryRow(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "lake")
	dir, err := sink.OpenDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 8 {
		data, deleted := changes(r, n)
		runChanges(t, dir, n, data, deleted)
	}
	db := openDuckDB(t)
	makeViews(t, db, views.Options{Root: folder, Types: []string{"Patient", "Observation"}, Tombstones: true})
	look := func() map[string][]string {
		all := map[string][]string{}
		for _, view := range []string{"Patient", "Observation", "current_Patient", "current_Observation", "kiln_tombstones"} {
			all[view] = viewRows(t, db, view)
		}
		return all
	}
	before := look()
	if len(before["Patient"]) < 100 || len(before["current_Patient"]) > 39 || len(before["kiln_tombstones"]) < 20 {
		t.Fatalf("%d versions, %d current patients, %d tombstones: too few or too many to be of use",
			len(before["Patient"]), len(before["current_Patient"]), len(before["kiln_tombstones"]))
	}
	feed := pipeline.Options{Feed: pipeline.Feed{Name: "members"}, Sink: dir}
	done, err := pipeline.Compact(t.Context(), feed, pipeline.CompactOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(done.Runs) != 1 || len(done.Runs[0].Replaces) != 8 || done.Runs[0].After.Parts != 3 {
		t.Errorf("compacted: %+v", done)
	}
	if diff := cmp.Diff(before, look()); diff != "" {
		t.Errorf("after the compaction (-before +after):\n%.4000s", diff)
	}
	if _, err := pipeline.GC(t.Context(), feed, pipeline.GCOptions{Grace: -1}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, look()); diff != "" {
		t.Errorf("after gc (-before +after):\n%.4000s", diff)
	}
	f, err := ledger.Read(t.Context(), dir, "members")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Runs) != 1 || len(f.Dropped) > 0 || f.Runs[0].Kind != ledger.KindCompaction {
		t.Errorf("the feed has the runs %+v, and %+v dropped", f.Runs, f.Dropped)
	}
	v, err := (lake.Lake{Parts: dir, State: dir}).Verify(t.Context(), nil)
	if err != nil || len(v.Problems) > 0 || len(v.Unclaimed) > 0 {
		t.Errorf("verify: %+v, %v", v, err)
	}
}
