package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// allTypes is the watermark of exports that named no types.
const allTypes = "*"

// maxHistory is how many watermark moves a feed remembers: a few weeks of nightly runs with
// forty types, in about 200 KiB.
const maxHistory = 1000

// Window is one export of a plan: these types, from that time on.
type Window struct {
	Types []string  // nil: all, without naming any
	Time  string    // the watermark, in the server's own text; "": in full
	Since time.Time // the same as an instant, with no overlap subtracted; zero: in full
}

// Since plans the exports that bring types up to date; no types means all types. Types whose
// watermarks are the same instant share a window. Types without a watermark come first, in a
// full window of their own, so that adding a type does not cause the others to be exported
// again.
//
// A type's own watermark takes precedence over that of all types. All types together go back to
// the lowest watermark of any type, and are exported in full if exports have named types until
// now. A watermark that cannot be read as a time counts as none.
func (f *Feed) Since(types []string) []Window {
	if len(types) == 0 {
		return []Window{f.sinceAll()}
	}
	var plan []Window
	for _, t := range types {
		w := f.sinceType(t)
		same := slices.IndexFunc(plan, func(p Window) bool { return p.Since.Equal(w.Since) })
		switch {
		case same < 0:
			w.Types = []string{t}
			plan = append(plan, w)
		case !slices.Contains(plan[same].Types, t):
			plan[same].Types = append(plan[same].Types, t)
		}
	}
	slices.SortStableFunc(plan, func(a, b Window) int { return a.Since.Compare(b.Since) })
	return plan
}

func (f *Feed) sinceType(t string) Window {
	w, ok := f.Watermarks[t]
	if !ok {
		w = f.Watermarks[allTypes]
	}
	return window(w.Time)
}

func (f *Feed) sinceAll() Window {
	lowest := window(f.Watermarks[allTypes].Time)
	for _, w := range f.Watermarks {
		if other := window(w.Time); other.Since.Before(lowest.Since) {
			lowest = other
		}
	}
	return lowest
}

// window returns the window that begins at text, in full if text is not an instant.
func window(text string) Window {
	t, err := instant(text)
	if err != nil {
		return Window{}
	}
	return Window{Time: text, Since: t}
}

// instant parses FHIR's instant. The zero time is an error, since it stands for no watermark.
func instant(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.IsZero() {
		return time.Time{}, fmt.Errorf("%q is not a time such as 2026-11-21T01:58:11.123+01:00", text)
	}
	return t, nil
}

// Move moves the watermarks of types, or that of all types if none are given, forward to the
// instant to, a transactionTime as the server wrote it. It records this in the history: run is
// the run that was published up to there, and at the local time when it was.
//
// Instants are compared, not texts. A watermark that is already there or later stays; Move
// returns the types of those ("*": all types). If to is not an instant, all stay and the error
// says so.
func (f *Feed) Move(types []string, to, run string, at time.Time) (stay []string, err error) {
	if len(types) == 0 {
		types = []string{allTypes}
	}
	target, err := instant(to)
	if err != nil {
		return slices.Clone(types), fmt.Errorf("the watermark stays: %w", err)
	}
	moved := map[string]bool{}
	for _, t := range types {
		if moved[t] {
			continue
		}
		from := f.sinceType(t)
		if !target.After(from.Since) {
			stay = append(stay, t)
			continue
		}
		moved[t] = true
		f.set(Moved{Type: t, From: from.Time, To: to, Run: run, At: at, By: ByRun})
		if t == allTypes {
			// All types are published up to there. A later watermark stays as it is.
			maps.DeleteFunc(f.Watermarks, func(t string, w Watermark) bool {
				return t != allTypes && !window(w.Time).Since.After(target)
			})
		}
	}
	return stay, nil
}

// KeepOnly removes every watermark except those of types, or all of them if no types are given:
// what run has published does not bring the others up to date. A type that relied on "*" gets
// that value as its own. The history records the removals.
func (f *Feed) KeepOnly(types []string, run string, at time.Time) {
	for _, t := range types {
		if w, all := f.Watermarks[allTypes]; all {
			if _, own := f.Watermarks[t]; !own {
				f.Watermarks[t] = w // what has counted for it until now
			}
		}
	}
	for _, t := range slices.Sorted(maps.Keys(f.Watermarks)) {
		if !slices.Contains(types, t) {
			f.set(Moved{Type: t, From: f.Watermarks[t].Time, Run: run, At: at, By: ByRun})
		}
	}
	maps.DeleteFunc(f.Watermarks, func(_ string, w Watermark) bool { return w.Time == "" })
}

// Set moves the watermarks of types, or that of all types if none are given, to the instant to
// because the user wants it, even backwards. If to is "", it removes them, so that the next
// export is in full. All types means also those with a watermark of their own, and those that
// the feed has never named; for a feed that names its types, pass those it names. Set
// returns the moves, which it also adds to the history.
func (f *Feed) Set(types []string, to string, at time.Time) ([]Moved, error) {
	if to != "" {
		if _, err := instant(to); err != nil {
			return nil, err
		}
	}
	if len(types) == 0 {
		types = slices.AppendSeq([]string{allTypes}, maps.Keys(f.Watermarks))
		slices.Sort(types) // "*" first
		types = slices.Compact(types)
	}
	var moves []Moved
	for _, t := range types {
		m := Moved{Type: t, From: f.sinceType(t).Time, To: to, At: at, By: BySet}
		f.set(m)
		moves = append(moves, m)
	}
	return moves, nil
}

func (f *Feed) set(m Moved) {
	if f.Watermarks == nil {
		f.Watermarks = map[string]Watermark{}
	}
	w := f.Watermarks[m.Type]
	w.Time, w.Run = m.To, m.Run
	f.Watermarks[m.Type] = w
	if _, all := f.Watermarks[allTypes]; m.To == "" && (!all || m.Type == allTypes) {
		// If there is a watermark of all types, the empty one stays, or that one would apply to
		// the type.
		delete(f.Watermarks, m.Type)
	}
	f.History = append(f.History, m)
	if extra := len(f.History) - maxHistory; extra > 0 {
		f.History = slices.Delete(f.History, 0, extra)
	}
}
