package ledger

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Failure is the latest of a feed's failed runs, with how many have failed in a row. A run does
// not count as failed if it was stopped by a signal, was killed, or lost its lease.
type Failure struct {
	At       time.Time `json:"at"`            // when the run ended, by the local clock
	Run      string    `json:"run,omitempty"` // as in its log and report; it may not have got as far as a ledger
	Error    string    `json:"error"`         // without secrets and patient data, like a report's
	Failures int       `json:"failures"`      // in a row

	Unknown jsontext.Value `json:",embed"`
}

// maxError bounds how much of an error goes into the feed's object, in bytes.
const maxError = 2000

// Fail makes Release record that a run has failed. That takes no write of its own, so that a
// store that does not answer delays the end of the run no longer than before. If the lease is
// lost by then, nothing is recorded. Fail ignores why.Failures; Release counts.
func (l *Lease) Fail(why Failure) {
	why.Error = strings.ToValidUTF8(why.Error, "\uFFFD")
	if len(why.Error) > maxError {
		why.Error = strings.ToValidUTF8(why.Error[:maxError], "") + "…"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = &why
}

// addFailure records in f the failure that Fail was given, if any.
func (l *Lease) addFailure(f *Feed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure == nil {
		return
	}
	next := *l.failure
	next.Failures = 1
	if before := f.LastFailure; before != nil {
		next.Failures += max(before.Failures, 0)
	}
	f.LastFailure = &next
}
