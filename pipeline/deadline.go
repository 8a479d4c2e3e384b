package pipeline

import (
	"cmp"
	"fmt"
	"time"

	"fhirkiln/transport"
)

// overdue returns an error if the server has been working on an export for too long: every
// run that resumed it would wait in vain. Otherwise it returns nil.
func (r *run) overdue(x *export) error {
	since := cmp.Or(x.accepted, r.started)
	age := r.Now().Sub(since)
	if r.ExportDeadline <= 0 || age < r.ExportDeadline {
		return nil
	}
	return &overdueError{&transport.Error{Kind: transport.Unavailable, Doing: "waiting for the export", URL: x.job.StatusURL,
		Err:  fmt.Errorf("the server had not finished it %v after its kick-off; giving it up", age.Round(time.Second)),
		Hint: "run again to start another export; ask the server's owner, or raise the source's poll.deadline"}}
}

// overdueError marks the failure of an export that is overdue.
type overdueError struct{ error }

func (e *overdueError) Unwrap() error { return e.error }
