//go:build cgo

package e2e

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// TestThirtyNights lets a feed follow a server's changes for thirty nights of all kinds. After
// each night, the current state must be the newest that the server has told. After each that
// moves the watermark, the server must have told everything up to there.
func TestThirtyNights(t *testing.T) {
	t.Parallel()
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for name, test := range map[string]struct {
		server nightServer
		feed   pipeline.Feed
		types  bool // the feed's types change
	}{
		"history is asked for":                        {server: nightServer{tellsDeletes: true}, types: true},
		"history and late changes come by themselves": {server: nightServer{tellsDeletes: true, sendsHistory: true, late: 5 * time.Minute}, feed: pipeline.Feed{Overlap: 10 * time.Minute, IgnoreNewMembers: true, FullEvery: 9 * 24 * time.Hour}},
		"history comes twice":                         {server: nightServer{tellsDeletes: true, sendsHistory: true}, feed: pipeline.Feed{FullEvery: 7 * 24 * time.Hour}},
		"no patient is exported alone":                {server: nightServer{tellsDeletes: true, refusesPost: true}, feed: pipeline.Feed{FullEvery: 11 * 24 * time.Hour}, types: true},
		"deletes are not told":                        {server: nightServer{refusesPost: true, late: time.Minute}, feed: pipeline.Feed{Overlap: 2 * time.Minute}},
	} {
		for seed := range seeds { // determines all but how far a killed process gets between two requests
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				n := newNights(t, seed, test.server, test.feed)
				for night := range 30 {
					n.night = night
					if test.types {
						n.changeTypes()
					}
					n.pass(n.draw())
					if t.Failed() {
						t.FailNow()
					}
				}
			})
		}
	}
}

// nights is a world and a feed that follows it.
type nights struct {
	t      *testing.T
	rnd    *rand.Rand
	world  *nightWorld
	server *bulktest.Server
	dir    *sink.Dir
	db     *sql.DB
	night  int
	pipeline.Options

	known map[nightKey]int          // number of the newest version that the server told
	vague map[nightKey]map[int]bool // versions told without a transactionTime
	gone  map[nightKey]bool         // deletes told without one
	seen  map[string]bool           // types that have parts
	heal  func()                    // ends the fault of a failed night
	story []string                  // what has happened, for readers of a failure
}

func newNights(t *testing.T, seed uint64, s nightServer, feed pipeline.Feed) *nights {
	t.Helper()
	world := newNightWorld(rand.New(rand.NewPCG(seed, 0)), s)
	server, err := bulktest.NewServer(bulktest.Options{Data: nightSection(world.output), Deleted: nightSection(world.deleted),
		Errors: nightSection(world.errors), TransactionTime: world.transactionTime})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if s.refusesPost {
		server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Times: bulktest.Always, Do: bulktest.Respond(http.StatusForbidden, nil, ""),
			When: func(r *http.Request) bool { return r.Method == http.MethodPost }})
	}
	dir, err := sink.OpenDir(filepath.Join(t.TempDir(), "lake"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	client := transport.New(transport.Options{})
	t.Cleanup(client.CloseIdleConnections)
	c, err := bulk.New(bulk.Options{Base: server.FHIR(), HTTP: client,
		Credentials: auth.NewCache(auth.ClientCredentials{TokenURL: server.TokenURL(), ClientID: bulktest.DefaultClientID,
			ClientSecret: bulktest.DefaultClientSecret, Scope: bulktest.DefaultScope, HTTP: client}),
		Poll:  bulk.Poll{Min: time.Millisecond, Max: time.Millisecond},
		Retry: transport.Retry{Max: 1, MinWait: time.Millisecond, MaxWait: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	db := session(t)
	runScript(t, db, "SET parquet_metadata_cache = true; SET threads = 1")
	feed.Name, feed.Source, feed.Groups = "members", "bison", slices.Clone(world.groups)
	feed.Request.Level, feed.Request.Types = bulk.Group, []string{"Patient", "Observation", "Practitioner"}
	return &nights{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), world: world, server: server, dir: dir, db: db,
		Options: pipeline.Options{Feed: feed, Server: pipeline.Client(c), Sink: dir, Now: world.now, Workers: 2},
		known:   map[nightKey]int{}, vague: map[nightKey]map[int]bool{}, gone: map[nightKey]bool{}, seen: map[string]bool{}}
}
