package bulk_test

import (
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

// killing describes how a file is served whose connection is killed.
type killing struct {
	gzip, chunked bool
	ranges        string // "no Range", "Range", "DPC's Range"
	etag          string // "strong", "weak", "unquoted", "none", "lies": stays the same when the file changes
	modified      string // "not told", "just now": a change falls into the same second, "before": into a later one
	change        string // "same", "another byte", "two other bytes", "longer", "shorter", "shorter by a line"
}

func (k killing) String() string {
	return fmt.Sprintf("gzip %v, chunked %v, %s, ETag %s, modified %s, %s", k.gzip, k.chunked, k.ranges, k.etag, k.modified, k.change)
}

// resumable reports whether the server can prove that the rest of the file is of the same
// version, so that a Range may be requested.
func (k killing) resumable() bool {
	return !k.gzip && (k.etag == "strong" || k.etag == "lies" || k.etag == "none" && k.modified == "before")
}

// killings returns all combinations that matter: an ETag does not without Range.
func killings() []killing {
	var all []killing
	for _, gzipped := range []bool{false, true} {
		for _, ranges := range []string{"no Range", "Range", "DPC's Range"} {
			type told struct{ etag, modified string }
			versions := []told{{"strong", "not told"}, {"lies", "not told"}}
			if ranges == "Range" && !gzipped {
				versions = append(versions, told{"weak", "not told"}, told{"unquoted", "not told"}, told{"none", "not told"},
					told{"none", "just now"}, told{"none", "before"}, told{"weak", "before"})
			}
			for _, v := range versions {
				for _, change := range []string{"same", "another byte", "two other bytes", "longer", "shorter", "shorter by a line"} {
					k := killing{gzip: gzipped, ranges: ranges, etag: v.etag, modified: v.modified, change: change}
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

// The connection is killed at every kth byte, and every other time again a little later, and the
// file may have changed by the next attempt: the stream is right, or it fails. A change that the
// server hides is detected by the manifest's SHA-256.
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
		"two other bytes":   strings.NewReplacer(`"id":"3"`, `"id":"4"`, `"id":"29"`, `"id":"30"`).Replace(was), // old and new must not be mixed
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
	modified := map[string][]time.Time{"not told": nil, "just now": {served}, "before": {served.Add(-time.Second), served}}
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
					part: parts[test.ranges], etag: etags[test.etag], modified: modified[test.modified], cuts: []int{k}}
				if test.change == "same" && s.modified != nil {
					s.modified = s.modified[:1]
				}
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
				switch {
				case !test.resumable() && strings.Join(s.asked, "") != "":
					t.Errorf("killed at %d: a part was asked for", k)
				case test.resumable() && test.ranges == "Range" && test.change == "same" && k > 300 && s.asked[len(s.asked)-1] == "":
					t.Errorf("killed at %d: it was read again from its start", k)
				}
			}
		})
	}
}
