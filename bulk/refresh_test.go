package bulk_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

func TestRefresh(t *testing.T) {
	t.Parallel()
	manifest := func(files ...string) string {
		return `{"transactionTime":"2026-01-01T00:00:00Z","output":[{"type":"Patient","url":"` + strings.Join(files, `"},{"type":"Patient","url":"`) + `"}]}`
	}
	for name, test := range map[string]struct{ again, want string }{
		"other signatures, other order": {manifest("/b?2", "/a?2"), "/a?2 /b?2"},
		"all new":                       {manifest("/x", "/y"), "/x /y"},
		"one new, one elsewhere":        {manifest("/b?2", "/x"), ""},
		"one new":                       {manifest("/a?2", "/x"), "/a?2 /x"},
		"one kept elsewhere, one new":   {manifest("/b?1", "/x"), ""},
		"one more":                      {manifest("/a", "/b", "/c"), ""},
		"told apart by the query":       {manifest("/a?y", "/a?x"), "/a?x /a?y"},
		"some renewed":                  {manifest("/a?y", "/a?z"), "/a?z /a?y"},
		"another time":                  {strings.ReplaceAll(manifest("/a", "/b"), "2026", "2025"), ""},
		"another count":                 {strings.ReplaceAll(manifest("/a", "/b"), `"/b"`, `"/b","count":7`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := manifest("/a?1", "/b?1")
			if strings.Contains(test.again, "/a?y") {
				first = manifest("/a?x", "/a?y")
			}
			server, _ := script(t, respond(200, nil, first), respond(200, nil, test.again))
			c := clientAt(t, server.URL)
			m, err := c.Wait(t.Context(), bulk.Job{StatusURL: server.URL}, nil)
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := c.Refresh(t.Context(), m)
			if test.want == "" {
				wantError(t, err, transport.Broken)
				return
			}
			var got []string
			for _, f := range fresh.Output {
				got = append(got, strings.TrimPrefix(f.URL, server.URL))
			}
			if err != nil || strings.Join(got, " ") != test.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// Links expire, even renewed ones: the manifest is read again, once for all streams that share
// it, and the file is resumed under its new link.
func TestStreamRenewsItsLink(t *testing.T) {
	t.Parallel()
	var reads, good atomic.Int64
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/status" {
			fmt.Fprintf(w, `{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":false,"output":[{"type":"Patient","url":"/b"},{"type":"Patient","url":"/a?sig=%d","count":2}]}`, reads.Add(1))
			return
		}
		if r.URL.Query().Get("sig") != strconv.FormatInt(good.Load(), 10) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		io.WriteString(w, content)
	})
	c := clientAt(t, server.URL)
	m, err := c.Wait(t.Context(), bulk.Job{StatusURL: server.URL + "/status"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for link := int64(2); link < 6; link++ { // the first one expires at once
		good.Store(link)
		var streams sync.WaitGroup
		for range 4 {
			streams.Go(func() {
				if got, _, err := read(t.Context(), c, m, m.Output[1]); err != nil || got != content {
					t.Errorf("link %d: got %q, %v", link, got, err)
				}
			})
		}
		streams.Wait()
		if reads.Load() != link {
			t.Errorf("the manifest was read %d times, want %d", reads.Load(), link)
		}
	}
}

// A link that has expired for good fails at once.
func TestStreamOfALinkThatIsNotRenewed(t *testing.T) {
	t.Parallel()
	var reads atomic.Int64
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/status" {
			reads.Add(1)
			io.WriteString(w, `{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":false,"output":[{"type":"Patient","url":"/a?sig=1"}]}`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	})
	c := clientAt(t, server.URL)
	m, err := c.Wait(t.Context(), bulk.Job{StatusURL: server.URL + "/status"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = read(t.Context(), c, m, m.Output[0])
	wantHint(t, wantError(t, err, transport.Broken, "403 Forbidden"), "expired")
	if reads.Load() != 2 {
		t.Errorf("the manifest was read %d times, want 2", reads.Load())
	}
}
