package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline/ledger"
)

func TestReadFails(t *testing.T) {
	t.Parallel()
	if _, err := ledger.Read(t.Context(), newMemory(), "members"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no object: %v", err)
	}
	if _, err := ledger.Read(t.Context(), newMemory(), "../x"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no name: %v", err)
	}
	swap := func(old, new string) string {
		if !strings.Contains(feedJSON, old) {
			t.Errorf("there is no %s", old)
		}
		return strings.Replace(feedJSON, old, new, 1)
	}
	for name, content := range map[string]string{
		"empty":              "",
		"null":               "null",
		"cut":                feedJSON[:200],
		"two":                feedJSON + feedJSON,
		"no object":          "[]",
		"no version":         swap(`"version": 1,`, ""),
		"another feed's":     swap(`"members"`, `"other"`),
		"a field twice":      swap(`"sequence": 91`, `"sequence": 91, "sequence": 92`),
		"not UTF-8":          swap("host", "\xff"),
		"negative":           swap(`"generation": 7`, `"generation": -7`),
		"too large":          swap(`"sequence": 91`, `"sequence": 9007199254740993`),
		"a lease for ever":   swap(`"ttl": "1m0s"`, `"ttl": "soon"`),
		"a lease for never":  swap(`"1m0s"`, `"0s"`),
		"a bad source":       swap(`"bison"`, `"../bison"`),
		"a bad unfinished":   swap(`"run": "r20261122t020000123z-a1b2c3"`, `"run": "../.."`),
		"a bad ended":        swap(`"r20261121t020000123z-a1b2c3"`, `""`),
		"a bad run":          swap(`"run": "r1",`+"\n      \"published\"", `"run": "a/b",`+"\n      \"published\""),
		"a bad replaced run": swap(`"r0"`, `".."`),
		"a bad retired run":  swap(`"run": "r0"`, `"run": "R0"`),
		"a bad time":         swap(`"2026-11-01T02:00:00Z"`, `"yesterday"`),
	} {
		_, err := ledger.Read(t.Context(), put(t, content), "members")
		var damaged *ledger.DamagedError
		if !errors.As(err, &damaged) || damaged.Key != feedKey || damaged.Hint == "" || !strings.HasPrefix(err.Error(), feedKey+" is damaged: ") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m := put(t, content)
		if l, err := ledger.Acquire(t.Context(), lockable{&process{memory: m}}, options()); l != nil || !errors.As(err, &damaged) || len(m.locks) > 0 {
			t.Errorf("%s: Acquire: %v, locks %v", name, err, m.locks)
		}
	}

	newer := `{"version": 2, "feed": ["members"], "generation": "x"}`
	_, err := ledger.Read(t.Context(), put(t, newer), "members")
	var version *ledger.VersionError
	if !errors.As(err, &version) || version.There != 2 || version.Know != 1 || !strings.Contains(err.Error(), "a newer one wrote it") {
		t.Errorf("newer: %v", err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	m := newMemory()
	for _, key := range []string{"b.json", "a.json", "a.json.tmp", "a.lock", "x/y.json", "A.json", ".json"} {
		if err := m.Put(t.Context(), "_fhirkiln/feeds/"+key, nil); err != nil {
			t.Fatal(err)
		}
	}
	feeds, err := ledger.List(t.Context(), m)
	if diff := cmp.Diff([]string{"a", "b"}, feeds); diff != "" || err != nil {
		t.Errorf("List: %v (-want +got):\n%s", err, diff)
	}
	s := &process{memory: m}
	s.before(away)
	if _, err := ledger.List(t.Context(), s); err != errOutage {
		t.Error(err)
	}
}

// FuzzRead checks that reading never panics, whatever is there, and that what can be read can be
// worked with and read again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(feedJSON))
	f.Add([]byte(`{"version":1,"feed":"members","source":"bison","purpose":"payer_to_payer","watermarks":{"":{"time":""}},"x":{}}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		m := newMemory()
		if err := m.Put(t.Context(), feedKey, content); err != nil {
			t.Fatal(err)
		}
		before, err := ledger.Read(t.Context(), m, "members")
		if err != nil {
			return
		}
		for _, w := range before.Since([]string{"Patient", "Coverage"}) {
			if w.Since.IsZero() != (w.Time == "") {
				t.Errorf("a window from %q, %v", w.Time, w.Since)
			}
		}
		l, err := ledger.Acquire(t.Context(), lockable{&process{memory: m}}, options())
		if err != nil {
			return // another feed's, or counted up
		}
		if err := l.Release(context.Background()); err != nil {
			t.Fatal(err)
		}
		after, err := ledger.Read(t.Context(), m, "members")
		if err != nil {
			t.Fatal(err)
		}
		after.Generation, after.Sequence, after.Lease = before.Generation, before.Sequence, before.Lease
		want, err1 := json.Marshal(before)
		got, err2 := json.Marshal(after)
		if err1 != nil || err2 != nil || string(want) != string(got) {
			t.Errorf("%s became %s, %v, %v", want, got, err1, err2)
		}
	})
}
