package bulk_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirkiln/transport"
)

// ranged serves versions of a file with or without Range. It cuts each response body after a
// number of bytes until the cuts are used up.
type ranged struct {
	versions []string // the nth response is of the nth, later ones of the last
	gzip     bool
	part     func(w http.ResponseWriter, r *http.Request, content []byte) // nil means no Range
	etag     func(content string) string                                  // nil means a strong one
	modified []time.Time                                                  // of the versions; nil means no Last-Modified
	chunked  bool
	cuts     []int
	answers  int
	asked    []string // Range headers
}

func (s *ranged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.answers
	s.answers++
	content := []byte(s.versions[min(n, len(s.versions)-1)])
	s.asked = append(s.asked, r.Header.Get("Range"))
	if n < len(s.cuts) {
		w = &cutter{ResponseWriter: w, left: s.cuts[n]}
	}
	etag := fmt.Sprintf("%q", sum(string(content))[:8])
	if s.etag != nil {
		etag = s.etag(string(content))
	}
	if s.gzip && r.Header.Get("Accept-Encoding") == "gzip" {
		w.Header().Set("Content-Encoding", "gzip")
		etag = strings.Replace(etag, `"`, `"gz-`, 1)
		content = compress(string(content))
	}
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	if s.modified != nil {
		w.Header().Set("Date", served.Format(http.TimeFormat))
		w.Header().Set("Last-Modified", s.modified[min(n, len(s.modified)-1)].Format(http.TimeFormat))
	}
	if s.part != nil {
		s.part(w, r, content)
		return
	}
	if !s.chunked {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	}
	w.Write(content)
	w.(http.Flusher).Flush()
}

// cutter breaks the connection after a number of bytes.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	c.ResponseWriter.Write(p[:c.left])
	http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// served is the Date of responses with Last-Modified.
var served = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

// honest is net/http's own Range. dpc is DPC's, which ends after 100 bytes and calls that the
// whole length.
func honest(w http.ResponseWriter, r *http.Request, content []byte) {
	modified, _ := http.ParseTime(w.Header().Get("Last-Modified")) // zero if absent
	http.ServeContent(w, r, "", modified, bytes.NewReader(content))
}

func dpc(w http.ResponseWriter, r *http.Request, content []byte) {
	var from int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content)
		return
	}
	if from >= len(content) {
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	end := min(from+100, len(content))
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, end-from))
	w.WriteHeader(http.StatusPartialContent)
	w.Write(content[from:end])
}

// Flush implements [http.Flusher].
func (c *cutter) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

// A range that differs from the requested one in any respect is not used.
func TestStreamTrustsNoOddPart(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for i := range 20 {
		fmt.Fprintf(&lines, "{\"resourceType\":\"Patient\",\"id\":\"%02d\"}\n", i)
	}
	whole := lines.String()
	line := len(whole) / 20
	type part struct {
		content            string // from the requested byte on
		first, last, total int
	}
	for name, test := range map[string]struct {
		edit   func(p *part)
		header http.Header
		status int
	}{
		"ends early":         {edit: func(p *part) { p.content = p.content[:len(p.content)-line]; p.last -= line }},
		"of a shorter file":  {edit: func(p *part) { p.content = p.content[:len(p.content)-line]; p.last -= line; p.total -= line }},
		"begins elsewhere":   {edit: func(p *part) { p.first -= line }},
		"total unknown":      {edit: func(p *part) { p.total = -1 }},
		"other bytes before": {edit: func(p *part) { p.content = strings.NewReplacer(`"09"`, `"x9"`, `"19"`, `"99"`).Replace(p.content) }},
		"another version":    {edit: func(p *part) { p.content = strings.Replace(p.content, `"19"`, `"99"`, 1) }, header: http.Header{"Etag": {`"2"`}}},
		"modified later":     {edit: func(p *part) { p.content = strings.Replace(p.content, `"19"`, `"99"`, 1) }, header: http.Header{"Last-Modified": {"Sun, 01 Mar 2026 02:00:01 GMT"}}},
		"of another length":  {edit: func(p *part) { p.content = p.content[:len(p.content)-line] }},
		"compressed":         {edit: func(p *part) {}, header: http.Header{"Content-Encoding": {"gzip"}}},
		"416":                {edit: func(p *part) { p.content = "" }, status: 416},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts := 0
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"1"`)
				var from int
				if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil {
					cut := len(whole)
					if parts == 0 {
						cut = 400
					}
					cutFile(cut, []byte(whole), http.Header{"Etag": {`"1"`}, "Last-Modified": {"Sun, 01 Mar 2026 02:00:00 GMT"}})(w, r)
					return
				}
				parts++
				p := part{whole[from:], from, len(whole) - 1, len(whole)}
				test.edit(&p)
				w.Header().Set("Content-Range", strings.ReplaceAll(fmt.Sprintf("bytes %d-%d/%d", p.first, p.last, p.total), "/-1", "/*"))
				respond(max(test.status, 206), test.header, p.content)(w, r)
			})
			got, stats, err := readURL(t, clientAt(t, server.URL), server.URL)
			if err != nil || got != whole || parts != 1 {
				t.Errorf("got %d bytes of %d, %+v, %v, with %d parts", len(got), len(whole), stats, err, parts)
			}
		})
	}
}

// A file that makes progress is not given up, however often it is cut; altogether it is sent
// about once.
func TestStreamThatIsCutOftenMovesOn(t *testing.T) {
	t.Parallel()
	big := strings.Repeat(content, 2000)
	cuts := make([]int, 40)
	for i := range cuts {
		cuts[i] = 5000
	}
	s := &ranged{versions: []string{big}, part: honest, cuts: cuts}
	server := serve(t, s.ServeHTTP)
	got, stats, err := readURL(t, clientAt(t, server.URL, attempts(3)), server.URL)
	if err != nil || got != big || stats.Attempts != 41 {
		t.Errorf("got %d bytes of %d, %+v, %v", len(got), len(big), stats, err)
	}
	t.Run("but not for ever", func(t *testing.T) {
		t.Parallel()
		for range 100 {
			cuts = append(cuts, 300) // of which 256 are already known
		}
		s := &ranged{versions: []string{big}, part: honest, cuts: cuts}
		server := serve(t, s.ServeHTTP)
		_, _, err := readURL(t, clientAt(t, server.URL, attempts(3)), server.URL)
		wantError(t, err, transport.Broken, "on the last of 60 attempts")
	})
}
