package pipeline_test

import (
	"context"
	"errors"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
)

// A run asks for its turn before each export that is at the server, also when it goes on
// with one, and gives it back when it fails.
func TestTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	taken, held := 0, 0
	w.Turn = func(context.Context) (func(), error) {
		taken++
		held++
		return func() { held-- }, nil
	}
	remove := w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.Respond(404, nil, "")})
	if _, err := pipeline.Run(t.Context(), w.Options); err == nil || taken != 1 || held != 0 {
		t.Errorf("error %v, %d turns taken, %d held", err, taken, held)
	}
	remove()
	if r, err := pipeline.Run(t.Context(), w.Options); err != nil || !r.Resumed || taken != 2 || held != 0 {
		t.Errorf("error %v, %d turns taken, %d held", err, taken, held)
	}
	refused := errors.New("no turn")
	w.Turn = func(context.Context) (func(), error) { return nil, refused }
	if _, err := pipeline.Run(t.Context(), w.Options); !errors.Is(err, refused) || w.kickOffs() != 1 {
		t.Errorf("error %v, %d kick-offs", err, w.kickOffs())
	}
}
