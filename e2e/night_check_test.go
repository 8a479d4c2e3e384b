//go:build cgo

package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/pipeline/views"
)

func (n *nights) feed() ledger.Feed {
	n.t.Helper()
	feed, err := ledger.Read(n.t.Context(), n.dir, n.Feed.Name)
	if err != nil && n.night > 0 {
		n.t.Fatal(err)
	}
	return feed
}

// learn reads what a run has published.
func (n *nights) learn(report *lake.Report) {
	n.t.Helper()
	for _, p := range report.Parts {
		n.seen[p.Type] = true
		for _, line := range restore(n.t, filepath.Join(n.dir.String(), filepath.FromSlash(p.Key))) {
			k, number := nightVersionOf(n.t, line)
			switch {
			case report.TransactionTime != "":
				n.known[k] = max(n.known[k], number)
			case p.Type == "deleted":
				n.gone[k] = true
			case n.vague[k] == nil:
				n.vague[k] = map[int]bool{}
				fallthrough
			default:
				n.vague[k][number] = true
			}
		}
	}
}

// check compares the current state with what the server told, and that with the world.
func (n *nights) check(night kind, before ledger.Feed, report *lake.Report) {
	n.t.Helper()
	current := n.current()
	for _, k := range n.world.keys {
		got, there := current[k]
		delete(current, k)
		want, told := n.known[k]
		switch {
		case told && n.world.isDelete(k, want):
			if there {
				n.t.Errorf("%v: %v is current in version %d, but it was deleted by %d", n.story, k, got, want)
			}
		case told && got != want:
			n.t.Errorf("%v: %v is current in version %d (0 is not at all), want %d", n.story, k, got, want)
		case !told && !there && len(n.vague[k]) > 0 && !n.gone[k]:
			n.t.Errorf("%v: %v is not current, want one of %v", n.story, k, n.vague[k])
		case !told && there && !n.vague[k][got]:
			n.t.Errorf("%v: %v is current in version %d, which was never told", n.story, k, got)
		}
	}
	if len(current) > 0 {
		n.t.Errorf("%v: nobody knows %v", n.story, current)
	}
	after := n.feed()
	if after.Unfinished != nil || len(after.Ended) > 0 && night != killed || after.Lease != nil {
		n.t.Errorf("%v: the feed is not at rest: %+v", n.story, after)
	}
	var types []string // the feed's types when the run began
	for _, x := range report.Exports {
		types = append(types, x.Types...)
	}
	for _, typ := range types {
		was, _ := time.Parse(time.RFC3339Nano, before.Watermarks[typ].Time)
		is, _ := time.Parse(time.RFC3339Nano, after.Watermarks[typ].Time)
		if is.Before(was) {
			n.t.Errorf("%v: the watermark of %s went back from %v to %v", n.story, typ, was, is)
		}
	}
	if report.Held != "" {
		return
	}
	upTo, err := time.Parse(time.RFC3339Nano, report.TransactionTime)
	if err != nil {
		n.t.Errorf("%v: the watermark is not held, but %v", n.story, err)
	}
	for k, due := range n.world.due(upTo, types) {
		if known := n.known[k]; known < due.number && (due.line != "" || known > 0) {
			n.t.Errorf("%v: of %v, version %d is known, but %d, visible from %v, is what a feed must know that is complete up to %v; its patient's moves: %v",
				n.story, k, known, due.number, due.visible, upTo, n.world.movesOf(k.patient()))
		}
	}
}

// current returns the current state according to DuckDB.
func (n *nights) current() map[nightKey]int {
	n.t.Helper()
	o, queries := n.viewsOptions(), []string{}
	if len(o.Types) == 0 {
		return nil // there were no members yet
	}
	makeViews(n.t, n.db, o)
	for _, typ := range o.Types {
		queries = append(queries, fmt.Sprintf(`SELECT resourceType, id, language::INTEGER FROM "current_%s"`, typ))
	}
	rows, err := n.db.QueryContext(n.t.Context(), strings.Join(queries, " UNION ALL "))
	if err != nil {
		n.t.Fatal(err)
	}
	defer rows.Close()
	current := map[nightKey]int{}
	for rows.Next() {
		var k nightKey
		var number int
		if err := rows.Scan(&k.typ, &k.id, &number); err != nil {
			n.t.Fatal(err)
		}
		if current[k] != 0 {
			n.t.Errorf("%v: %v is current twice", n.story, k)
		}
		current[k] = number
	}
	if err := rows.Err(); err != nil {
		n.t.Fatal(err)
	}
	return current
}

func (n *nights) viewsOptions() views.Options {
	o := views.Options{Root: n.dir.String(), Tombstones: n.seen["deleted"]}
	for typ := range n.seen {
		if typ != "deleted" {
			o.Types = append(o.Types, typ)
		}
	}
	return o
}

// nightVersionOf returns the resource and version of a published line, which may be the Bundle
// of a delete.
func nightVersionOf(t *testing.T, line string) (nightKey, int) {
	t.Helper()
	var r struct {
		ResourceType, ID, Language string
		Entry                      []struct{ Request struct{ URL string } }
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatal(err)
	}
	k, number := nightKey{r.ResourceType, r.ID}, r.Language
	if r.ResourceType == "Bundle" {
		number = r.ID
		k.typ, k.id, _ = strings.Cut(r.Entry[0].Request.URL, "/")
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return k, n
}
