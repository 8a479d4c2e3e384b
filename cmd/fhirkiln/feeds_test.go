package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline/lake"
)

// runFeeds runs feeds of the servers in this process, and returns their reports in the order
// in which they ended.
func runFeeds(t *testing.T, servers []*bulktest.Server, feeds string, args ...string) []lake.Report {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("sources:\n")
	for i, s := range servers {
		fmt.Fprintf(&b, "  s%d: {fhir: %q, auth: {type: client_credentials, token_url: %q, client_id: c, client_secret: s, scope: %q}, poll: {min: 1ms, max: 1ms, deadline: 20s}}\n",
			i, s.FHIR(), s.TokenURL(), bulktest.DefaultScope)
	}
	fmt.Fprintf(&b, "feeds:\n%ssink: {url: lake}\n", feeds)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	exit := execute(append([]string{"run", "-c", file, "--json"}, args...), console{stdout: &stdout, stderr: &stderr, env: func(string) (string, bool) { return "", false }})
	if exit != exitOK {
		t.Fatalf("exit code %d: %s", exit, stderr.String())
	}
	var reports []lake.Report
	for line := range strings.Lines(stdout.String()) {
		var r lake.Report
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		reports = append(reports, r)
	}
	return reports
}

func newFeedServer(t *testing.T) *bulktest.Server {
	t.Helper()
	s, err := bulktest.NewServer(bulktest.Options{Data: practiceData(), ClientID: "c", ClientSecret: "s", Polls: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Feeds of one source share its token and take turns: all of them run, but the next export
// begins only when the files of the one before are fetched.
func TestFeedsTakeTurns(t *testing.T) {
	t.Parallel()
	server := newFeedServer(t)
	reports := runFeeds(t, []*bulktest.Server{server}, "  a: {source: s0, level: system}\n  b: {source: s0, level: system}\n  c: {source: s0, level: system}\n", "--parallel", "3")
	if len(reports) != 3 {
		t.Errorf("%d reports of 3 runs", len(reports))
	}
	order, tokens := "", 0
	for _, r := range server.Requests() {
		switch r.Endpoint {
		case bulktest.KickOffEndpoint:
			order += "k"
		case bulktest.FileEndpoint:
			order += "f"
		case bulktest.TokenEndpoint:
			tokens++
		}
	}
	if order != "kffkffkff" || tokens != 1 {
		t.Errorf("kick-offs and files came as %s, with %d tokens", order, tokens)
	}
}

// A server has room for one export until that is deleted. Feeds of several exports all finish,
// one after the other.
func TestFeedsShareAServerOfOneExport(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"which names the one in the way": true, "which says no more": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := bulktest.NewServer(bulktest.Options{ClientID: "c", ClientSecret: "s", Polls: 3, Data: append(practiceData(), bulktest.Lines("Group",
				`{"resourceType":"Group","id":"g1","member":[{"entity":{"reference":"Patient/p1"}}]}`,
				`{"resourceType":"Group","id":"g2","member":[{"entity":{"reference":"Patient/p2"}}]}`))})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Close)
			var mu sync.Mutex
			there := "" // the export's status URL
			server.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Times: bulktest.Always, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				mu.Lock()
				defer mu.Unlock()
				if there == "" {
					bulktest.EditHead(func(status int, h http.Header) int {
						there = h.Get("Content-Location")
						return status
					})(w, r, next)
					return
				}
				busy := http.Header{"Retry-After": {"0"}}
				if told {
					busy.Set("Content-Location", there)
				}
				bulktest.Respond(http.StatusTooManyRequests, busy, "")(w, r, next)
			}})
			server.Inject(bulktest.Fault{On: bulktest.DeleteEndpoint, Times: bulktest.Always, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				mu.Lock()
				there = ""
				mu.Unlock()
				next.ServeHTTP(w, r)
			}})
			feeds := "  a: {source: s0, level: group, groups: [g1, g2], new_members: ignore}\n  b: {source: s0, level: group, groups: [g1, g2]}\n"
			if reports := runFeeds(t, []*bulktest.Server{server}, feeds, "--parallel", "2"); len(reports) != 2 {
				t.Errorf("%d reports of 2 runs", len(reports))
			}
		})
	}
}

// Feeds of two sources run in parallel: neither server goes on before the other has an export.
func TestFeedsRunSideBySide(t *testing.T) {
	t.Parallel()
	servers := []*bulktest.Server{newFeedServer(t), newFeedServer(t)}
	begun := []chan struct{}{make(chan struct{}), make(chan struct{})}
	for i, s := range servers {
		s.Inject(bulktest.Fault{On: bulktest.KickOffEndpoint, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			close(begun[i])
			next.ServeHTTP(w, r)
		}})
		s.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			select {
			case <-begun[1-i]:
			case <-r.Context().Done():
			}
			next.ServeHTTP(w, r)
		}})
	}
	// More feeds of the first source than may run at once, before the one of the second source.
	feeds := "  a: {source: s0, level: system}\n  b: {source: s0, level: system}\n  c: {source: s0, level: system}\n  z: {source: s1, level: system}\n"
	if reports := runFeeds(t, servers, feeds, "--parallel", "2"); len(reports) != 4 {
		t.Errorf("%d reports of 4 runs", len(reports))
	}
}
