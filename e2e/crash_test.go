package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// How many processes are killed in each place (200, with -short 20), and the seed of the
// instants. To repeat a failed round, give its seed, and 1 as the number.
const (
	killsVariable = "FHIRKILN_KILLS"
	seedVariable  = "FHIRKILN_SEED"
)

// roundsAtOnce is more than the number of cores: a round mostly waits for a slow server or for
// the lease of a dead process.
const roundsAtOnce = 4

// TestKilledAtAnyInstant kills programs with SIGKILL and restarts them until they finish, for
// several nights on which the server's data changes.
func TestKilledAtAnyInstant(t *testing.T) {
	t.Parallel()
	kills := uint64(200)
	if testing.Short() {
		kills = 20
	}
	for name, newPlace := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &crash{newPlace: newPlace, seed: envNumber(t, seedVariable, 1), wanted: int64(envNumber(t, killsVariable, kills))}
			c.reckon(t)
			var next atomic.Uint64
			var rounds sync.WaitGroup
			for range roundsAtOnce {
				rounds.Go(func() {
					for c.kills.Load() < c.wanted && !t.Failed() {
						seed := c.seed + next.Add(1) - 1
						t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { c.round(t, seed) })
					}
				})
			}
			rounds.Wait()
			c.tell(t)
		})
	}
}

func envNumber(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// crash is the rounds in one place.
type crash struct {
	newPlace func(t *testing.T, lease string) *place
	seed     uint64
	wanted   int64
	full     map[bool]reckoning // of an undisturbed run, by whether the feed is of a group
	kills    atomic.Int64

	mu     sync.Mutex
	counts map[string]int // what happened in all rounds, and how often
}

func (c *crash) count(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[what] += n
}

// reckon measures how long a first run takes.
func (c *crash) reckon(t *testing.T) {
	t.Helper()
	if _, err := builtIn(); err != nil { // before the clock runs
		t.Fatal(err)
	}
	c.full = map[bool]reckoning{}
	for _, group := range []bool{false, true} {
		w := newCrashWorld(t, c.newPlace(t, longLease), group, 1)
		p, used := w.attempt(t, nil, reckoning{})
		if p.code() != 11 {
			t.Fatalf("%v\nit is to be that of a partial run", p)
		}
		c.full[group] = used
		t.Logf("group %v: %+v", group, used)
	}
}

// tell logs what happened, and checks that the test met all that it is for.
func (c *crash) tell(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		t.Logf("%4d %s", c.counts[what], what)
	}
	if c.wanted < 100 {
		return // a few kills may not have met everything
	}
	for _, what := range []string{"runs that went on with another process's work", "kills within a file of which parts were staged", "parts kept over a kill"} {
		if c.counts[what] == 0 {
			t.Errorf("there were no %s", what)
		}
	}
}

// round runs one feed for some nights.
func (c *crash) round(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	group := random.IntN(3) == 0
	w := newCrashWorld(t, c.newPlace(t, shortLease), group, 1+random.IntN(2)) // parts of one chunk, or of two
	told := &strings.Builder{}                                                // for a failure
	defer func() {
		if t.Failed() {
			t.Logf("again with %s=1 %s=%d; group %v, killed at:%s", killsVariable, seedVariable, seed, group, told)
		}
	}()
	kept := map[string]bool{}
	for n := range crashNights {
		w.sky.night.Store(int32(n))
		for attempt := 0; ; attempt++ {
			var k *instant
			if attempt < 8 {
				k = draw(random)
			}
			fmt.Fprintf(told, "\n%v", k)
			p, _ := w.attempt(t, k, c.full[group])
			if p.killed {
				c.kills.Add(1)
				c.count("kills", 1)
				c.autopsy(t, w, kept)
				continue
			}
			if w.proxy != nil && attempt < 20 && p.wantsLease() {
				w.leaseless++
				c.count("processes that ended for want of a lease", 1)
				continue
			}
			if code := p.code(); code != 0 && code != 11 {
				t.Fatal(p)
			}
			if w.proxy != nil && attempt < 20 && w.leased(t) {
				// It lost its lease after publishing, so the next one cleans up.
				c.count("processes that published and then lost their lease", 1)
				continue
			}
			break
		}
		w.check(t, n)
		if t.Failed() {
			return
		}
	}
	f := w.open(t)
	defer f.Close()
	there := parquet(t, f)
	for key := range kept {
		if strings.HasSuffix(key, ".parquet") && !slices.Contains(there, key) {
			t.Errorf("%s was staged and is not published", key)
		}
	}
	c.count("parts kept over a kill", len(kept))
	w.checkServer(t, c, f)
}

// autopsy examines what a killed process left behind. kept has the keys of parts that must not
// be made again.
func (c *crash) autopsy(t *testing.T, w *crashWorld, kept map[string]bool) {
	t.Helper()
	f := w.open(t)
	defer f.Close()
	feed := w.state(t, f)
	var within, staged, begun bool
	open := map[int]bool{}
	for _, key := range keys(t, f, "_fhirkiln/runs/") {
		if !strings.Contains(key, "/ledger/") {
			continue
		}
		content, _, err := f.Load(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		for _, j := range w.jobs {
			j.named = j.named || strings.Contains(string(content), j.path)
		}
		w.mu.Unlock()
		if !bytes.HasPrefix(content, []byte("[")) {
			continue // the opening of a lease
		}
		var things []struct {
			Started *struct{} `json:"started"`
			Staged  *struct {
				Parts []struct {
					Receipt struct {
						Key string `json:"key"`
					} `json:"receipt"`
				} `json:"parts"`
				Open  *struct{ File int }  `json:"open"`
				Files []struct{ File int } `json:"files"`
			} `json:"staged"`
		}
		if err := json.Unmarshal(content, &things); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		for _, e := range things {
			begun = begun || e.Started != nil
			if e.Staged == nil {
				continue
			}
			staged = true
			for _, p := range e.Staged.Parts {
				kept[p.Receipt.Key] = true
			}
			for _, file := range e.Staged.Files {
				delete(open, file.File)
			}
			if e.Staged.Open != nil {
				open[e.Staged.Open.File] = true
			}
		}
	}
	within = len(open) > 0
	if within && feed.Unfinished != nil {
		c.count("kills within a file of which parts were staged", 1)
	}
	visible := func() bool {
		return slices.ContainsFunc(parquet(t, f), func(key string) bool { return strings.Contains(key, "kiln_run="+feed.Unfinished.Run) })
	}
	switch {
	case feed.Unfinished == nil && len(feed.Ended) > 0:
		c.count("kills, cleaning up", 1)
	case feed.Unfinished == nil:
		c.count("kills, before or after the run", 1)
	case visible():
		c.count("kills, publishing", 1)
	case staged:
		c.count("kills, some parts staged", 1)
	case begun:
		c.count("kills, waiting or nothing staged yet", 1)
	default:
		c.count("kills, not kicked off yet", 1)
	}
	// Whatever instant it was, the feed's object and its parts are consistent.
	w.checkLive(t, f, feed)
}
