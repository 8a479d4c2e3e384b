//go:build cgo

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

// changeTypes omits a type for some nights.
func (n *nights) changeTypes() {
	types := []string{"Patient", "Practitioner", "Observation"}
	if n.night%10 < 4 {
		types = types[:2]
	}
	n.Feed.Request.Types = types
}

// kind is what goes wrong in a night.
type kind string

const (
	normal    kind = "normal"
	full      kind = "full"      // everything is requested again
	duplicate kind = "duplicate" // the transactionTime is that of the night before
	old       kind = "old"       // the transactionTime is older
	unread    kind = "unread"    // the transactionTime cannot be parsed
	failing   kind = "failing"   // a file is missing
	killed    kind = "killed"    // the run is killed, and restarted in the morning
	holey     kind = "holey"     // the server says that something is missing
	renamed   kind = "renamed"   // a group has a new id
)

func (n *nights) draw() kind {
	kinds := []kind{normal, normal, normal, killed, killed, full, duplicate, old, unread, failing, holey, renamed}
	if n.night == 0 {
		return normal
	}
	k := kinds[n.rnd.IntN(len(kinds))]
	if unfinished := n.feed().Unfinished != nil; unfinished && k == unread {
		return normal // only some exports of a run would have a time
	}
	return k
}

var errMorning = errors.New("the machine is gone")

// pass lets a day and a night pass.
func (n *nights) pass(k kind) {
	n.t.Helper()
	before := n.feed()
	n.world.day(before.Unfinished == nil)
	n.world.sleepUntil(time.Date(2024, 3, 1+n.night, 2, 0, 0, 0, time.UTC))
	n.story = append(n.story, fmt.Sprintf("%d %s", n.night, k))
	if n.heal != nil && (n.rnd.IntN(2) == 0 || k == unread) {
		n.heal()
		n.heal = nil
	}
	ctx, kill := context.WithCancelCause(n.t.Context())
	defer kill(nil)
	over := func() {}
	n.Full = false
	was, _ := time.Parse(time.RFC3339Nano, before.Watermarks["Patient"].Time)
	switch k {
	case full:
		n.Full = true
	case duplicate:
		n.world.stick(was)
	case old:
		n.world.stick(was.Add(-someOf(n.rnd, 40*time.Hour)))
	case unread:
		over = n.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.EditManifest(func(m map[string]any) {
			m["transactionTime"] = "last night"
		})})
	case failing:
		if n.heal == nil {
			n.heal = n.server.Inject(n.missingFile())
		}
	case killed:
		served := n.rnd.IntN(2) == 0
		over = n.server.Inject(bulktest.Fault{Skip: n.rnd.IntN(50), Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if served {
				next.ServeHTTP(w, r)
			}
			kill(errMorning)
			if !served {
				panic(http.ErrAbortHandler)
			}
		}})
	case holey:
		n.world.withhold(true)
	case renamed:
		n.Feed.Groups = n.world.rename()
	}
	report, err := pipeline.Run(ctx, n.Options)
	over()
	if errors.Is(err, errMorning) {
		n.world.day(false)
		report, err = pipeline.Run(n.t.Context(), n.Options)
	}
	n.world.stick(time.Time{})
	n.world.withhold(false)
	if err != nil && n.heal != nil && report.Status == lake.StatusFailed {
		if feed := n.feed(); len(feed.Runs) != len(before.Runs) {
			n.t.Errorf("%v: a failed run is published", n.story)
		}
		return
	}
	if _, partial := errors.AsType[*pipeline.PartialError](err); err != nil && !partial {
		n.t.Fatalf("%v: %v", n.story, err)
	}
	n.learn(report)
	n.check(k, before, report)
}

// missingFile makes one file missing, however often it is requested.
func (n *nights) missingFile() bulktest.Fault {
	var mu sync.Mutex
	skip, path := n.rnd.IntN(6), ""
	return bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.Respond(http.StatusNotFound, nil, ""),
		When: func(r *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			if skip--; skip == -1 {
				path = r.URL.Path
			}
			return r.URL.Path == path
		}}
}
