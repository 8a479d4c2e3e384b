package e2e

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/columnar"
	"fhirkiln/pipeline/ledger"
)

// checkLive compares the parts of live runs with the files that exist.
func (w *crashWorld) checkLive(t *testing.T, f files, feed ledger.Feed) (live []string) {
	t.Helper()
	there := map[string]int64{}
	if err := f.List(t.Context(), columnar.LayoutPath, func(key string, size int64) error {
		there[key] = size
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, run := range feed.Runs {
		for _, p := range listedParts(t, f, run.Run) {
			live = append(live, p.Key)
			if size, ok := there[p.Key]; !ok || size != p.Bytes {
				t.Errorf("%s has %d bytes (%v), want %d", p.Key, size, ok, p.Bytes)
			}
		}
	}
	slices.Sort(live)
	return live
}

type partEntry struct {
	Key   string `json:"key"`
	Bytes int64  `json:"bytes"`
}

// listedParts reads parts.json.
func listedParts(t *testing.T, f files, run string) []partEntry {
	t.Helper()
	content, _, err := f.Load(t.Context(), ledger.Folder(run)+"parts.json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Parts []partEntry `json:"parts"`
	}
	if err := json.Unmarshal(content, &list); err != nil {
		t.Fatal(err)
	}
	return list.Parts
}

// check is called after a night's run: the right rows are there, once, and nothing else.
func (w *crashWorld) check(t *testing.T, n int) {
	t.Helper()
	f := w.open(t)
	defer f.Close()
	feed := w.state(t, f)
	live := w.checkLive(t, f, feed)
	if diff := gocmp.Diff(live, parquet(t, f)); diff != "" {
		t.Errorf("night %d: parts (-of live runs +that a glob finds):\n%s", n, diff)
	}
	if feed.Unfinished != nil || len(feed.Ended) > 0 || feed.Lease != nil {
		t.Errorf("night %d: the feed is not at rest: %+v %v %+v", n, feed.Unfinished, feed.Ended, feed.Lease)
	}
	if left := w.staged(t); len(left) > 0 {
		t.Errorf("night %d: left over: %q", n, left)
	}
	for _, key := range keys(t, f, "_fhirkiln/runs/") {
		if strings.Contains(key, "/ledger/") {
			t.Errorf("night %d: %s is left over", n, key)
		}
	}
	reports := w.reports(t, f)
	want := w.wanted(n)
	for _, r := range reports {
		for _, x := range r.Exports {
			for _, gone := range w.nights[nightOf(t, r.TransactionTime)].tombstones {
				if x.Since != nil { // every such export has them
					want[gone]++
				}
			}
		}
	}
	if last := reports[len(reports)-1]; feed.Watermarks["*"].Time != last.TransactionTime || feed.Watermarks["*"].Run != last.Run {
		t.Errorf("night %d: the watermark is %+v; the last published run is %s, of %s", n, feed.Watermarks["*"], last.Run, last.TransactionTime)
	}
	got := map[string]int{}
	for _, key := range live {
		if _, read := w.rows[key]; !read {
			w.rows[key] = rowsOf(t, f, key)
		}
		for _, row := range w.rows[key] {
			got[rowName(row)]++
		}
	}
	var wrong []string
	for row := range union(want, got) {
		if want[row] != got[row] {
			wrong = append(wrong, fmt.Sprintf("%s is there %d times, want %d", row, got[row], want[row]))
		}
	}
	if slices.Sort(wrong); len(wrong) > 0 {
		t.Errorf("night %d: %d of %d rows are wrong:\n%s", n, len(wrong), len(want), strings.Join(wrong[:min(len(wrong), 10)], "\n"))
	}
}

func union(a, b map[string]int) map[string]int {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// wanted returns the resources of all nights up to n.
func (w *crashWorld) wanted(n int) map[string]int {
	all := map[string]int{}
	for _, of := range w.nights[:n+1] {
		more := of.systems
		if w.group {
			more = of.late
		}
		for _, row := range slices.Concat(of.fresh, more) {
			all[rowName(row)]++
		}
	}
	return all
}

// rowName returns a short name that identifies a resource and its version. A tombstone has the
// name of what is gone.
func rowName(row string) string {
	if _, gone, found := strings.Cut(row, "Patient/gone-"); found {
		return "Patient/gone-" + gone[:1]
	}
	return fmt.Sprintf("%.90s %x", row, sha256.Sum256([]byte(row)))[:100]
}

func nightOf(t *testing.T, transaction string) int {
	t.Helper()
	at, err := time.Parse(time.RFC3339, transaction)
	if err != nil {
		t.Fatal(err)
	}
	return int(at.Sub(firstNight) / (24 * time.Hour))
}

// checkServer counts the requests to the server.
func (w *crashWorld) checkServer(t *testing.T, c *crash, f files) {
	t.Helper()
	want := 0
	for _, r := range w.reports(t, f) {
		want += len(r.Exports)
		if r.Members != nil {
			want++ // fetching the list of members is an export, too
		}
		if r.Resumed {
			c.count("runs that went on with another process's work", 1)
		}
		c.count("runs", 1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	known, givenBack := 0, 0
	for _, j := range w.jobs {
		switch {
		case j.polled == 0 && j.deleted > 0 && !j.named && givenBack < w.leaseless:
			// A process that has lost its lease cannot record the answer, and deletes the export.
			givenBack++
			c.count("kick-offs given back for want of a lease", 1)
			continue
		case j.polled == 0 && j.deleted == 0 && !j.named:
			c.count("kick-offs whose answer was never recorded", 1)
			continue
		case j.deleted == 0:
			t.Errorf("the export %s was not deleted (%+v)", j.asked, *j)
		case j.polled == 0:
			t.Errorf("the export %s was never polled (%+v)", j.asked, *j)
		}
		known++
	}
	if known != want {
		var all []string
		for _, j := range w.jobs {
			all = append(all, fmt.Sprintf("%+v", *j))
		}
		slices.SortFunc(all, cmp.Compare)
		t.Errorf("the server was asked for %d exports that it was known of, for runs of %d:\n%s", known, want, strings.Join(all, "\n"))
	}
	c.count("kick-offs", len(w.jobs))
	opened := 0
	for _, r := range w.server.Requests() {
		if r.Endpoint == bulktest.FileEndpoint {
			opened++
		}
	}
	c.count("files asked for", opened)
}
