package pipeline_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/transport"
)

// An overdue export is given up, even if no single run has waited for it that long: otherwise
// each night would go on with it, and wait in vain.
func TestAnOverdueExportIsGivenUp(t *testing.T) {
	t.Parallel()
	c := newClinic(t, oneOfEach()...)
	c.ExportDeadline = 36 * time.Hour
	heal, _ := c.stopWaiting(t)
	c.then(2)
	_, err := pipeline.Run(t.Context(), c.Options)
	if !isKind(transport.Unavailable)(err) || !strings.Contains(err.Error(), "48h0m0s after its kick-off") {
		t.Fatalf("error %v", err)
	}
	c.wantDeleted(t, 1)
	heal()
	if report := c.run(t); report.Resources != 60 || c.kickOffs() != 2 {
		t.Errorf("%d resources, after %d kick-offs", report.Resources, c.kickOffs())
	}
	c.wantTidy(t)
}

// An export that the server has finished in the meantime is not overdue, and one that is younger
// than the deadline is waited for.
func TestAnExportThatIsReadyIsNotOverdue(t *testing.T) {
	t.Parallel()
	c := newClinic(t, oneOfEach()...)
	c.ExportDeadline = 36 * time.Hour
	heal, stopAgain := c.stopWaiting(t)
	c.then(1)
	stopAgain()
	heal()
	c.then(2)
	if report := c.run(t); !report.Resumed || c.kickOffs() != 1 {
		t.Errorf("resumed %v, after %d kick-offs", report.Resumed, c.kickOffs())
	}
	c.wantTidy(t)
}

// stopWaiting makes the server work at its export until heal is called, and stops a run that
// waits for it. again does the same to another run.
func (c *clinic) stopWaiting(t *testing.T) (heal, again func()) {
	t.Helper()
	var stop atomic.Pointer[context.CancelCauseFunc]
	heal = c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusAccepted)
		if cancel := stop.Load(); cancel != nil {
			(*cancel)(errDead)
		}
	}})
	again = func() {
		t.Helper()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer stop.Store(nil)
		stop.Store(&cancel)
		if _, err := pipeline.Run(ctx, c.Options); !errors.Is(err, errDead) {
			t.Fatalf("error %v", err)
		}
	}
	again()
	return heal, again
}
