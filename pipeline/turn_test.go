package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
)

// A run takes its turn once, and gives it back when it has ended and its exports are deleted, or
// when it fails. A resumed run says whether it has an export at the server.
func TestTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: append(oneOfEach(), bulktest.Lines("Group",
		`{"resourceType":"Group","id":"a","member":[{"entity":{"reference":"Patient/Patient-1"}}]}`,
		`{"resourceType":"Group","id":"b","member":[{"entity":{"reference":"Patient/Patient-2"}}]}`))})
	w.Feed.Request.Level, w.Feed.Groups = bulk.Group, []string{"a", "b"}
	var came []bool // whether an export is there
	held, left := 0, 0
	w.Turn = func(_ context.Context, there bool) (func(), error) {
		came = append(came, there)
		held++
		return func() { held--; left = w.kickOffs() - len(w.requests(bulktest.DeleteEndpoint)) }, nil
	}
	// This also fails the list of a's members, which is a Patient file too.
	remove := w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.Respond(404, nil, "")})
	if _, err := pipeline.Run(t.Context(), w.Options); err == nil || !slices.Equal(came, []bool{false}) || held != 0 || left != 1 {
		t.Errorf("error %v, turns %v, %d held, %d exports left", err, came, held, left)
	}
	remove()
	r, err := pipeline.Run(t.Context(), w.Options)
	if err != nil || !r.Resumed || !slices.Equal(came, []bool{false, true}) || held != 0 || left != 0 || w.kickOffs() != 4 {
		t.Errorf("error %v, turns %v, %d held, %d exports left of %d", err, came, held, left, w.kickOffs())
	}
	refused := errors.New("no turn")
	w.Turn = func(context.Context, bool) (func(), error) { return nil, refused }
	if _, err := pipeline.Run(t.Context(), w.Options); !errors.Is(err, refused) || w.kickOffs() != 4 {
		t.Errorf("error %v, %d kick-offs", err, w.kickOffs())
	}
}
