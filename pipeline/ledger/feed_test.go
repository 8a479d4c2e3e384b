package ledger_test

import (
	"bytes"
	"encoding/json"
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
  "last_failure": {
    "at": "2026-11-22T01:00:00Z",
    "run": "r20261122t010000123z-a1b2c3",
    "error": "401",
    "failures": 5
  },
  "last_success": {
    "at": "2026-11-22T02:10:00Z",
    "run": "r1"
  },
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
		Lease:       &ledger.Held{Holder: "host 1234 a1b2c3d4", Since: at("2026-11-22T02:00:00Z"), TTL: ledger.Duration(time.Minute)},
		Unfinished:  &ledger.Unfinished{Run: "r20261122t020000123z-a1b2c3", Started: at("2026-11-22T02:00:00.123Z"), Processes: 2},
		Ended:       []string{"r20261121t020000123z-a1b2c3"},
		LastFailure: &ledger.Failure{At: at("2026-11-22T01:00:00Z"), Run: "r20261122t010000123z-a1b2c3", Error: "401", Failures: 5},
		LastSuccess: &ledger.Success{At: at("2026-11-22T02:10:00Z"), Run: "r1"},
		Filters:     map[string]string{"level": "group", "elements": "id,name", "type_filters": "Observation?status=final"},
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
		if diff := cmp.Diff(ledger.Held{Holder: l.Feed().Lease.Holder, Since: time.Now().UTC(), TTL: ledger.Duration(time.Minute), Unlocked: true}, *l.Feed().Lease); diff != "" {
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
		if n := strings.Count(unknown, `"new"`); n != 12 {
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
		if n := strings.Count(string(content), `"new"`); n != 11 { // the old lease is gone
			t.Errorf("%d new fields are left in %s", n, content)
		}
		if !strings.Contains(string(content), "1.50") {
			t.Error("a number is written in another way")
		}
	})
}
