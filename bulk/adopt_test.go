package bulk_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fhirkiln/bulk"
)

// A 429 that names running exports: ours is adopted, others are waited for.
func TestKickOffAdoptsARunningExport(t *testing.T) {
	t.Parallel()
	busy := func(w http.ResponseWriter) {
		w.Header().Set("Content-Location", "/job/other, /job/ours")
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	for _, test := range []struct {
		name    string
		request string // of /job/ours, once it is complete; "" means that it runs forever
		want    string
		adopted bool
	}{
		{"by its manifest", "https://behind.a.gateway/fhir/$export?_type=Patient&_outputFormat=application%2Ffhir%2Bndjson", "/job/ours", true},
		{"of another kick-off", "/fhir/$export?_outputFormat=application%2Ffhir%2Bndjson", "/job/new", false},
		{"still running", "", "/job/new", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var kicks, polls atomic.Int64
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasSuffix(r.URL.Path, "$export") && kicks.Add(1) <= 3:
					busy(w)
				case strings.HasSuffix(r.URL.Path, "$export"):
					w.Header().Set("Content-Location", "/job/new")
					w.WriteHeader(http.StatusAccepted)
				case r.Header.Get("Accept") != acceptStatus || r.Header.Get("Prefer") != "respond-async":
					t.Errorf("it was looked at with the header %v", r.Header)
				case r.URL.Path == "/job/ours" && test.request != "" && polls.Add(1) > 1:
					fmt.Fprintf(w, `{"transactionTime":"2026-01-01T00:00:00Z","request":%q,"output":[]}`, test.request)
				default:
					w.WriteHeader(http.StatusAccepted)
				}
			})
			job, err := clientAt(t, server.URL+"/fhir", bearer("x")).KickOff(t.Context(), bulk.Request{Level: bulk.System, Types: []string{"Patient"}})
			if err != nil || job.StatusURL != server.URL+test.want || job.Adopted != test.adopted {
				t.Errorf("got %+v, %v", job, err)
			}
		})
	}
}

// An export that another feed of this source follows is not adopted, even if its request is the
// same, until that feed has deleted it.
func TestKickOffAdoptsNothingThatIsFollowed(t *testing.T) {
	t.Parallel()
	patients := bulk.Request{Level: bulk.System, Types: []string{"Patient"}}
	for name, follow := range map[string]func(c *bulk.Client, ours string) (bulk.Job, error){
		"started": func(c *bulk.Client, _ string) (bulk.Job, error) { return c.KickOff(t.Context(), patients) },
		"of a run before": func(c *bulk.Client, ours string) (bulk.Job, error) {
			job := bulk.Job{StatusURL: ours}
			_, err := c.Wait(t.Context(), job, nil)
			return job, err
		},
		"taken over": func(c *bulk.Client, _ string) (bulk.Job, error) { return c.KickOff(t.Context(), patients) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			kicks, looks := 0, 0
			begun := name != "started" // by another process
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case r.Method == http.MethodDelete: // and then ignores it
				case r.URL.Path == "/job/1":
					looks++
					fmt.Fprint(w, `{"transactionTime":"2026-01-01T00:00:00Z","request":"/fhir/$export?_outputFormat=application%2Ffhir%2Bndjson&_type=Patient","output":[]}`)
				case begun && kicks < 3:
					kicks++
					w.Header().Set("Content-Location", "/job/1")
					w.Header().Set("Retry-After", "0")
					w.WriteHeader(http.StatusTooManyRequests)
				case begun:
					w.Header().Set("Content-Location", "/job/2")
					w.WriteHeader(http.StatusAccepted)
				default:
					begun = true
					w.Header().Set("Content-Location", "/job/1")
					w.WriteHeader(http.StatusAccepted)
				}
			})
			c := clientAt(t, server.URL+"/fhir", bearer("x"))
			first, err := follow(c, server.URL+"/job/1")
			if err != nil || first.StatusURL != server.URL+"/job/1" {
				t.Fatalf("got %+v, %v", first, err)
			}
			mu.Lock()
			kicks, looks = 0, 0
			mu.Unlock()
			second, err := c.KickOff(t.Context(), patients)
			if err != nil || second.Adopted || second.StatusURL != server.URL+"/job/2" || looks > 0 {
				t.Errorf("got %+v, %v, after %d looks at the first one", second, err, looks)
			}
			if err := c.Delete(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			kicks = 0
			mu.Unlock()
			if third, err := c.KickOff(t.Context(), patients); err != nil || !third.Adopted || third.StatusURL != first.StatusURL {
				t.Errorf("got %+v, %v; nobody follows the first one any more", third, err)
			}
		})
	}
}
