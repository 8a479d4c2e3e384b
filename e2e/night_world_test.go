//go:build cgo

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// nightServer describes how a simulated server behaves.
type nightServer struct {
	tellsDeletes bool          // in the manifest's deleted section
	sendsHistory bool          // with _since, of new members of a group
	refusesPost  bool          // and so patient=
	late         time.Duration // how long after its lastUpdated a change may become visible
}

// nightWorld is what the server knows: every version of every resource, and which patients were
// in which group when. Safe for concurrent use.
type nightWorld struct {
	nightServer

	mu       sync.Mutex
	rnd      *rand.Rand
	clock    time.Time
	sequence int
	keys     []nightKey // all that ever existed
	versions map[nightKey][]nightVersion
	members  []nightMove
	groups   []string // ids, by the group's number; servers change them

	// What determines the next exports.
	stuck    time.Time // the time that the server believes it is; zero: the real one
	asOf     time.Time // time of the newest export
	withheld nightKey  // missing, with an error file that says so; zero: nothing is missing
	starts   []time.Time
}

type nightKey struct{ typ, id string }

// nightVersion is a version of a resource, or its deletion.
type nightVersion struct {
	number  int       // counts all changes of the world
	visible time.Time // when exports begin to have it
	changed time.Time // what _since is compared with
	line    string    // "" for a delete
}

// nightMove says that a patient joined or left a group.
type nightMove struct {
	at      time.Time
	group   int
	patient string
	in      bool
}

func newNightWorld(rnd *rand.Rand, s nightServer) *nightWorld {
	w := &nightWorld{nightServer: s, rnd: rnd, clock: time.Date(2024, 2, 20, 22, 0, 0, 0, time.UTC),
		versions: map[nightKey][]nightVersion{}, groups: []string{"north", "south"}}
	for range 60 {
		w.change(true)
	}
	return w
}

func (w *nightWorld) tick(most time.Duration) {
	w.clock = w.clock.Add(time.Millisecond + someOf(w.rnd, most))
}

// day simulates what happens between two nights. Unless leaving is set, nobody leaves a group.
func (w *nightWorld) day(leaving bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Millisecond) // changes that the last kick-off did not see are after it
	for range w.rnd.IntN(12) {
		w.change(leaving)
	}
}

// sleepUntil advances the clock to a time of the next day.
func (w *nightWorld) sleepUntil(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.After(w.clock) {
		w.clock = t
	}
}

func (w *nightWorld) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

// change makes one change. Now and then several happen in one millisecond.
func (w *nightWorld) change(leaving bool) {
	if w.rnd.IntN(3) > 0 {
		w.tick(time.Hour)
	}
	switch n := w.rnd.IntN(20); {
	case n < 6 || len(w.keys) < 6:
		w.insert()
	case n < 11:
		w.put(w.anyKey(), false)
	case n < 14:
		w.put(w.anyKey(), true)
	case n < 17 || !leaving:
		w.move(true)
	default:
		w.move(false)
	}
}

func (w *nightWorld) anyKey() nightKey { return w.keys[w.rnd.IntN(len(w.keys))] }

func (w *nightWorld) insert() {
	k := nightKey{[]string{"Patient", "Observation", "Observation", "Practitioner"}[w.rnd.IntN(4)], ""}
	if k.typ == "Observation" {
		patients := w.patients()
		if len(patients) == 0 {
			return
		}
		k.id = patients[w.rnd.IntN(len(patients))] + "."
	}
	k.id += fmt.Sprintf("%s%d", strings.ToLower(k.typ[:2]), len(w.keys))
	w.keys = append(w.keys, k)
	w.put(k, false)
}

func (w *nightWorld) patients() []string {
	var ids []string
	for _, k := range w.keys {
		if k.typ == "Patient" {
			ids = append(ids, k.id)
		}
	}
	return ids
}

// put makes a new version of k, which restores it if it was deleted, or deletes it.
func (w *nightWorld) put(k nightKey, gone bool) {
	old := w.versions[k]
	if gone && (len(old) == 0 || old[len(old)-1].line == "") {
		gone = false
	}
	w.sequence++
	v := nightVersion{number: w.sequence, visible: w.clock, changed: w.clock}
	if w.late > 0 && w.rnd.IntN(3) == 0 {
		v.changed = v.changed.Add(-someOf(w.rnd, w.late))
	}
	if !gone {
		v.line = w.line(k, v)
	}
	w.versions[k] = append(old, v)
}

