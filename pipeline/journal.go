package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// journal records what a run has done. It is kept in the run's ledger, so whatever is decided
// from it comes out the same after the process is killed and started again.
//
// add may be called from any goroutine. While workers run, fields are read under mu; before and
// after, without it.
type journal struct {
	log *ledger.Run

	mu          sync.Mutex
	begun       *begun
	groups      []string // found by the feed's group search
	exports     []*export
	uncommitted map[string]bool // keys that may have staged data but belong to no recorded part
	inDoubt     []string        // keys of staged files that may or may not be recorded as in parts
	parts       []stagedPart
	quarantined []sink.Receipt // quarantine files, and those of the server's errors
	retired     *retirement    // nil until it is recorded
	givenUp     string
}

// openJournal opens a run's ledger and rebuilds the journal from it.
func openJournal(ctx context.Context, lease *ledger.Lease, run string) (*journal, error) {
	log, err := lease.OpenRun(ctx, run)
	if err != nil {
		return nil, err
	}
	j := &journal{log: log, uncommitted: map[string]bool{}}
	for raw, err := range log.Entries(ctx) {
		if err == nil {
			err = j.replay(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the run's ledger: %w", err)
		}
	}
	return j, nil
}

// replay applies one ledger entry that add wrote.
func (j *journal) replay(raw json.RawMessage) error {
	var entries []entry
	err := json.Unmarshal(raw, &entries)
	if err == nil {
		err = j.apply(entries)
	}
	if err != nil {
		return &ledger.DamagedError{Key: "an entry", Err: err,
			Hint: "if a newer fhirkiln began the run, use that one; or begin a new run (run --fresh): nothing of this one is published yet"}
	}
	return nil
}

// add makes entries durable, all of them or none. What they say counts from then on.
func (j *journal) add(ctx context.Context, entries ...entry) error {
	raw, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	err = j.log.Append(ctx, raw)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.doubt(entries)
		return err
	}
	return j.apply(entries)
}

// doubt handles entries that may count even though writing them failed: what they say is staged
// must not be thrown away as uncommitted, unless everything is.
func (j *journal) doubt(entries []entry) {
	for _, e := range entries {
		j.inDoubt = append(j.inDoubt, j.markInParts(e.Staged)...)
		if e.Retired != nil {
			j.inDoubt = append(j.inDoubt, j.markInParts(&staged{Parts: e.Retired.Parts})...)
		}
	}
}

// dismissDoubts makes the keys in doubt uncommitted. Their files must count for nothing by now,
// whether or not they are recorded: the run is given up, or their export is lost.
func (j *journal) dismissDoubts() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, key := range j.inDoubt {
		j.uncommitted[key] = true
	}
	j.inDoubt = nil
}

// markInParts takes the keys of s out of uncommitted, because parts recorded (or possibly
// recorded) in the ledger use them, and returns them.
func (j *journal) markInParts(s *staged) []string {
	keys := s.keys()
	for _, key := range keys {
		delete(j.uncommitted, key)
	}
	return keys
}

func (s *staged) keys() []string {
	if s == nil {
		return nil
	}
	var keys []string
	for _, p := range s.Parts {
		keys = append(keys, p.Receipt.Key)
	}
	for _, q := range s.Quarantine {
		keys = append(keys, q.Key)
	}
	return keys
}

func (j *journal) apply(entries []entry) error {
	for _, e := range entries {
		if err := j.applyOne(e); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) applyOne(e entry) error {
	switch {
	case e.Begun != nil:
		j.begun = e.Begun
	case e.Groups != nil:
		j.groups = e.Groups
	case e.Planned != nil:
		for _, p := range e.Planned {
			j.exports = append(j.exports, &export{planned: p, index: len(j.exports)})
		}
	case e.Keys != nil:
		for _, key := range e.Keys {
			j.uncommitted[key] = true
		}
	case e.Retired != nil:
		j.retired = e.Retired
		j.parts = append(j.parts, e.Retired.Parts...)
		j.markInParts(&staged{Parts: e.Retired.Parts})
	case e.GivenUp != "":
		j.givenUp = e.GivenUp
	default:
		return j.applyToExport(e)
	}
	return nil
}

func (j *journal) applyToExport(e entry) error {
	index, ok := e.export()
	switch {
	case !ok:
		return errors.New("this version of fhirkiln does not know what it says")
	case index < 0 || index >= len(j.exports):
		return fmt.Errorf("it refers to export %d, but there are only %d", index, len(j.exports))
	}
	x := j.exports[index]
	switch {
	case e.Started != nil:
		if len(x.files) > 0 {
			j.void(x) // the files of a manifest that came with the kick-off's answer, and is lost with it
		}
		x.job = &bulk.Job{StatusURL: e.Started.StatusURL, SeparateStatus: e.Started.SeparateStatus}
		x.accepted, x.issues = e.Started.At, slices.Clone(e.Started.Issues)
	case e.Refused != nil:
		x.refused = true
	case e.Lost != nil:
		j.void(x)
	case e.Listed != nil:
		x.list(e.Listed.Files)
	case e.Complete != nil:
		x.complete = e.Complete
	case e.Staged != nil:
		return j.applyStaged(x, e.Staged)
	case e.Issues != nil:
		x.issues, x.issuesDone = append(x.issues, e.Issues.Issues...), true
	case e.Members != nil:
		x.members = e.Members
	case e.Deleted != nil:
		x.deleted = true
	}
	return nil
}

// void forgets an export's progress. There may be some: a server may tell of files before its
// export fails.
func (j *journal) void(x *export) {
	for _, key := range x.keys {
		j.uncommitted[key] = true
	}
	j.parts = slices.DeleteFunc(j.parts, func(p stagedPart) bool { return slices.Contains(x.keys, p.Receipt.Key) })
	j.quarantined = slices.DeleteFunc(j.quarantined, func(q sink.Receipt) bool { return slices.Contains(x.keys, q.Key) })
	x.job, x.complete, x.issues, x.files, x.keys, x.manifest = nil, nil, nil, nil, nil, nil
	x.queuedCount = 0
}

func (j *journal) applyStaged(x *export, s *staged) error {
	if x.job == nil {
		return nil // a worker learned too late that the export has failed; what it staged stays uncommitted
	}
	j.parts = append(j.parts, s.Parts...)
	j.quarantined = append(j.quarantined, s.Quarantine...)
	x.keys = append(x.keys, j.markInParts(s)...)
	for _, f := range s.Files {
		if f.File < 0 || f.File >= len(x.files) {
			return fmt.Errorf("it refers to file %d, but there are only %d", f.File, len(x.files))
		}
		x.files[f.File].end = &f
	}
	if s.Open != nil {
		if s.Open.File < 0 || s.Open.File >= len(x.files) {
			return fmt.Errorf("it refers to file %d, but there are only %d", s.Open.File, len(x.files))
		}
		x.files[s.Open.File].place = *s.Open
	}
	return nil
}

// withRole returns the exports that have the given role.
func (j *journal) withRole(r role) []*export {
	var some []*export
	for _, x := range j.exports {
		if x.Role == r {
			some = append(some, x)
		}
	}
	return some
}

// checkStaged returns an error if anything the run is about to publish is not staged, no matter
// which process was supposed to stage it.
func (j *journal) checkStaged() error {
	for _, x := range j.exports {
		if x.Role == roleMembers || x.refused {
			continue
		}
		if err := x.unconverted(); err != nil {
			return err
		}
		if !x.issuesRead() {
			return errors.New("the error files of an export were not read, although nothing failed")
		}
	}
	return nil
}
