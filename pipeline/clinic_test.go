package pipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

// clinic is a server that tests change between runs. Its transactionTime is that of the night.
type clinic struct {
	*world
	seen int // how many kick-offs asked has returned

	mu                     sync.Mutex
	night                  time.Time
	data, deleted, errored []bulktest.File
}

func newClinic(t *testing.T, data ...bulktest.File) *clinic {
	t.Helper()
	c := &clinic{data: data, night: time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)}
	locked := func(files *[]bulktest.File) section {
		return func() []bulktest.File {
			c.mu.Lock()
			defer c.mu.Unlock()
			return *files
		}
	}
	c.world = newWorld(t, bulktest.Options{Data: locked(&c.data), Deleted: locked(&c.deleted), Errors: locked(&c.errored), TransactionTime: c.now})
	c.Now = c.now
	return c
}

func (c *clinic) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.night
}

// then lets nights pass, and changes the data.
func (c *clinic) then(nights int, data ...bulktest.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.night = c.night.AddDate(0, 0, nights)
	if data != nil {
		c.data = data
	}
}

// run runs the feed, which must not fail; it may be partial.
func (c *clinic) run(t *testing.T) *lake.Report {
	t.Helper()
	report, err := pipeline.Run(t.Context(), c.Options)
	if _, partial := errors.AsType[*pipeline.PartialError](err); err != nil && !partial {
		t.Fatal(err)
	}
	return report
}

// asked returns the exports that the server was asked for since the last call, without what all
// have in common.
func (c *clinic) asked(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, r := range c.server.Requests() {
		if r.Endpoint == bulktest.KickOffEndpoint {
			all = append(all, asked(t, r))
		}
	}
	fresh := all[c.seen:]
	c.seen = len(all)
	return fresh
}

func asked(t *testing.T, r bulktest.Request) string {
	t.Helper()
	query := r.Query
	if r.Method == http.MethodPost {
		var body struct {
			Parameter []map[string]any
		}
		if err := json.Unmarshal(r.Body, &body); err != nil {
			t.Fatal(err)
		}
		query = url.Values{}
		for _, p := range body.Parameter {
			for key, value := range p {
				if reference, ok := value.(map[string]any); ok {
					value = reference["reference"]
				}
				if text, ok := value.(string); ok && key != "name" {
					query.Add(p["name"].(string), text)
				}
			}
		}
	}
	var parts []string
	for _, name := range []string{"_type", "_elements", "patient", "_since", "_until"} {
		values := slices.Sorted(slices.Values(query[name]))
		for _, v := range values {
			parts = append(parts, strings.TrimPrefix(name, "_")+"="+strings.TrimSuffix(v, ":00:00.000Z"))
		}
	}
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(r.Path, "/fhir"), "/$export") + " " + strings.Join(parts, " "))
}

func (c *clinic) wantAsked(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, c.asked(t), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("exports asked for (-want +got):\n%s", diff)
	}
}

// wantMarks checks the watermarks, by type, given as days of the month.
func (c *clinic) wantMarks(t *testing.T, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for typ, w := range c.feed(t).Watermarks {
		got[typ] = strings.TrimSuffix(strings.TrimPrefix(w.Time, "2026-03-"), "T02:00:00.000Z")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("watermarks (-want +got):\n%s", diff)
	}
}

func updated(typ, id, when string) string {
	return `{"resourceType":"` + typ + `","id":"` + id + `","meta":{"lastUpdated":"` + when + `"}}`
}

// wantRows checks the ids of the rows in the live runs.
func (c *clinic) wantRows(t *testing.T, want ...string) {
	t.Helper()
	got := []string{}
	for _, rows := range c.live(t) {
		for _, row := range rows {
			_, after, _ := strings.Cut(row, `"id":"`)
			id, _, _ := strings.Cut(after, `"`)
			got = append(got, id)
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// What an export that lists members asks for, after its group.
const listing = " type=Patient elements=id"

// groupsOf returns Group resources; "a: 1 2" is group a with two patients.
func groupsOf(groups ...string) bulktest.File {
	var lines []string
	for _, g := range groups {
		id, patients, _ := strings.Cut(g, ":")
		var members []string
		for p := range strings.FieldsSeq(patients) {
			members = append(members, `{"entity":{"reference":"Patient/`+p+`"}}`)
		}
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Group","id":%q,"member":[%s]}`, id, strings.Join(members, ",")))
	}
	return bulktest.Lines("Group", lines...)
}

// newPractice is a server with these groups, and with three patients who have not changed for a
// long time.
func newPractice(t *testing.T, groups ...string) *clinic {
	t.Helper()
	c := newClinic(t, practice(groups...)...)
	c.Feed.Request.Level = bulk.Group
	for _, g := range groups {
		id, _, _ := strings.Cut(g, ":")
		c.Feed.Groups = append(c.Feed.Groups, id)
	}
	return c
}

func practice(groups ...string) []bulktest.File {
	const long = "2026-01-01T00:00:00Z"
	condition := func(n string) string {
		return `{"resourceType":"Condition","id":"c` + n + `","meta":{"lastUpdated":"` + long + `"},"subject":{"reference":"Patient/` + n + `"}}`
	}
	return []bulktest.File{bulktest.Lines("Patient", updated("Patient", "1", long), updated("Patient", "2", long), updated("Patient", "3", long)),
		bulktest.Lines("Condition", condition("1"), condition("2"), condition("3")), groupsOf(groups...)}
}
