package pipeline_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/transport"
)

func refusePost(c *clinic) {
	c.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Times: bulktest.Always, Do: bulktest.Respond(http.StatusForbidden, nil, ""),
		When: func(r *http.Request) bool { return r.Method == http.MethodPost }})
}

// If patients cannot be named, the group of a new member is exported in full, and also since the
// watermark, for deletes. Other groups are not.
func TestServersThatDoNotExportPatientsByName(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1", "b: 2")
	refusePost(c)
	c.run(t)
	c.then(1, practice("a: 1 3", "b: 2")...)
	c.asked(t)
	report := c.run(t)
	wantMembers(t, report, 3, 1, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/b"+listing, "/Group/a patient=Patient/3", "/Group/a", "/Group/a since=2026-03-01T02", "/Group/b since=2026-03-01T02")
	c.wantRows(t, "1", "c1", "2", "c2", "1", "c1", "3", "c3")
	c.wantMarks(t, map[string]string{"*": "02"})
	c.wantTidy(t)
}

// Refused credentials say nothing about what the server can do.
func TestAHistoryWithoutCredentials(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1")
	c.run(t)
	c.then(1, practice("a: 1 3")...)
	c.asked(t)
	remove := c.server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Times: bulktest.Always, Do: bulktest.Respond(http.StatusUnauthorized, nil, ""),
		When: func(r *http.Request) bool { return r.Method == http.MethodPost }})
	if _, err := pipeline.Run(t.Context(), c.Options); !isKind(transport.Denied)(err) {
		t.Fatalf("error %v", err)
	}
	remove()
	c.asked(t)
	c.run(t)
	c.wantAsked(t, "/Group/a patient=Patient/3", "/Group/a since=2026-03-01T02")
}

// A history export that fails after the server accepted it is not half published.
func TestAHistoryThatFails(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1 2")
	c.run(t)
	c.then(1, practice("a: 1 2 3")...)
	c.asked(t)
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Skip: 1, Do: bulktest.Outcome(http.StatusInternalServerError, "processing", "")})
	wantMembers(t, c.run(t), 3, 1, 0)
	c.wantAsked(t, "/Group/a"+listing, "/Group/a patient=Patient/3", "/Group/a", "/Group/a since=2026-03-01T02")
	c.wantRows(t, "1", "2", "c1", "c2", "1", "2", "3", "c1", "c2", "c3")
}

// If a server sends the history of new members under _since too, they have it twice.
func TestServersThatSendHistory(t *testing.T) {
	t.Parallel()
	c := newPractice(t, "a: 1 2")
	c.run(t)
	data := practice("a: 1 2 3")
	for i := range data[:2] {
		data[i].Changed = func(line []byte) time.Time {
			if strings.Contains(string(line), "3") {
				return c.now()
			}
			return c.now().AddDate(0, -1, 0)
		}
	}
	c.then(1, data...)
	c.run(t)
	c.wantRows(t, "1", "2", "c1", "c2", "3", "c3", "3", "c3")
}
