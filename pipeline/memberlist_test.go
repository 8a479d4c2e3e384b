package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/columnar"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
)

// A list of members that cannot be read ends the run. The error names the place, but does not
// quote what is there.
func TestDamagedListOfMembers(t *testing.T) {
	t.Parallel()
	for _, line := range []string{`{"resourceType":"Patient","id":"Planted" "x"}`, `["Planted"]`, `{"resourceType":"Patient","name":"Planted"}`, `{"id":"Planted/1"}`} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			c := newPractice(t, "a: 1 2")
			c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always,
				Do: bulktest.EditBody(func([]byte) []byte { return []byte(`{"resourceType":"Patient","id":"1"}` + "\n" + line + "\n") })})
			_, err := pipeline.Run(t.Context(), c.Options)
			var data *columnar.DataError
			if !errors.As(err, &data) || data.Line != 2 {
				t.Errorf("error %v, want one of the data at line 2", err)
			}
			if strings.Contains(fmt.Sprint(err)+c.logs.String(), "Planted") {
				t.Errorf("the line is told: %v", err)
			}
			c.wantUnseen(t)
		})
	}
}

// If a stored list of members is damaged, the error names it. The list of an interrupted run is
// thrown away with the run; the feed's list must be restored or forgotten.
func TestAKeptListOfMembersIsDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(list []byte) []byte{
		"garbage":     func([]byte) []byte { return []byte("garbage") },
		"cut":         func(list []byte) []byte { return list[:len(list)-9] },
		"empty":       func([]byte) []byte { return nil },
		"other bytes": func(list []byte) []byte { return append(bytes.Clone(list[:len(list)-8]), 1, 2, 3, 4, 5, 6, 7, 8) },
	} {
		wantDamaged := func(t *testing.T, c *clinic, hint string) (list string, undamaged []byte) {
			t.Helper()
			lists := c.files(t, ".gz")
			if len(lists) != 1 {
				t.Fatalf("lists %q", lists)
			}
			undamaged = c.load(t, lists[0])
			if err := c.dir.Put(t.Context(), lists[0], damage(undamaged)); err != nil {
				t.Fatal(err)
			}
			_, err := pipeline.Run(t.Context(), c.Options)
			if damaged, ok := errors.AsType[*ledger.DamagedError](err); !ok || damaged.Key != lists[0] || !strings.Contains(damaged.Hint, hint) {
				t.Fatalf("error %v, want one of %s", err, lists[0])
			}
			return lists[0], undamaged
		}
		t.Run("of a run, "+name, func(t *testing.T) {
			t.Parallel()
			c := newPractice(t, "a: 1 2")
			c.cutOff(t, 2) // of the list, and then the export
			wantDamaged(t, c, "run --fresh)")
			c.wantUnseen(t)
			c.Fresh = true
			wantMembers(t, c.run(t), 2, 2, 0)
			c.wantRows(t, "1", "2", "c1", "c2")
			c.wantTidy(t)
		})
		t.Run("of the feed, "+name, func(t *testing.T) {
			t.Parallel()
			c := newPractice(t, "a: 1 2")
			c.run(t)
			c.then(1, practice("a: 1 2 3")...)
			list, undamaged := wantDamaged(t, c, "backup")
			c.wantRows(t, "1", "2", "c1", "c2")
			if err := c.dir.Put(t.Context(), list, undamaged); err != nil {
				t.Fatal(err)
			}
			wantMembers(t, c.run(t), 3, 1, 0)
			c.wantRows(t, "1", "2", "3", "c1", "c2", "c3")
			c.wantTidy(t)
		})
		t.Run("of the feed, which forgets it, "+name, func(t *testing.T) {
			t.Parallel()
			c := newPractice(t, "a: 1 2")
			c.run(t)
			c.then(1)
			wantDamaged(t, c, "run --fresh once with new_members: ignore")
			c.Fresh, c.Feed.IgnoreNewMembers = true, true
			if report := c.run(t); report.Members != nil {
				t.Errorf("members: %+v", report.Members)
			}
			c.Fresh, c.Feed.IgnoreNewMembers = false, false
			c.then(1)
			wantMembers(t, c.run(t), 2, 2, 0)
			c.wantRows(t, "1", "2", "c1", "c2", "1", "2", "c1", "c2")
			c.wantTidy(t)
		})
	}
}

// If manifests do not give types, a resource other than a Patient is not a member.
func TestNewMembersOfUntypedFiles(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1 2")
	c.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Times: bulktest.Always, Do: bulktest.Outcome(http.StatusBadRequest, "not-supported", "_type"),
		When: func(r *http.Request) bool { return r.URL.Query().Has("_type") }})
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.EditManifest(func(m map[string]any) {
		for _, f := range m["output"].([]any) {
			delete(f.(map[string]any), "type")
		}
	})})
	wantMembers(t, c.run(t), 2, 2, 0)
	c.then(1, practice("a: 1 2 3")...)
	c.asked(t)
	wantMembers(t, c.run(t), 3, 1, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a type=Patient", "/Group/a", "/Group/a patient=Patient/3", "/Group/a since=2026-03-01T02")
	c.wantRows(t, "1", "2", "c1", "c2", "3", "c3")
}

// Whatever else a server requires, it requires for the list too.
func TestNewMembersAreAskedForAsAllElseIs(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1 2")
	c.Feed.Request.Lenient = true
	c.Feed.Request.Parameters = []bulk.Parameter{{Name: "_mdm", Value: "true", Kind: "Boolean"}}
	c.run(t)
	kickOffs := c.requests(bulktest.KickOffEndpoint)
	if len(kickOffs) != 2 {
		t.Errorf("got %d kick-offs, want 2", len(kickOffs))
	}
	for _, r := range kickOffs {
		if r.Query.Get("_mdm") != "true" || !strings.Contains(r.Header.Get("Prefer"), "handling=lenient") {
			t.Errorf("asked for %v, Prefer %q", r.Query, r.Header.Get("Prefer"))
		}
	}
}
