package bulk_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

// What earlier pages list counts toward the bounds, to the exact file and byte.
func TestManifestAtItsBounds(t *testing.T) {
	t.Parallel()
	const files, urls, mine = 1_000_000, 512 << 20, int64(len("https://h.example/a"))
	c := clientAt(t, "https://h.example")
	for _, test := range []struct {
		name  string
		files int
		urls  int64
		says  string // "" means that it is accepted
	}{
		{"the last file", files - 2, 0, ""},
		{"one more", files - 1, 0, "more than 1000000 files"},
		{"the last byte", 0, urls - 2*mine, ""},
		{"a byte more", 0, urls - 2*mine + 1, "more than 536870912 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: newRequest(t, "https://h.example/1"),
				Body: io.NopCloser(strings.NewReader(`{"output":[{"url":"/a"}],"deleted":[{"url":"/b"}]}`))}
			err := c.ReadPage(resp, test.files, test.urls)
			if test.says != "" {
				wantError(t, err, transport.Broken, test.says)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// Pages that list nothing are bounded too.
func TestManifestOfManyPages(t *testing.T) {
	t.Parallel()
	const most = 10_000
	for pages, says := range map[int]string{most: "", most + 1: "the manifest has more than 10000 pages"} {
		t.Run(strconv.Itoa(pages), func(t *testing.T) {
			t.Parallel()
			c := clientAt(t, "https://h.example", func(o *bulk.Options) {
				o.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					n, err := strconv.Atoi(r.URL.Path[1:])
					body := `{"transactionTime":"2026-03-01T12:00:00Z"`
					if n < pages {
						body += fmt.Sprintf(`,"link":[{"relation":"next","url":"/%d"}]`, n+1)
					}
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body + `}`)), Request: r}, err
				})}
			})
			_, err := c.Wait(t.Context(), bulk.Job{StatusURL: "https://h.example/1"}, nil)
			if says != "" {
				wantError(t, err, transport.Broken, says)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// A page that is too long is not mistaken for one with a long entry.
func TestManifestPageTooLong(t *testing.T) {
	t.Parallel()
	c := clientAt(t, "https://h.example")
	limit := c.LimitPage(16 << 20)
	if limit != 1<<30 {
		t.Errorf("the limit is %d bytes, want 1 GiB", limit)
	}
	filler := []byte(`,"x":"` + strings.Repeat("x", 64<<10) + `"`)
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: newRequest(t, "https://h.example/1"),
		Body: io.NopCloser(io.MultiReader(strings.NewReader(`{"output":[]`), &endless{of: filler}))}
	err := c.ReadPage(resp, 0, 0)
	wantError(t, err, transport.Broken, fmt.Sprintf("this page of the manifest has more than %d bytes", limit))
}

// endless repeats of forever.
type endless struct {
	of []byte
	at int
}

func (r *endless) Read(p []byte) (int, error) {
	n := copy(p, r.of[r.at:])
	r.at = (r.at + n) % len(r.of)
	return n, nil
}

func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// A gateway that gives up on a kick-off says nothing about the export; a server that refuses it
// has started none.
func TestKickOffMayRun(t *testing.T) {
	t.Parallel()
	const outcome = `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"no"}]}`
	for _, test := range []struct {
		name   string
		status int
		body   string
		begun  bool
	}{
		{"a gateway", 502, "", true},
		{"a gateway's page", 504, "<html>", true},
		{"an empty 500", 500, "", true},
		{"its own word", 500, outcome, false},
		{"a gateway of its words", 502, outcome, false},
		{"busy", 503, "", false},
		{"too slowly sent", 408, "", false},
		{"too early", 425, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, _ := script(t, respond(test.status, nil, test.body))
			_, err := clientAt(t, server.URL).KickOff(t.Context(), bulk.Request{Level: bulk.System})
			e := wantError(t, err, transport.Unavailable)
			if strings.Contains(e.Error(), "may have started") != test.begun || strings.Contains(e.Hint, "delete that export") != test.begun {
				t.Errorf("got %v, hint %q", e, e.Hint)
			}
			if strings.Contains(e.Error(), "%!") {
				t.Errorf("got %v", e)
			}
			if page := strings.HasPrefix(test.body, "<"); strings.Contains(e.Error(), "a web page") != page {
				t.Errorf("got %v", e)
			}
		})
	}
}

// Jobs and files are stored between runs, and the store may be damaged.
func TestUnreadableURLs(t *testing.T) {
	t.Parallel()
	const bad = "https://[::1/" + secret
	c := clientAt(t, "https://h.example", bearer("x"))
	_, err := c.Wait(t.Context(), bulk.Job{StatusURL: bad}, nil)
	wantHint(t, wantError(t, err, transport.Broken, "waiting for the export", "unreadable URL"), "owner")
	wantError(t, c.Delete(t.Context(), bulk.Job{StatusURL: bad}), transport.Broken, "deleting the export", "unreadable URL")
	_, _, err = readURL(t, c, bad)
	wantError(t, err, transport.Broken, "reading an output file of Patient", "unreadable URL")
}
