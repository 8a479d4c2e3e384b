package pipeline

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// patientIDs writes the ids of a file's patients to w, one per line, and returns how many there
// are. If the manifest does not give the file's type, resources other than Patient are skipped.
func (r *run) patientIDs(ctx context.Context, m *bulk.Manifest, f bulk.File, w io.Writer) (int, error) {
	stream, err := r.opener.Open(ctx, m, f)
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	d := jsontext.NewDecoder(bulk.WithoutBOM(stream), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	patients := 0
	for n := 0; ; n++ {
		typ, id, err := nextResource(d)
		if err == nil && f.Type == "" && typ != "Patient" {
			continue
		}
		if err == nil && (id == "" || len(id) > 256 || strings.ContainsAny(id, "\n/?#")) {
			err = errNoMember
		}
		var bad *jsontext.SyntacticError
		switch {
		case errors.As(err, &bad) && !errors.Is(err, io.ErrUnexpectedEOF):
			return 0, memberError(d, n, "it is not JSON") // the decoder's error may quote the data
		case errors.Is(err, errNoMember):
			return 0, memberError(d, n, err.Error())
		case errors.Is(err, io.EOF):
			if f.Count >= 0 && f.Count != int64(n) {
				return 0, &CountError{Manifest: f.Count, Found: int64(n)}
			}
			return patients, nil
		case err != nil:
			return 0, err
		}
		patients++
		if _, err := io.WriteString(w, id+"\n"); err != nil {
			return 0, err
		}
	}
}

var errNoMember = errors.New("it is not a patient with a usable id")

// memberError returns a [*columnar.DataError] for the resource that follows the first n.
func memberError(d *jsontext.Decoder, n int, reason string) error {
	return &columnar.DataError{Line: int64(n) + 1, Offset: d.InputOffset(), Reason: reason}
}

// nextResource reads one resource and returns its type and id.
func nextResource(d *jsontext.Decoder) (typ, id string, err error) {
	if t, err := d.ReadToken(); err != nil {
		return "", "", err
	} else if t.Kind() != '{' {
		return "", "", errNoMember
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return "", "", err
		}
		var into *string
		switch name.String() {
		case "resourceType":
			into = &typ
		case "id":
			into = &id
		}
		if into == nil || d.PeekKind() != '"' {
			if err := d.SkipValue(); err != nil {
				return "", "", err
			}
			continue
		}
		t, err := d.ReadToken()
		if err != nil {
			return "", "", err
		}
		*into = t.String()
	}
	_, err = d.ReadToken()
	return typ, id, err
}

// eachMember calls each for every id of a list that the run has written.
func (r *run) eachMember(ctx context.Context, key string, each func(id string)) error {
	const hint = "restore it from a backup, or begin a new run (run --fresh): nothing of this one is published yet"
	return eachLine(ctx, r.State, key, hint, func(line []byte) error {
		each(string(line))
		return nil
	})
}

// eachLine calls each for every line of a gzipped file. The hint is for a file that is damaged.
func eachLine(ctx context.Context, s ledger.Store, key, hint string, each func(line []byte) error) error {
	f, err := s.Open(ctx, key)
	if err != nil {
		return err
	}
	defer f.Close()
	damaged := func(err error) error {
		if _, ok := errors.AsType[*sink.Error](err); ok {
			return err // it could not be read, which says nothing about its contents
		}
		return &ledger.DamagedError{Key: key, Err: err, Hint: hint}
	}
	unpacked, err := gzip.NewReader(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return damaged(err)
	}
	lines := bufio.NewScanner(unpacked)
	for lines.Scan() {
		if err := each(lines.Bytes()); err != nil {
			return damaged(err)
		}
	}
	if err := lines.Err(); err != nil {
		return damaged(err)
	}
	return nil
}

// member is a patient of the feed's groups, as recorded in the feed's list of members.
type member struct {
	ID    string    `json:"id"`
	First time.Time `json:"first"` // start of the first run that saw the patient
	Last  time.Time `json:"last"`  // start of the last run that did
	Left  bool      `json:"left,omitempty"`
}

// membersBefore returns the feed's list of members as the last published run left it.
func (r *run) membersBefore(ctx context.Context) (map[string]member, error) {
	all := map[string]member{}
	key := r.lease.Feed().Members
	if key == "" {
		return all, nil
	}
	const hint = "restore it from a backup; or run --fresh once with new_members: ignore, which drops it: to the run after that, all members are new"
	return all, eachLine(ctx, r.State, key, hint, func(line []byte) error {
		var m member
		err := json.Unmarshal(line, &m)
		all[m.ID] = m
		return err
	})
}

// membersNow returns the feed's list of members, updated with what the run has seen and gzipped.
// It is nil if the run has listed no members.
func (r *run) membersNow(ctx context.Context) ([]byte, error) {
	lists := r.journal.withRole(roleMembers)
	if len(lists) == 0 {
		return nil, nil
	}
	all, err := r.membersBefore(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	report := &lake.MembersReport{}
	for _, x := range lists {
		err := r.eachMember(ctx, x.members.Key, func(id string) {
			if seen[id] {
				return
			}
			seen[id] = true
			m, known := all[id]
			if !known || m.Left {
				report.New++
			}
			if !known {
				m = member{ID: id, First: r.started.UTC()}
			}
			m.Last, m.Left = r.started.UTC(), false
			all[id] = m
		})
		if err != nil {
			return nil, err
		}
	}
	report.Listed = len(seen)
	var list bytes.Buffer
	packed := gzip.NewWriter(&list)
	lines := json.NewEncoder(packed)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		m := all[id]
		if !seen[id] && !m.Left {
			m.Left = true
			report.Left++
		}
		if err := lines.Encode(m); err != nil {
			return nil, err
		}
	}
	if err := packed.Close(); err != nil {
		return nil, err
	}
	r.report.Members = report
	return list.Bytes(), nil
}

// putMembers stores the feed's list of members and returns its key, "" if list is nil.
func (r *run) putMembers(ctx context.Context, list []byte) (key string, err error) {
	if list == nil {
		return "", nil
	}
	key = ledger.Folder(r.id) + "members.ndjson.gz"
	return key, r.State.Put(ctx, key, list)
}
