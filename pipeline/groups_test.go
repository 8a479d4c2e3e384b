package pipeline_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/transport"
)

// matched is data whose Groups have other ids each time, except for the identifier npi.
type matched struct{ month atomic.Int64 }

func (m *matched) Files() []bulktest.File {
	group := func(letter string, patient int) string {
		return fmt.Sprintf(`{"resourceType":"Group","id":"%s%d","identifier":[{"system":"urn:npi","value":"1|5"}],"member":[{"entity":{"reference":"Patient/Patient-%d"}}]}`,
			letter, m.month.Load(), patient)
	}
	return []bulktest.File{
		bulktest.Lines("Patient", resources("Patient", 0, 4)...),
		bulktest.Lines("Group", group("b", 0), group("a", 1), strings.Replace(group("other", 2), "1|5", "2", 1)),
	}
}

// groupsAsked returns the groups of all kick-offs.
func (w *world) groupsAsked() (groups []string) {
	for _, r := range w.requests(bulktest.KickOffEndpoint) {
		groups = append(groups, strings.Split(r.Path, "/")[3])
	}
	return groups
}

func searching(t *testing.T) (*world, *matched) {
	data := &matched{}
	w := newWorld(t, bulktest.Options{Data: data})
	w.Feed.Request.Level, w.Feed.GroupSearch = bulk.Group, "Group?identifier=urn:npi|1%7C5"
	return w, data
}

func TestGroupsAreSearchedOnceARun(t *testing.T) {
	t.Parallel()
	w, data := searching(t)
	w.Feed.IgnoreNewMembers = true
	for night, want := range []string{"a0 b0", "a1 b1"} {
		data.month.Store(int64(night))
		before := len(w.groupsAsked())
		if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
			t.Fatal(err)
		}
		searches := len(w.requests(bulktest.SearchEndpoint))
		if got := strings.Join(w.groupsAsked()[before:], " "); got != want || searches != night+1 {
			t.Errorf("night %d: exported %s, want %s, after %d searches", night, got, want, searches)
		}
	}
	if diff := cmp.Diff(resources("Patient", 0, 2), w.published(t)["Patient"]); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

// A resumed run keeps its groups, whatever the search would find by now.
func TestAResumedRunKeepsItsGroups(t *testing.T) {
	t.Parallel()
	for name, ignore := range map[string]bool{"with lists of members": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := searching(t)
			w.Feed.IgnoreNewMembers = ignore
			second := func(r *http.Request) bool {
				return strings.HasPrefix(r.URL.Path, "/fhir/Group/b0/") && !r.URL.Query().Has("_elements")
			}
			w.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, When: second, Do: bulktest.Respond(http.StatusForbidden, nil, "")})
			if _, err := pipeline.Run(t.Context(), w.Options); !isKind(transport.Denied)(err) {
				t.Fatal(err)
			}
			w.Feed.GroupSearch = "Group?identifier=2"
			report, err := pipeline.Run(t.Context(), w.Options)
			if err != nil || !report.Resumed {
				t.Fatalf("resumed: %v, error %v", report.Resumed, err)
			}
			if diff := cmp.Diff(resources("Patient", 0, 2), w.published(t)["Patient"]); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			if searches := len(w.requests(bulktest.SearchEndpoint)); searches != 1 {
				t.Errorf("%d searches, want 1", searches)
			}
		})
	}
}

// A run cannot be finished if the server has matched its group anew in the meantime, or if the
// config no longer names the group.
func TestAResumedRunWhoseGroupIsGone(t *testing.T) {
	t.Parallel()
	refuse := func(w *world, group string) {
		w.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: bulktest.Respond(http.StatusServiceUnavailable, nil, ""), Times: 3,
			When: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/fhir/Group/"+group+"/") }})
		if _, err := pipeline.Run(t.Context(), w.Options); !isKind(transport.Unavailable)(err) {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(w *world, data *matched){
		"searched": func(w *world, data *matched) {
			w.Feed.GroupSearch = "Group?identifier=urn:npi|1%7C5"
			refuse(w, "b0")
			data.month.Store(1)
		},
		"named": func(w *world, data *matched) {
			w.Feed.Groups = []string{"a0", "b0"}
			refuse(w, "b0")
			data.month.Store(1)
			w.Feed.Groups = []string{"a1", "b1"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, data := searching(t)
			w.Feed.GroupSearch, w.Feed.IgnoreNewMembers = "", true
			change(w, data)
			report, err := pipeline.Run(t.Context(), w.Options)
			if err != nil || report.Resumed { // it is resumed, in vain, and another one begins
				t.Fatalf("resumed: %v, error %v", report.Resumed, err)
			}
			if diff := cmp.Diff(resources("Patient", 0, 2), w.published(t)["Patient"]); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			w.wantTidy(t)
		})
	}
}

// A run whose groups exist is kept, whatever its server says for a while.
func TestAResumedRunIsKeptWhereItsGroupsAreThere(t *testing.T) {
	t.Parallel()
	w, _ := searching(t)
	w.Feed.IgnoreNewMembers = true
	remove := w.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: bulktest.Respond(http.StatusForbidden, nil, ""), Times: bulktest.Always,
		When: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/fhir/Group/b0/") }})
	for range 2 {
		if _, err := pipeline.Run(t.Context(), w.Options); !isKind(transport.Denied)(err) {
			t.Fatal(err)
		}
	}
	remove()
	if report, err := pipeline.Run(t.Context(), w.Options); err != nil || !report.Resumed {
		t.Errorf("resumed: %v, error %v", report.Resumed, err)
	}
}

func TestASearchWithoutGroupsFails(t *testing.T) {
	t.Parallel()
	w, _ := searching(t)
	w.Feed.GroupSearch = "Group?identifier=nobody"
	report, err := pipeline.Run(t.Context(), w.Options)
	var e *transport.Error
	if !errors.As(err, &e) || e.Kind != transport.NotThere || !strings.Contains(e.Hint, "group_search") || strings.Contains(err.Error()+w.logs.String(), "nobody") {
		t.Errorf("error %v", err)
	}
	if report.Status != lake.StatusFailed || w.kickOffs() != 0 {
		t.Errorf("status %s after %d kick-offs", report.Status, w.kickOffs())
	}
	w.wantUnseen(t)
	w.wantTidy(t)
}
