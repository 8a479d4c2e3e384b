package pipeline_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/transport"
)

func wantMembers(t *testing.T, r *lake.Report, listed, fresh, left int) {
	t.Helper()
	if diff := cmp.Diff(&lake.MembersReport{Listed: listed, New: fresh, Left: left}, r.Members); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func TestNewMembers(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1 2")
	wantMembers(t, c.run(t), 2, 2, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a")
	c.wantRows(t, "1", "2", "c1", "c2")

	c.then(1, practice("a: 2 3")...)
	report := c.run(t)
	wantMembers(t, report, 2, 1, 1)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a patient=Patient/3", "/Group/a since=2026-03-01T02")
	c.wantRows(t, "1", "2", "3", "c1", "c2", "c3")
	if len(report.Exports) != 2 || report.Exports[0].Patients != 1 {
		t.Errorf("exports in the report: %+v", report.Exports)
	}

	// A patient who was away has missed changes.
	c.then(1, practice("a: 1 2 3")...)
	wantMembers(t, c.run(t), 3, 1, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a patient=Patient/1", "/Group/a since=2026-03-02T02")
	c.then(1)
	wantMembers(t, c.run(t), 3, 0, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a since=2026-03-03T02")
	c.wantTidy(t)
	c.wantDeleted(t, 10)
	if lists := c.files(t, ".gz"); len(lists) != 1 {
		t.Errorf("lists of members %q, want the last one alone", lists)
	}

	// A list that is not kept up to date is worthless.
	c.Feed.IgnoreNewMembers = true
	c.then(1, practice("a: 1 2")...)
	if report := c.run(t); report.Members != nil {
		t.Errorf("members: %+v", report.Members)
	}
	c.wantAsked(t, "/Group/a since=2026-03-04T02")
	c.Feed.IgnoreNewMembers = false
	c.then(1, practice("a: 1 2 3")...)
	wantMembers(t, c.run(t), 3, 3, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a patient=Patient/1 patient=Patient/2 patient=Patient/3", "/Group/a since=2026-03-05T02")
}

func TestMembersOfSeveralGroups(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1", "b: 1 2")
	wantMembers(t, c.run(t), 2, 2, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/b"+listing, "/Group/a", "/Group/b")
	c.wantRows(t, "1", "c1", "1", "2", "c1", "c2")

	// A patient who is new in two groups is requested once, and one who moves to another group
	// is not new.
	c.then(1, practice("a: 2 3", "b: 1 3")...)
	wantMembers(t, c.run(t), 3, 1, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/b"+listing, "/Group/a patient=Patient/3", "/Group/a since=2026-03-01T02", "/Group/b since=2026-03-01T02")

	// Servers give groups new ids.
	c.then(1, practice("a2: 2 3", "b: 1 3")...)
	c.Feed.Groups = []string{"a2", "b"}
	wantMembers(t, c.run(t), 3, 0, 0)
	c.wantAsked(t, "/Group/a2"+listing, "/Group/b"+listing, "/Group/a2 since=2026-03-02T02", "/Group/b since=2026-03-02T02")
}

// If each group is exported in full for its new members, the run is as good as a full one: the
// runs before it need not be kept.
func TestNewMembersInEachGroupMakeARunFull(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		then []bulktest.File
		live int
	}{"in each": {practice("a: 1 2", "b: 3"), 1}, "in one": {practice("a: 1 2", "b:"), 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newPractice(t, "a: 1", "b:")
			refusePost(c)
			c.Feed.Keep.Runs = 1
			c.run(t)
			c.then(1, tt.then...)
			c.run(t)
			feed := c.feed(t)
			if len(feed.Runs) != tt.live || feed.Runs[len(feed.Runs)-1].Full != (tt.live == 1) {
				t.Errorf("live: %+v", feed.Runs)
			}
			if full := feed.Full.Day() == 2; full != (tt.live == 1) {
				t.Errorf("the last full export is of %v", feed.Full)
			}
		})
	}
}

// If the server reports errors, the next run asks again for what this one did not bring of a new
// member, as it does for everything else.
func TestErrorsHoldNewMembers(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1 2")
	c.run(t)
	c.then(1, practice("a: 1 2 3")...)
	c.errored = []bulktest.File{bulktest.Lines("OperationOutcome", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}`)}
	wantMembers(t, c.run(t), 3, 1, 0)
	c.then(1)
	c.errored = nil
	c.asked(t)
	wantMembers(t, c.run(t), 3, 1, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a patient=Patient/3", "/Group/a since=2026-03-01T02")
}

// A type that was left out for a while is exported in full, since nothing of it was requested
// for members who have become new in the meantime.
func TestATypeThatComesBack(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1 2")
	c.Feed.Request.Types = []string{"Patient", "Condition"}
	c.run(t)
	c.then(1, practice("a: 1 2 3")...)
	c.Feed.Request.Types = []string{"Patient"}
	c.run(t)
	c.wantMarks(t, map[string]string{"Patient": "02"})
	c.then(1)
	c.Feed.Request.Types = []string{"Patient", "Condition"}
	c.asked(t)
	c.run(t)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a type=Condition since=2026-03-01T02", "/Group/a type=Condition", "/Group/a type=Patient since=2026-03-02T02")
	c.wantRows(t, "1", "2", "c1", "c2", "3", "c1", "c2", "c3")
}

// An export that is older than the list of members lacks those who have joined in between. It
// brings no type up to date: by then these members are known, and nobody would ask for their
// history.
func TestAnExportOlderThanTheListOfMembers(t *testing.T) {
	t.Parallel()
	for _, ignored := range []bool{false, true} { // in that one night
		t.Run(fmt.Sprintf("new members ignored %t", ignored), func(t *testing.T) {
			t.Parallel()
			olderThanTheList(t, ignored)
		})
	}
}

func olderThanTheList(t *testing.T, ignored bool) {
	c := newPractice(t, "a: 1 2")
	c.Feed.Request.Types = []string{"Patient", "Condition"}
	c.run(t)
	c.then(3, practice("a: 1 2 3")...)
	c.Feed.Request.Types = []string{"Patient"}
	c.run(t)
	c.then(1, practice("a: 1 2")...)
	c.Feed.Request.Types = []string{"Patient", "Condition"}
	remove := c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.EditManifest(func(m map[string]any) {
		m["transactionTime"] = "2026-03-03T02:00:00Z"
	})})
	c.Feed.IgnoreNewMembers = ignored
	if report := c.run(t); report.Held == "" {
		t.Error("the watermark is not held")
	}
	c.Feed.IgnoreNewMembers = false
	remove()
	c.wantMarks(t, map[string]string{"Patient": "04"})
	c.then(1, practice("a: 1 2 3")...)
	c.asked(t)
	wantMembers(t, c.run(t), 3, 0, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a type=Condition since=2026-03-01T02", "/Group/a type=Condition", "/Group/a type=Patient since=2026-03-04T02")
	c.wantRows(t, "1", "2", "c1", "c2", "3", "c1", "c2", "c1", "c2", "c3")
	c.wantMarks(t, map[string]string{"Patient": "06", "Condition": "06"})
}

func TestAListThatFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault bulktest.Fault
		check func(*testing.T, *clinic, error)
	}{
		"_elements is refused": {
			bulktest.Fault{On: bulktest.KickOffEndpoint, Do: bulktest.Outcome(http.StatusBadRequest, "not-supported", "_elements"),
				Times: bulktest.Always, When: func(r *http.Request) bool { return r.URL.Query().Has("_elements") }},
			func(t *testing.T, c *clinic, err error) {
				if err != nil {
					t.Error(err)
				}
				c.wantAsked(t, "/Group/a"+listing, "/Group/a type=Patient", "/Group/a")
				c.wantRows(t, "1", "2", "c1", "c2")
			}},
		"_type is refused too": {
			bulktest.Fault{On: bulktest.KickOffEndpoint, Do: bulktest.Outcome(http.StatusBadRequest, "not-supported", "_type"),
				Times: bulktest.Always, When: func(r *http.Request) bool { return r.URL.Query().Has("_type") }},
			func(t *testing.T, c *clinic, err error) {
				if err != nil {
					t.Error(err)
				}
				c.wantAsked(t, "/Group/a"+listing, "/Group/a type=Patient", "/Group/a", "/Group/a")
				c.wantRows(t, "1", "2", "c1", "c2")
			}},
		"the kick-off is refused": {
			bulktest.Fault{On: bulktest.KickOffEndpoint, Times: bulktest.Always, Do: bulktest.Outcome(http.StatusBadRequest, "not-supported", "no")},
			func(t *testing.T, c *clinic, err error) {
				var exchange *transport.Error
				if !errors.As(err, &exchange) || !strings.Contains(exchange.Hint, "new_members: ignore") || !strings.Contains(err.Error(), "listing the group's members to find the new ones") {
					t.Errorf("error %v", err)
				}
				c.wantTidy(t)
			}},
		"a patient has no id": {
			bulktest.Fault{On: bulktest.FileEndpoint, Times: 1, Do: bulktest.EditBody(func([]byte) []byte { return []byte(`{"resourceType":"Patient"}` + "\n") })},
			func(t *testing.T, c *clinic, err error) {
				var file *pipeline.FileError
				if !errors.As(err, &file) || file.Type != "Patient" {
					t.Errorf("error %v", err)
				}
			}},
		"the count is wrong": {
			bulktest.Fault{On: bulktest.FileEndpoint, Times: 1, Do: bulktest.EditBody(func([]byte) []byte { return []byte(`{"resourceType":"Patient","id":"1"}` + "\n") })},
			func(t *testing.T, c *clinic, err error) {
				var count *pipeline.CountError
				if !errors.As(err, &count) || count.Found != 1 || count.Manifest != 2 {
					t.Errorf("error %v", err)
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newPractice(t, "a: 1 2")
			remove := c.server.Inject(test.fault)
			_, err := pipeline.Run(t.Context(), c.Options)
			test.check(t, c, err)
			if err != nil {
				c.wantUnseen(t)
				remove()
				wantMembers(t, c.run(t), 2, 2, 0)
				c.wantRows(t, "1", "2", "c1", "c2")
			}
			c.wantTidy(t)
		})
	}
}
