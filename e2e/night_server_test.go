//go:build cgo

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fhirkiln/bulk/bulktest"
)

// transactionTime is called at each kick-off, before the data is read.
func (w *nightWorld) transactionTime() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tick(5 * time.Minute)
	w.asOf = w.clock
	if !w.stuck.IsZero() {
		w.asOf = w.stuck
	}
	w.starts = append(w.starts, w.asOf)
	return w.asOf
}

// nightSection makes files of the world's state at a kick-off.
type nightSection func() []bulktest.File

func (s nightSection) Files() []bulktest.File { return s() }

// output returns all resources, in one or two files for each type, and the groups.
func (w *nightWorld) output() []bulktest.File {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, changed := map[string][]string{}, map[string]time.Time{}
	for _, k := range w.keys {
		v, ok := w.newest(k, w.asOf)
		if !ok || v.line == "" || k == w.withheld {
			continue
		}
		lines[k.typ] = append(lines[k.typ], v.line)
		changed[v.line] = v.changed
		if j := w.joined(k.patient(), w.asOf); w.sendsHistory && j.After(v.changed) {
			changed[v.line] = j
		}
	}
	var files []bulktest.File
	for _, typ := range []string{"Observation", "Patient", "Practitioner"} {
		half := w.rnd.IntN(len(lines[typ]) + 1)
		for _, part := range [][]string{lines[typ][:half], lines[typ][half:]} {
			f := bulktest.Lines(typ, part...)
			f.Changed = func(line []byte) time.Time { return changed[string(line)] }
			files = append(files, f)
		}
	}
	var groups []string
	for n, id := range w.groups {
		var members []string
		for _, p := range w.patients() {
			if w.isMember(n, p, w.asOf) {
				members = append(members, `{"entity":{"reference":"Patient/`+p+`"}}`)
			}
		}
		groups = append(groups, fmt.Sprintf(`{"resourceType":"Group","id":%q,"member":[%s]}`, id, strings.Join(members, ",")))
	}
	return append(files, bulktest.Lines("Group", groups...))
}

// deleted returns what no longer exists. The Bundles' ids are the numbers of the deletes.
func (w *nightWorld) deleted() []bulktest.File {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.tellsDeletes {
		return nil
	}
	changed := map[string]time.Time{}
	var lines []string
	for _, k := range w.keys {
		if v, ok := w.newest(k, w.asOf); ok && v.line == "" {
			line := fmt.Sprintf(`{"resourceType":"Bundle","id":"%d","type":"transaction","entry":[{"request":{"method":"DELETE","url":"%s/%s"}}]}`, v.number, k.typ, k.id)
			lines = append(lines, line)
			changed[line] = v.changed
		}
	}
	f := bulktest.Lines("Bundle", lines...)
	f.Changed = func(line []byte) time.Time { return changed[string(line)] }
	return []bulktest.File{f}
}

// errors says that something is missing.
func (w *nightWorld) errors() []bulktest.File {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.withheld == (nightKey{}) {
		return nil
	}
	return []bulktest.File{bulktest.Lines("OperationOutcome", `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception"}]}`)}
}

// withhold makes exports lack a resource and say so, or ends that.
func (w *nightWorld) withhold(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.withheld = (nightKey{}); on {
		w.withheld = w.anyKey()
	}
}

// stick makes the server believe that the time is then.
func (w *nightWorld) stick(then time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stuck = then
}

// rename gives a group a new id, and returns the ids of all groups.
func (w *nightWorld) rename() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups[w.rnd.IntN(len(w.groups))] += "x"
	return slices.Clone(w.groups)
}