// line returns a resource whose language is the version's number. It mostly says when it changed.
func (w *nightWorld) line(k nightKey, v nightVersion) string {
	zone := time.FixedZone("", w.rnd.IntN(3)*3600)
	meta := []string{"", `,"meta":{"versionId":"1"}`}[w.rnd.IntN(2)]
	if w.rnd.IntN(3) > 0 {
		meta = `,"meta":{"lastUpdated":"` + v.changed.In(zone).Format("2006-01-02T15:04:05.000Z07:00") + `"}`
	}
	subject := ""
	if k.typ == "Observation" {
		subject = `,"subject":{"reference":"Patient/` + k.patient() + `"}`
	}
	return fmt.Sprintf(`{"resourceType":%q,"id":%q%s,"language":"%d"%s}`, k.typ, k.id, meta, v.number, subject)
}

// patient returns the patient that a resource belongs to, or "" if none.
func (k nightKey) patient() string {
	switch k.typ {
	case "Patient":
		return k.id
	case "Observation":
		patient, _, _ := strings.Cut(k.id, ".")
		return patient
	}
	return ""
}

func (w *nightWorld) move(in bool) {
	group := w.rnd.IntN(len(w.groups))
	var could []string
	for _, p := range w.patients() {
		if w.isMember(group, p, w.clock) != in {
			could = append(could, p)
		}
	}
	if len(could) > 0 {
		w.members = append(w.members, nightMove{w.clock, group, could[w.rnd.IntN(len(could))], in})
	}
}

func (w *nightWorld) isMember(group int, patient string, at time.Time) bool {
	in := false
	for _, m := range w.members {
		if m.group == group && m.patient == patient && !m.at.After(at) {
			in = m.in
		}
	}
	return in
}

// joined returns when a patient last joined a group.
func (w *nightWorld) joined(patient string, at time.Time) (t time.Time) {
	for _, m := range w.members {
		if m.in && m.patient == patient && !m.at.After(at) {
			t = m.at
		}
	}
	return t
}

// newest returns the version of k in an export as of at.
func (w *nightWorld) newest(k nightKey, at time.Time) (newest nightVersion, ok bool) {
	for _, v := range w.versions[k] {
		if !v.visible.After(at) {
			newest, ok = v, true
		}
	}
	return newest, ok
}

// due returns the versions of the given types that a feed complete up to at must know: those of
// patients who were in a group at all kick-offs since the last call of due, and those of no
// patient. The server tells everybody's deletes.
func (w *nightWorld) due(at time.Time, types []string) map[nightKey]nightVersion {
	w.mu.Lock()
	defer w.mu.Unlock()
	due := map[nightKey]nightVersion{}
	for _, k := range w.keys {
		v, ok := w.newest(k, at)
		if !ok || !slices.Contains(types, k.typ) || v.line == "" && !w.tellsDeletes || v.line != "" && !w.wasMember(k.patient()) {
			continue
		}
		due[k] = v
	}
	w.starts = nil
	return due
}

// wasMember reports whether a patient was in some group, and visible there, at all kick-offs.
func (w *nightWorld) wasMember(patient string) bool {
	if patient == "" {
		return true
	}
	for group := range w.groups {
		if !slices.ContainsFunc(w.starts, func(t time.Time) bool {
			v, ok := w.newest(nightKey{"Patient", patient}, t)
			return !ok || v.line == "" || !w.isMember(group, patient, t)
		}) {
			return true
		}
	}
	return false
}

// isDelete reports whether the change with that number is a delete.
func (w *nightWorld) isDelete(k nightKey, number int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.versions[k], func(v nightVersion) bool { return v.number == number && v.line == "" })
}

// movesOf returns when a patient joined and left groups, for readers of a failure.
func (w *nightWorld) movesOf(patient string) (moves []nightMove) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.members {
		if m.patient == patient {
			moves = append(moves, m)
		}
	}
	return moves
}

// someOf returns a random part of d, in milliseconds.
func someOf(rnd *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rnd.Int64N(int64(d))).Truncate(time.Millisecond)
}
