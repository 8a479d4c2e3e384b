package bulk_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

// ranged serves versions of a file with or without Range, cut after so many bytes of
// each answer's body until the cuts are used up.
type ranged struct {
	versions []string // the n-th answer is of the n-th, later ones of the last
	gzip     bool
	part     func(w http.ResponseWriter, r *http.Request, content []byte) // nil: no Range
	etag     func(content string) string                                  // nil: a strong one
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

// cutter breaks the connection after so many bytes.
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

// honest is net/http's own Range; dpc is DPC's, which ends after 100 bytes and calls
// that the whole length.
func honest(w http.ResponseWriter, r *http.Request, content []byte) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
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

// killing is how a file is served whose connection is killed.
type killing struct {
	gzip, chunked bool
	ranges        string // "no Range", "Range", "DPC's Range"
	etag          string // "strong", "weak", "unquoted", "none", "lies": stays the same when the file changes
	change        string // "same", "another byte", "longer", "shorter", "shorter by a line"
}

func (k killing) String() string {
	return fmt.Sprintf("gzip %v, chunked %v, %s, ETag %s, %s", k.gzip, k.chunked, k.ranges, k.etag, k.change)
}

// killings are all combinations that may matter: an ETag is nothing without Range.
func killings() []killing {
	var all []killing
	for _, gzipped := range []bool{false, true} {
		for _, ranges := range []string{"no Range", "Range", "DPC's Range"} {
			etags := []string{"strong", "lies"}
			if ranges == "Range" && !gzipped {
				etags = append(etags, "weak", "unquoted", "none")
			}
			for _, etag := range etags {
				for _, change := range []string{"same", "another byte", "longer", "shorter", "shorter by a line"} {
					k := killing{gzip: gzipped, ranges: ranges, etag: etag, change: change}
					all = append(all, k)
					if k.chunked = true; ranges == "no Range" {
						all = append(all, k)
					}
				}
			}
		}
	}
	return all
}

// The connection is killed at every k-th byte, and every other time again a little
// later, and the file may be another one the next time: the stream is right, or it
// fails. A change that the server hides is told by the manifest's SHA-256.
func TestStreamKilledAnywhere(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for i := range 30 {
		fmt.Fprintf(&lines, "{\"resourceType\":\"Patient\",\"id\":\"%d\",\"x\":\"%s\"}\n", i, sum(strconv.Itoa(i))[:20])
	}
	was := lines.String()
	changed := map[string]string{
		"same":              was,
		"another byte":      strings.Replace(was, `"id":"3"`, `"id":"4"`, 1),
		"longer":            `{"resourceType":"Patient","id":"new"}` + "\n" + was,
		"shorter":           was[:len(was)/2],
		"shorter by a line": was[:strings.LastIndex(was[:len(was)-1], "\n")+1],
	}
	etags := map[string]func(content string) string{
		"strong":   nil,
		"weak":     func(content string) string { return fmt.Sprintf("W/%q", sum(content)[:8]) },
		"unquoted": sum,
		"none":     func(string) string { return "" },
		"lies":     func(string) string { return `"1"` },
	}
	parts := map[string]func(http.ResponseWriter, *http.Request, []byte){"no Range": nil, "Range": honest, "DPC's Range": dpc}
	for _, test := range killings() {
		t.Run(test.String(), func(t *testing.T) {
			t.Parallel()
			var now atomic.Pointer[ranged]
			server := serve(t, func(w http.ResponseWriter, r *http.Request) { now.Load().ServeHTTP(w, r) })
			c := clientAt(t, server.URL)
			wire := len(was)
			if test.gzip {
				wire = len(compress(was))
			}
			for k := 0; k < wire; k += 41 {
				s := &ranged{versions: []string{was, changed[test.change]}, gzip: test.gzip, chunked: test.chunked,
					part: parts[test.ranges], etag: etags[test.etag], cuts: []int{k}}
				if k%2 == 1 {
					s.cuts = append(s.cuts, k/2+300)
				}
				now.Store(s)
				f := bulk.File{Type: "Patient", URL: server.URL, Count: -1}
				if test.etag == "lies" {
					f.SHA256 = sum(was)
				}
				got, stats, err := read(t.Context(), c, &bulk.Manifest{}, f)
				switch {
				case err != nil && test.change == "same":
					t.Errorf("killed at %d: %v", k, err)
				case err != nil:
					wantError(t, err, transport.Broken)
				case got != was && got != changed[test.change] || stats.XXH128 != xxh128(got):
					t.Errorf("killed at %d: got a mix of %d bytes", k, len(got))
				case f.SHA256 != "" && got != was:
					t.Errorf("killed at %d: got another file than the manifest's", k)
				}
				if test.gzip && strings.Join(s.asked, "") != "" {
					t.Errorf("killed at %d: a part of a gzip was asked for", k)
				}
				if test.ranges == "Range" && !test.gzip && test.change == "same" && test.etag == "strong" && k > 300 && s.asked[len(s.asked)-1] == "" {
					t.Errorf("killed at %d: it was read again from its start", k)
				}
			}
		})
	}
}

// A part that is not what was asked for in every respect is not taken.
func TestStreamTrustsNoOddPart(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for i := range 20 {
		fmt.Fprintf(&lines, "{\"resourceType\":\"Patient\",\"id\":\"%02d\"}\n", i)
	}
	whole := lines.String()
	line := len(whole) / 20
	type part struct {
		content            string // from the byte that was asked for on
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
					cutFile(cut, []byte(whole), http.Header{"Etag": {`"1"`}})(w, r)
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

// A file that moves on is not given up, however often it is cut; all in all it is sent
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
			cuts = append(cuts, 300) // 256 of them known already
		}
		s := &ranged{versions: []string{big}, part: honest, cuts: cuts}
		server := serve(t, s.ServeHTTP)
		_, _, err := readURL(t, clientAt(t, server.URL, attempts(3)), server.URL)
		wantError(t, err, transport.Broken, "at the last of 60 attempts")
	})
}
