package bulk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

// mending answers the nth request for a path with its nth step.
type mending struct {
	*httptest.Server
	mu    sync.Mutex
	steps map[string][]http.HandlerFunc
}

func newMending(t *testing.T) *mending {
	t.Helper()
	m := &mending{steps: make(map[string][]http.HandlerFunc)}
	m.Server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		steps := m.steps[r.URL.Path]
		next := steps[0]
		if len(steps) > 1 {
			m.steps[r.URL.Path] = steps[1:]
		}
		m.mu.Unlock()
		next(w, r)
	})
	return m
}

// add returns the URL of a file that is answered with these steps.
func (m *mending) add(steps ...http.HandlerFunc) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := fmt.Sprintf("/%d", len(m.steps))
	m.steps[path] = steps
	return m.URL + path
}

// wires are the ways in which content may be sent.
func wires() map[string][]byte {
	return map[string][]byte{"plain": []byte(content), "gzip": compress(content)}
}

// Wherever the connection is cut, and cut again a little earlier or later, each byte is read
// once.
func TestStreamMendsACutAnywhere(t *testing.T) {
	t.Parallel()
	for name, wire := range wires() {
		for framing, header := range map[string]http.Header{"with a length": nil, "chunked": chunked} {
			for _, again := range []int{-7, 0, 7} {
				t.Run(fmt.Sprintf("%s %s, again at %d", name, framing, again), func(t *testing.T) {
					t.Parallel()
					server := newMending(t)
					c := clientAt(t, server.URL)
					for k := range wire {
						if k > 20 && k%5 != 0 { // the first bytes matter most: they show the format
							continue
						}
						second := min(max(k+again, 0), len(wire)-1)
						url := server.add(cutFile(k, wire, header), cutFile(second, wire, header), file(wire, header))
						got, stats, err := readURL(t, c, url)
						want := bulk.StreamStats{Bytes: int64(len(content)), XXH128: xxh128(content), Attempts: 3}
						if err != nil || got != content || stats != want {
							t.Errorf("cut at %d and %d: got %q, %+v, %v", k, second, got, stats, err)
						}
					}
				})
			}
		}
	}
}

// The server may also switch compression on or off between attempts, and the reader may vary how
// much it reads at once.
func TestStreamMendsAnyCuts(t *testing.T) {
	t.Parallel()
	server := newMending(t)
	c := clientAt(t, server.URL, attempts(6))
	sent := []struct {
		wire   []byte
		header http.Header
	}{{[]byte(content), nil}, {[]byte(content), chunked}, {compress(content), gzipHeader}, {compress(content), nil}}
	rapid.Check(t, func(rt *rapid.T) {
		var steps []http.HandlerFunc
		for range rapid.IntRange(0, 5).Draw(rt, "cuts") {
			s := rapid.SampledFrom(sent).Draw(rt, "wire")
			steps = append(steps, cutFile(rapid.IntRange(0, len(s.wire)-1).Draw(rt, "at"), s.wire, s.header))
		}
		last := rapid.SampledFrom(sent).Draw(rt, "last wire")
		steps = append(steps, file(last.wire, last.header))
		s, err := c.Open(t.Context(), &bulk.Manifest{}, bulk.File{Type: "Patient", URL: server.add(steps...)})
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		var got strings.Builder
		for err == nil {
			var n int
			p := make([]byte, rapid.IntRange(1, 200).Draw(rt, "read"))
			n, err = s.Read(p)
			got.Write(p[:n])
		}
		if err != io.EOF || got.String() != content || s.Stats().XXH128 != xxh128(content) || s.Stats().Attempts != len(steps) {
			rt.Errorf("got %q, %+v, %v after %d steps", got.String(), s.Stats(), err, len(steps))
		}
	})
}

// A file that ends early as if complete is detected by its last line.
func TestStreamMendsALastLineThatIsNotWhole(t *testing.T) {
	t.Parallel()
	server := newMending(t)
	for k := 1; k < len(content); k++ {
		if strings.HasSuffix(strings.TrimRight(content[:k], "\n"), "}") {
			continue // undetectable
		}
		got, stats, err := readURL(t, clientAt(t, server.URL), server.add(file([]byte(content[:k]), nil), file([]byte(content), nil)))
		if err != nil || got != content || stats.Attempts != 2 {
			t.Errorf("ended at %d: got %q, %+v, %v", k, got, stats, err)
		}
	}
}

func TestStreamKnowsHowLongTheFileWas(t *testing.T) {
	t.Parallel()
	server := newMending(t)
	line := strings.Index(content, "\n") + 1
	url := server.add(cutFile(10, []byte(content), nil), file([]byte(content[:line]), chunked), file([]byte(content), nil))
	if got, stats, err := readURL(t, clientAt(t, server.URL), url); err != nil || got != content || stats.Attempts != 3 {
		t.Errorf("got %q, %+v, %v", got, stats, err)
	}
}

func TestStreamRefusesAChangedFile(t *testing.T) {
	t.Parallel()
	server := newMending(t)
	for name, other := range map[string]string{
		"another byte":  strings.Replace(content, `"1"`, `"3"`, 1),
		"another order": content[36:] + content[:36],
	} {
		for _, wire := range [][]byte{[]byte(other), compress(other)} {
			url := server.add(cutFile(40, []byte(content), nil), file(wire, nil))
			_, _, err := readURL(t, clientAt(t, server.URL), url+"?"+secret)
			wantHint(t, wantError(t, err, transport.Broken, "reading an output file of Patient", "changed between two attempts: its first 40 bytes"), "run again")
			if strings.Contains(err.Error(), "Müller") {
				t.Errorf("%s: the error tells data: %v", name, err)
			}
		}
	}
}

