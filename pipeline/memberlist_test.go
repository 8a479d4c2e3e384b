package pipeline_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/columnar"
	"fhirkiln/pipeline"
)

// A list of members that cannot be read ends the run, with the place, and without what
// stands there.
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

// Where manifests do not tell types, what is no Patient is no member.
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

// What a server wants besides, it wants for the list too.
func TestNewMembersAreAskedForAsAllElseIs(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1 2")
	c.Feed.Request.Lenient = true
	c.Feed.Request.Parameters = []bulk.Parameter{{Name: "_mdm", Value: "true", Kind: "Boolean"}}
	c.run(t)
	kickOffs := 0
	for _, r := range c.server.Requests() {
		if r.Endpoint == bulktest.KickOffEndpoint {
			kickOffs++
			if r.Query.Get("_mdm") != "true" || !strings.Contains(r.Header.Get("Prefer"), "handling=lenient") {
				t.Errorf("asked for %v, Prefer %q", r.Query, r.Header.Get("Prefer"))
			}
		}
	}
	if kickOffs != 2 {
		t.Errorf("got %d kick-offs, want 2", kickOffs)
	}
}
