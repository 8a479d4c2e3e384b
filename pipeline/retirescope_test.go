package pipeline_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

// Another feed with the same ids may still have what this one lacks, as far as its own last full
// run does.
func TestRetireSparesOtherFeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{})
	w.Full, w.Feed.Retire = true, true
	w.Feed.IDSpaces = map[string]string{"others": "bison", "strangers": "elk", "never-run": "bison"}
	night := 0
	run := func(feed string, gone ...int) int64 {
		t.Helper()
		night++
		w.serve(t, night, bulktest.Options{Data: patientsBut(40, gone...)})
		o := w.Options
		if feed != "members" {
			o.Feed.Name, o.Feed.Source, o.Feed.Retire = feed, "elk", false
		}
		report, err := pipeline.Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if report.Retired == nil {
			return 0
		}
		return report.Retired.Resources
	}
	run("members")
	run("others")
	run("strangers")
	if n := run("members", 3); n != 0 {
		t.Errorf("%d are retired that another feed has", n)
	}
	run("others", 3)
	if n := run("members", 3); n != 1 {
		t.Errorf("%d are retired that no feed has any more, want 1", n)
	}

	// What the other feed's last full run did not ask for is still there.
	run("others")
	w.Feed.Request.Types = []string{"Basic"}
	run("others", 5)
	w.Feed.Request.Types = nil
	if n := run("members", 5); n != 0 {
		t.Errorf("%d are retired that another feed has of a type that it asks for no longer", n)
	}
}

// Groups that a search finds have other ids each month. Groups that were named, and no longer
// are, are not the feed's anymore.
func TestRetireOfGroups(t *testing.T) {
	t.Parallel()
	const search = "Group?identifier=urn:npi|1%7C5"
	for name, tt := range map[string]struct {
		search, then    string
		retired, spared int
	}{"searched": {search, search, 1, 0}, "named": {"", "", 0, 1}, "searched otherwise": {search + "&_count=50", search, 0, 1}, "named, then searched": {"", search, 0, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var group atomic.Pointer[string]
			data := section(func() []bulktest.File {
				var members, patients []string
				for i := range 20 {
					if i == 0 && *group.Load() != "g0" {
						continue
					}
					patients = append(patients, resource("Patient", i))
					members = append(members, fmt.Sprintf(`{"entity":{"reference":"Patient/Patient-%d"}}`, i))
				}
				return []bulktest.File{bulktest.Lines("Patient", patients...), bulktest.Lines("Group", fmt.Sprintf(
					`{"resourceType":"Group","id":%q,"identifier":[{"system":"urn:npi","value":"1|5"}],"member":[%s]}`, *group.Load(), strings.Join(members, ",")))}
			})
			w := newWorld(t, bulktest.Options{Data: data})
			w.Feed.Request.Level, w.Feed.Request.Types = bulk.Group, []string{"Patient"}
			w.Full, w.Feed.Retire = true, true
			var report *lake.Report
			for _, id := range []string{"g0", "g1"} {
				group.Store(&id)
				if w.Feed.GroupSearch = tt.search; id == "g1" {
					w.Feed.GroupSearch = tt.then
				}
				if w.Feed.Groups = nil; w.Feed.GroupSearch == "" {
					w.Feed.Groups = []string{id}
				}
				var err error
				if report, err = pipeline.Run(t.Context(), w.Options); err != nil {
					t.Fatal(err)
				}
			}
			if r := report.Retired; r.Resources != int64(tt.retired) || r.Spared != tt.spared {
				t.Errorf("%+v, want %d retired and %d runs spared", r, tt.retired, tt.spared)
			}
		})
	}
}
