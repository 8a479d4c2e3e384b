package ledger_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fhirkiln/pipeline/ledger"
)

// Three instants, in the ways in which servers write them.
const (
	one, oneAgain = "2026-11-20T02:00:00Z", "2026-11-20T03:00:00.000+01:00"
	two           = "2026-11-20T02:30:00.5+00:00" // an earlier text than oneAgain
	three         = "2026-11-21T01:58:11.123-05:00"
	bad           = "2026-11-21"
)

func watermarks(pairs ...string) map[string]ledger.Watermark {
	m := map[string]ledger.Watermark{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = ledger.Watermark{Time: pairs[i+1], Run: "r0"}
	}
	return m
}

func window(time string, types ...string) ledger.Window {
	w := ledger.Window{Types: types, Time: time}
	if time != "" {
		w.Since = at(time)
	}
	return w
}

func TestSince(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		has   map[string]ledger.Watermark
		types []string
		want  []ledger.Window
	}{
		"nothing yet":              {nil, []string{"A", "B"}, []ledger.Window{window("", "A", "B")}},
		"nothing yet, all types":   {nil, nil, []ledger.Window{window("")}},
		"all at one":               {watermarks("A", one, "B", one), []string{"A", "B"}, []ledger.Window{window(one, "A", "B")}},
		"one instant, two texts":   {watermarks("A", one, "B", oneAgain), []string{"B", "A"}, []ledger.Window{window(oneAgain, "B", "A")}},
		"an added type":            {watermarks("A", one, "B", one), []string{"A", "C", "B"}, []ledger.Window{window("", "C"), window(one, "A", "B")}},
		"several":                  {watermarks("A", three, "B", one, "C", two), []string{"A", "B", "C", "D"}, []ledger.Window{window("", "D"), window(one, "B"), window(two, "C"), window(three, "A")}},
		"named twice":              {watermarks("A", one), []string{"A", "A"}, []ledger.Window{window(one, "A")}},
		"a type no longer wanted":  {watermarks("A", one, "B", two), []string{"B"}, []ledger.Window{window(two, "B")}},
		"all counts for one":       {watermarks("*", one, "B", two), []string{"A", "B"}, []ledger.Window{window(one, "A"), window(two, "B")}},
		"its own counts before":    {watermarks("*", two, "B", one), []string{"A", "B"}, []ledger.Window{window(one, "B"), window(two, "A")}},
		"from a list to all types": {watermarks("A", one, "B", one), nil, []ledger.Window{window("")}},
		"all types":                {watermarks("*", one), nil, []ledger.Window{window(one)}},
		"all types, one set back":  {watermarks("*", two, "A", oneAgain), nil, []ledger.Window{window(oneAgain)}},
		"all types, one is later":  {watermarks("*", one, "A", two), nil, []ledger.Window{window(one)}},
		"not a time":               {watermarks("A", bad, "B", one), []string{"A", "B"}, []ledger.Window{window("", "A"), window(one, "B")}},
		"taken away":               {watermarks("*", one, "A", ""), []string{"A"}, []ledger.Window{window("", "A")}},
		"all types, one not a time": {
			watermarks("*", one, "A", bad), nil, []ledger.Window{window("")}},
		"the first year": {watermarks("A", "0001-01-01T00:00:00Z"), []string{"A"}, []ledger.Window{window("", "A")}},
	} {
		f := ledger.Feed{Watermarks: test.has}
		if diff := cmp.Diff(test.want, f.Since(test.types)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMove(t *testing.T) {
	t.Parallel()
	now := at("2026-11-22T02:10:00Z")
	moved := func(kind, from, to string) ledger.Moved {
		return ledger.Moved{Type: kind, From: from, To: to, Run: "r1", At: now, By: ledger.ByRun}
	}
	for name, test := range map[string]struct {
		has     map[string]ledger.Watermark
		types   []string
		to      string
		want    map[string]string
		stay    []string
		history []ledger.Moved
		fails   bool
	}{
		"the first":           {types: []string{"A", "B"}, to: one, want: map[string]string{"A": one, "B": one}, history: []ledger.Moved{moved("A", "", one), moved("B", "", one)}},
		"the first, of all":   {to: one, want: map[string]string{"*": one}, history: []ledger.Moved{moved("*", "", one)}},
		"forward":             {has: watermarks("A", one), types: []string{"A"}, to: two, want: map[string]string{"A": two}, history: []ledger.Moved{moved("A", one, two)}},
		"forward, less text":  {has: watermarks("A", oneAgain), types: []string{"A"}, to: two, want: map[string]string{"A": two}, history: []ledger.Moved{moved("A", oneAgain, two)}},
		"backwards":           {has: watermarks("A", two), types: []string{"A"}, to: oneAgain, want: map[string]string{"A": two}, stay: []string{"A"}},
		"the same, as a text": {has: watermarks("A", one), types: []string{"A"}, to: oneAgain, want: map[string]string{"A": one}, stay: []string{"A"}},
		"some":                {has: watermarks("A", three, "B", one), types: []string{"A", "B", "B"}, to: two, want: map[string]string{"A": three, "B": two}, stay: []string{"A"}, history: []ledger.Moved{moved("B", one, two)}},
		"others stay":         {has: watermarks("A", one, "B", one), types: []string{"A"}, to: two, want: map[string]string{"A": two, "B": one}, history: []ledger.Moved{moved("A", one, two)}},
		"not a time":          {has: watermarks("A", one), types: []string{"A", "B"}, to: bad, want: map[string]string{"A": one}, stay: []string{"A", "B"}, fails: true},
		"no time":             {has: watermarks("*", one), to: "", want: map[string]string{"*": one}, stay: []string{"*"}, fails: true},
		"the zero time":       {types: []string{"A"}, to: "0001-01-01T00:00:00Z", stay: []string{"A"}, fails: true},
		"over not a time":     {has: watermarks("A", bad), types: []string{"A"}, to: one, want: map[string]string{"A": one}, history: []ledger.Moved{moved("A", "", one)}},
		"from all's":          {has: watermarks("*", one), types: []string{"A"}, to: two, want: map[string]string{"*": one, "A": two}, history: []ledger.Moved{moved("A", one, two)}},
		"not before all's":    {has: watermarks("*", two), types: []string{"A"}, to: one, want: map[string]string{"*": two}, stay: []string{"A"}},
		"of all, over a type's": {has: watermarks("*", one, "A", one, "B", two, "C", three, "D", ""), to: two,
			want: map[string]string{"*": two, "C": three}, history: []ledger.Moved{moved("*", one, two)}},
		"of all, backwards": {has: watermarks("*", two, "A", one), to: one,
			want: map[string]string{"*": two, "A": one}, stay: []string{"*"}},
	} {
		f := ledger.Feed{Watermarks: maps.Clone(test.has)}
		stay, err := f.Move(test.types, test.to, "r1", now)
		if (err != nil) != test.fails {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.stay, stay); diff != "" {
			t.Errorf("%s: what stays (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(test.history, f.History); diff != "" {
			t.Errorf("%s: history (-want +got):\n%s", name, diff)
		}
		var got map[string]string
		for kind, w := range f.Watermarks {
			if got == nil {
				got = map[string]string{}
			}
			got[kind] = w.Time
			if run := map[bool]string{true: "r1", false: "r0"}[test.to == w.Time && test.has[kind].Time != w.Time]; w.Run != run {
				t.Errorf("%s: %s is %s's, not %s's", name, kind, w.Run, run)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: watermarks (-want +got):\n%s", name, diff)
		}
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	now := at("2026-11-22T02:10:00Z")
	for name, test := range map[string]struct {
		has   map[string]ledger.Watermark
		types []string
		to    string
		want  []ledger.Window // of A and B
		moves int
	}{
		"back":             {watermarks("A", two, "B", two), []string{"A"}, one, []ledger.Window{window(one, "A"), window(two, "B")}, 1},
		"away":             {watermarks("A", two, "B", two), []string{"A"}, "", []ledger.Window{window("", "A"), window(two, "B")}, 1},
		"away, all's left": {watermarks("*", two), []string{"A"}, "", []ledger.Window{window("", "A"), window(two, "B")}, 1},
		"all back":         {watermarks("*", two, "A", three), nil, one, []ledger.Window{window(one, "A", "B")}, 2},
		"all away":         {watermarks("*", two, "A", three, "C", one), nil, "", []ledger.Window{window("", "A", "B")}, 3},
		"all, of nothing":  {nil, nil, one, []ledger.Window{window(one, "A", "B")}, 1},
	} {
		f := ledger.Feed{Watermarks: test.has}
		moves, err := f.Set(test.types, test.to, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(f.History, moves); diff != "" {
			t.Errorf("%s: history and moves (-history +moves):\n%s", name, diff)
		}
		if diff := cmp.Diff(test.want, f.Since([]string{"A", "B"})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(f.History) != test.moves {
			t.Errorf("%s: history %v", name, f.History)
		}
		for _, m := range f.History {
			if m.By != ledger.BySet || m.Run != "" || m.To != test.to || !m.At.Equal(now) {
				t.Errorf("%s: %+v", name, m)
			}
		}
	}
	f := ledger.Feed{Watermarks: watermarks("A", one)}
	if _, err := f.Set(nil, bad, now); err == nil || f.Watermarks["A"].Time != one {
		t.Errorf("set to %v, %v", f.Watermarks, err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	var f ledger.Feed
	began := at(one)
	for n := range 1010 {
		to := began.Add(time.Duration(n) * time.Hour)
		if stay, err := f.Move([]string{"A"}, to.Format(time.RFC3339), fmt.Sprintf("r%d", n), to); len(stay) > 0 || err != nil {
			t.Fatal(stay, err)
		}
	}
	if len(f.History) != 1000 || f.History[0].Run != "r10" || f.History[999].Run != "r1009" {
		t.Errorf("%d moves from %v", len(f.History), f.History[0])
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		marks, want map[string]string
		keep        []string
		history     int
	}{
		"nothing is there":        {keep: []string{"Patient"}},
		"others go":               {marks: map[string]string{"Patient": "2026-01-01T00:00:00Z", "Coverage": "2026-01-02T00:00:00Z"}, keep: []string{"Patient"}, want: map[string]string{"Patient": "2026-01-01T00:00:00Z"}, history: 1},
		"all go":                  {marks: map[string]string{"Patient": "2026-01-01T00:00:00Z", "*": "2026-01-02T00:00:00Z"}, history: 2},
		"that of all stays":       {marks: map[string]string{"Coverage": "2026-01-01T00:00:00Z", "*": "2026-01-02T00:00:00Z"}, keep: []string{"Patient"}, want: map[string]string{"Patient": "2026-01-02T00:00:00Z"}, history: 2},
		"one that was taken away": {marks: map[string]string{"Patient": "", "*": "2026-01-02T00:00:00Z"}, keep: []string{"Patient"}, history: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := ledger.Feed{Watermarks: map[string]ledger.Watermark{}}
			for typ, text := range test.marks {
				f.Watermarks[typ] = ledger.Watermark{Time: text, Run: "r0"}
			}
			f.KeepOnly(test.keep, "r1", time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
			got := map[string]string{}
			for typ, w := range f.Watermarks {
				got[typ] = w.Time
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("watermarks (-want +got):\n%s", diff)
			}
			if len(f.History) != test.history {
				t.Errorf("history: %+v", f.History)
			}
			for _, m := range f.History {
				if m.To != "" || m.Run != "r1" || m.By != ledger.ByRun {
					t.Errorf("history: %+v", m)
				}
			}
		})
	}
}