func TestStreamGivesUpOnCutsThatComeEarlier(t *testing.T) {
	t.Parallel()
	server := newMending(t)
	c := clientAt(t, server.URL, attempts(3))
	for _, test := range []struct {
		ends http.HandlerFunc
		text string
	}{
		{cutFile(30, []byte(content), nil), "cut off after 30 bytes, on the last of 3 attempts: unexpected EOF"},
		{file([]byte(content[:30]), nil), "cut off after 30 bytes, on the last of 3 attempts: EOF"},
		{file(compress(content)[:5], nil), "cut off after 0 bytes, on the last of 3 attempts: unexpected EOF"},
	} {
		_, _, err := readURL(t, c, server.add(cutFile(60, []byte(content), nil), test.ends))
		wantHint(t, wantError(t, err, transport.Broken, test.text), "run again")
	}
}

// The context ends while the last attempt skips what was already returned.
func TestStreamCanceledWhileItMends(t *testing.T) {
	t.Parallel()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	bodies := []io.Reader{
		io.MultiReader(strings.NewReader(content[:60]), readFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF })),
		io.MultiReader(strings.NewReader(content[:30]), readFunc(func([]byte) (int, error) { cancel(why); return 0, context.Canceled })),
	}
	c := clientAt(t, "https://h.example", attempts(len(bodies)), func(o *bulk.Options) {
		o.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body := bodies[0]
			bodies = bodies[1:]
			return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
		})}
	})
	if _, _, err := read(ctx, c, &bulk.Manifest{}, bulk.File{URL: "https://h.example/f"}); err != why {
		t.Errorf("got %v, want the cause", err)
	}
}

// readFunc is an [io.Reader].
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestStreamGivesUpWhereTheFileIsGone(t *testing.T) {
	t.Parallel()
	server := newMending(t)
	for status, kind := range map[int]transport.Kind{404: transport.Broken, 410: transport.Broken, 403: transport.Broken} {
		_, _, err := readURL(t, clientAt(t, server.URL), server.add(cutFile(40, []byte(content), nil), respond(status, nil, "")))
		wantError(t, err, kind, fmt.Sprint(status))
	}
	_, _, err := readURL(t, clientAt(t, server.URL), server.add(cutFile(40, []byte(content), nil), respond(200, nil, "<html>")))
	wantError(t, err, transport.Broken, "a web page or XML")
}

// A whole export, with a bulktest server.
func TestStreamMendsAnExport(t *testing.T) {
	t.Parallel()
	big := make([]string, 2000)
	for i := range big {
		big[i] = fmt.Sprintf(`{"resourceType":"Patient","id":"%d","text":{"div":"%x"}}`, i, i*i)
	}
	want := strings.Join(big, "\n") + "\n"
	for name, fault := range map[string]bulktest.Behavior{
		"cut": bulktest.CutBody(10_000), "reset": bulktest.ResetBody(10_000), "ended": bulktest.TruncateBody(10_000),
		"401":          func(w http.ResponseWriter, r *http.Request, next http.Handler) { w.WriteHeader(401) },
		"not gzip cut": bulktest.Chain(bulktest.CutBody(100_000), bulktest.EditBody(func(b []byte) []byte { return b })),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", big...)}})
			c := newClient(t, server)
			_, m := export(t, c)
			server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: fault})
			got, stats, err := read(t.Context(), c, m, m.Output[0])
			if err != nil || got != want || stats.XXH128 != xxh128(want) || stats.Bytes != int64(len(want)) {
				t.Errorf("got %d bytes, %+v, %v", len(got), stats, err)
			}
			if n := len(requestsOf(server, bulktest.FileEndpoint)); n != 2 {
				t.Errorf("got %d requests, want 2", n)
			}
		})
	}
}

// Storage that requires an account of its own refuses every link without a signature.
func TestStorageThatWantsKeys(t *testing.T) {
	t.Parallel()
	const hint = "fhirkiln convert"
	for _, test := range []struct {
		name   string
		status int
		path   string
		first  bool // a file has come from there before
		home   bool // it is at the server's origin
		want   bool
	}{
		{name: "409, as Azure says it", status: 409, path: "/1", want: true},
		{name: "404, as Azure says it", status: 404, path: "/1", want: true},
		{name: "403, as S3 says it", status: 403, path: "/1", want: true},
		{name: "401", status: 401, path: "/1", want: true},
		{name: "a signature", status: 403, path: "/1?sig=" + secret},
		{name: "not the first file", status: 403, path: "/1", first: true},
		{name: "at the server", status: 403, path: "/1", home: true},
		{name: "another status", status: 410, path: "/1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			storage := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/1" {
					w.WriteHeader(test.status)
					return
				}
				io.WriteString(w, content)
			})
			base := "https://h.example/fhir"
			if test.home {
				base = storage.URL
			}
			c := clientAt(t, base, func(o *bulk.Options) { o.FileHosts = []string{storage.URL} })
			if test.first {
				if _, _, err := readURL(t, c, storage.URL+"/0"); err != nil {
					t.Fatal(err)
				}
			}
			_, _, err := readURL(t, c, storage.URL+test.path)
			e, ok := errors.AsType[*transport.Error](err)
			if !ok || strings.Contains(e.Hint, hint) != test.want {
				t.Errorf("got %v, with the hint %q", err, e.Hint)
			}
		})
	}
}
