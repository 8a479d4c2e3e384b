package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline/ledger"
)

// feedJSON is a feed with every field set, as stored.
const feedJSON = `{
  "version": 1,
  "feed": "members",
  "source": "bison",
  "purpose": "payer_to_payer",
  "generation": 7,
  "sequence": 91,
  "lease": {
    "holder": "host 1234 a1b2c3d4",
    "since": "2026-11-22T02:00:00Z",
    "ttl": "1m0s"
  },
  "unfinished": {
    "run": "r20261122t020000123z-a1b2c3",
    "started": "2026-11-22T02:00:00.123Z",
    "attempts": 2
  },
  "ended": [
    "r20261121t020000123z-a1b2c3"
  ],
  "filters": {
    "elements": "id,name",
    "level": "group",
    "type_filters": "Observation?status=final"
  },
  "watermarks": {
    "*": {
      "time": "2026-11-20T02:00:00Z",
      "run": ""
    },
    "Patient": {
      "time": "2026-11-21T01:58:11.123+01:00",
      "run": "r1"
    }
  },
  "full": "2026-11-01T02:00:00Z",
  "members": "_fhirkiln/runs/r1/members.ndjson.gz",
  "runs": [
    {
      "run": "r1",
      "published": "2026-11-22T02:10:00Z",
      "transaction_time": "2026-11-21T01:58:11.123+01:00",
      "kind": "incremental",
      "status": "partial",
      "resources": 18171,
      "parts": 21,
      "bytes": 123,
      "replaces": [
        "r0"
      ]
    }
  ],
  "retired": [
    {
      "run": "r0",
      "at": "2026-11-22T02:10:00Z"
    }
  ],
  "history": [
    {
      "type": "Patient",
      "from": "2026-11-20T02:00:00Z",
      "to": "2026-11-21T01:58:11.123+01:00",
      "run": "r1",
      "at": "2026-11-22T02:10:00Z",
      "by": "run"
    }
  ]
}
`

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

func theFeed() ledger.Feed {
	return ledger.Feed{
		Version: 1, Name: "members", Source: "bison", Purpose: "payer_to_payer", Generation: 7, Sequence: 91,
		Lease:      &ledger.Held{Holder: "host 1234 a1b2c3d4", Since: at("2026-11-22T02:00:00Z"), TTL: ledger.Duration(time.Minute)},
		Unfinished: &ledger.Unfinished{Run: "r20261122t020000123z-a1b2c3", Started: at("2026-11-22T02:00:00.123Z"), Attempts: 2},
		Ended:      []string{"r20261121t020000123z-a1b2c3"},
		Filters:    map[string]string{"level": "group", "elements": "id,name", "type_filters": "Observation?status=final"},
		Watermarks: map[string]ledger.Watermark{
			"*":       {Time: "2026-11-20T02:00:00Z"},
			"Patient": {Time: "2026-11-21T01:58:11.123+01:00", Run: "r1"},
		},
		Full:    at("2026-11-01T02:00:00Z"),
		Members: "_fhirkiln/runs/r1/members.ndjson.gz",
		Runs: []ledger.PublishedRun{{Run: "r1", Published: at("2026-11-22T02:10:00Z"), TransactionTime: "2026-11-21T01:58:11.123+01:00",
			Kind: ledger.KindIncremental, Status: ledger.StatusPartial, Resources: 18171, Parts: 21, Bytes: 123, Replaces: []string{"r0"}}},
		Dropped: []ledger.DroppedRun{{Run: "r0", At: at("2026-11-22T02:10:00Z")}},
		History: []ledger.Moved{{Type: "Patient", From: "2026-11-20T02:00:00Z", To: "2026-11-21T01:58:11.123+01:00", Run: "r1",
			At: at("2026-11-22T02:10:00Z"), By: ledger.ByRun}},
	}
}

// compact puts JSON on one line, as the feed's object is: Athena's SerDe wants one object per
// line.
func compact(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n"
}

// put makes content the feed's object.
func put(t *testing.T, content string) *memory {
	t.Helper()
	m := newMemory()
	if err := m.Put(t.Context(), feedKey, []byte(content)); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestReadAndWrite(t *testing.T) {
	in(t, func(t *testing.T) {
		m := put(t, feedJSON)
		f, err := ledger.Read(t.Context(), m, "members")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(theFeed(), f); diff != "" {
			t.Errorf("Read (-want +got):\n%s", diff)
		}
		l := acquire(t, m)
		if diff := cmp.Diff(ledger.Held{Holder: l.Feed().Lease.Holder, Since: time.Now().UTC(), TTL: ledger.Duration(time.Minute)}, *l.Feed().Lease); diff != "" {
			t.Errorf("the lease (-want +got):\n%s", diff)
		}
		release(t, l)
		content, _, err := m.Load(t.Context(), feedKey)
		if err != nil {
			t.Fatal(err)
		}
		head, rest, _ := strings.Cut(feedJSON, `  "lease"`)
		_, rest, _ = strings.Cut(rest, "  },\n")
		want := strings.NewReplacer(`"generation": 7`, `"generation": 8`, `"sequence": 91`, `"sequence": 93`).Replace(head + rest)
		if diff := cmp.Diff(compact(t, want), string(content)); diff != "" {
			t.Errorf("after a lease (-want +got):\n%s", diff)
		}
	})
}

// Fields that only a newer version knows survive being rewritten by this one.
func TestUnknownFieldsSurvive(t *testing.T) {
	in(t, func(t *testing.T) {
		// Add a field at the end of every object.
		unknown := strings.NewReplacer("\n}", `, "new": 1.50}`, "\n  }", `, "new": {"deep": [null, "\u00e9"]}}`,
			"\n    }", `, "new": "x"}`).Replace(feedJSON)
		// Filters have names of their own, and texts.
		unknown = strings.Replace(unknown, `status=final", "new": {"deep": [null, "\u00e9"]}`, `status=final", "new": "x"`, 1)
		if n := strings.Count(unknown, `"new"`); n != 10 {
			t.Fatalf("%d new fields", n)
		}
		m := put(t, unknown)
		l := acquire(t, m)
		if err := l.Update(t.Context(), func(f *ledger.Feed) error {
			_, err := f.Move([]string{"Patient"}, "2026-11-22T00:00:00Z", "r2", time.Now())
			return err
		}); err != nil {
			t.Fatal(err)
		}
		release(t, l)
		content, _, err := m.Load(t.Context(), feedKey)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(content), `"new"`); n != 9 { // the old lease is gone
			t.Errorf("%d new fields are left in %s", n, content)
		}
		if !strings.Contains(string(content), "1.50") {
			t.Error("a number is written in another way")
		}
	})
}

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
	if !errors.As(err, &version) || version.There != 2 || version.Know != 1 || !strings.Contains(err.Error(), "written by a newer one") {
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
