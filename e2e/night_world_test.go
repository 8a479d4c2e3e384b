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

// nightServer is what a simulated server is like.
type nightServer struct {
	tellsDeletes bool          // in the manifest's deleted section
	sendsHistory bool          // under _since, of who is new in a group
	refusesPost  bool          // and with it patient=
	late         time.Duration // by which a change may be visible after its lastUpdated
}

// nightWorld is what the server knows: every version of every resource, and who was in
// which group when. Safe for concurrent use.
type nightWorld struct {
	nightServer

	mu       sync.Mutex
	rnd      *rand.Rand
	clock    time.Time
	sequence int
	keys     []nightKey // all that ever were
	versions map[nightKey][]nightVersion
	members  []nightMove
	groups   []string // ids, by the group's number; servers change them

	// What the next exports are made of.
	stuck    time.Time // the server believes that it is then; zero: it knows
	asOf     time.Time // of the newest export
	withheld nightKey  // is missing, and there is an error file that says so; zero: nothing is
	starts   []time.Time
}

type nightKey struct{ typ, id string }

// nightVersion is a version of a resource, or that it was deleted.
type nightVersion struct {
	number  int       // of all changes of the world
	visible time.Time // from when on exports have it
	changed time.Time // what _since goes by
	line    string    // "" for a delete
}

// nightMove is that a patient joined or left a group.
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

// day is what happens between two nights. Without leaving, nobody leaves a group.
func (w *nightWorld) day(leaving bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Millisecond) // what a kick-off just before has not seen is after it
	for range w.rnd.IntN(12) {
		w.change(leaving)
	}
}

// sleepUntil lets the clock go on to a time of the next day.
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

// change does one thing. Several happen in one millisecond now and then.
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

// put makes a new version of k, which comes back if it was deleted, or deletes it.
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

// line is a resource whose language is the version's number, and which mostly tells when
// it changed.
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

// patient is whose resource it is, "" for nobody's.
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

// joined is when a patient came into a group the last time.
func (w *nightWorld) joined(patient string, at time.Time) (t time.Time) {
	for _, m := range w.members {
		if m.in && m.patient == patient && !m.at.After(at) {
			t = m.at
		}
	}
	return t
}

// newest is the version of k that an export as of at has.
func (w *nightWorld) newest(k nightKey, at time.Time) (newest nightVersion, ok bool) {
	for _, v := range w.versions[k] {
		if !v.visible.After(at) {
			newest, ok = v, true
		}
	}
	return newest, ok
}

// due are the versions that a feed must know of that is complete up to at, for the types
// that it has: those of who was in a group at all kick-offs since the last time that this
// was asked, and of nobody. Deletes are told of everybody.
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

// wasMember says whether a patient was in some group, and could be listed there, at all
// kick-offs.
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

// isDelete says whether the change of that number is a delete.
func (w *nightWorld) isDelete(k nightKey, number int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.versions[k], func(v nightVersion) bool { return v.number == number && v.line == "" })
}

// movesOf is who joined and left what when, for who reads a failure.
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

// someOf is a part of d, in milliseconds.
func someOf(rnd *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rnd.Int64N(int64(d))).Truncate(time.Millisecond)
}
