package pipeline_test

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/transport"
)

// A transactionTime that is no step forward leaves the watermark where it is, but the rows are
// published.
func TestTransactionTimes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text any    // nil: none
		mark string // "": it stays
	}{
		"later":               {"2026-03-02T03:05:00+01:00", "2026-03-02T02:05:00.000Z"},
		"local time as UTC":   {"2026-03-02T07:00:00Z", "2026-03-02T02"}, // when the run began
		"a day ahead, nearly": {"2026-03-03T02:00:00Z", "2026-03-02T02"},
		"missing":             {nil, ""},
		"malformed":           {"2 March 2026", ""},
		"a day":               {"2026-03-02", ""},
		"without a zone":      {"2026-03-02T02:00:00", ""},
		"equal":               {"2026-03-01T03:00:00+01:00", ""},
		"older":               {"2026-02-28T02:00:00Z", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
			c.run(t)
			c.asked(t)
			c.then(1, bulktest.Lines("Patient", updated("Patient", "2", "2026-03-01T12:00:00Z")))
			remove := c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.EditManifest(func(m map[string]any) {
				if m["transactionTime"] = test.text; test.text == nil {
					delete(m, "transactionTime")
				}
			})})
			report := c.run(t)
			remove()
			if (report.Held != "") != (test.mark == "") || report.Status != ledger.StatusPublished {
				t.Errorf("held: %q, %s", report.Held, report.Status)
			}
			if got := len(c.live(t)["Patient"]); got != 2 {
				t.Errorf("%d patients are published, want 2", got)
			}
			want := cmp.Or(test.mark, "2026-03-01T02")
			c.then(1)
			c.run(t)
			c.wantAsked(t, "since=2026-03-01T02", "since="+want)
			c.wantMarks(t, map[string]string{"*": "03"})
		})
	}
}

// A transactionTime that was in the future when the server sent it stays so, however long the
// run takes.
func TestATransactionTimeThatIsPassedMeanwhile(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: bulktest.EditManifest(func(m map[string]any) { m["transactionTime"] = "2026-03-01T04:00:00Z" })})
	c.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		c.mu.Lock()
		c.night = c.night.Add(3 * time.Hour)
		c.mu.Unlock()
		next.ServeHTTP(w, r)
	}})
	c.run(t)
	c.wantMarks(t, map[string]string{"*": "01T02:00:00Z"})
}

// A transactionTime that is years ahead would make every later version of a resource look old.
func TestATransactionTimeOfAnotherAge(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", updated("Patient", "1", "2026-01-01T00:00:00Z")))
	c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: bulktest.EditManifest(func(m map[string]any) { m["transactionTime"] = "2099-01-01T00:00:00Z" })})
	var broken *transport.Error
	if _, err := pipeline.Run(t.Context(), c.Options); !errors.As(err, &broken) || broken.Kind != transport.Broken || !strings.Contains(err.Error(), "ahead of this machine's clock") {
		t.Errorf("error %v", err)
	}
	c.wantUnseen(t)
	c.run(t)
	c.wantMarks(t, map[string]string{"*": "01"})
}
