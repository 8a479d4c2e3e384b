package bulk_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

const content = `{"resourceType":"Patient","id":"1"}` + "\n" + `{"resourceType":"Patient","id":"2","name":[{"family":"Müller"}]}` + "\n"

var (
	gzipHeader = http.Header{"Content-Encoding": {"gzip"}}
	chunked    = http.Header{"Transfer-Encoding": {"chunked"}}
)

func TestStream(t *testing.T) {
	t.Parallel()
	big := strings.Repeat(content, 5000)
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"plain", file([]byte(content), nil), content},
		{"chunked", file([]byte(content), chunked), content},
		{"gzip", file(compress(content), gzipHeader), content},
		{"gzip without its header", file(compress(content), nil), content},
		{"header without gzip", file([]byte(content), gzipHeader), content},
		{"gzip with an additional empty member", file(append(compress(content), compress("")...), gzipHeader), content}, // BCDA
		{"gzip of several members", file(append(compress(content), compress(content)...), gzipHeader), content + content},
		{"large", file([]byte(big), nil), big},
		{"large gzip", file(compress(big), gzipHeader), big},
		{"other content type", file([]byte(content), http.Header{"Content-Type": {"text/html"}}), content},
		{"a Binary that is none of HAPI's", file([]byte(`{"resourceType":"Binary","contentType":"image/png","data":"e30K"}`), nil), `{"resourceType":"Binary","contentType":"image/png","data":"e30K"}`},
		{"empty", file(nil, nil), ""},
		{"empty gzip", file(compress(""), gzipHeader), ""},
		{"one byte", file([]byte("}"), nil), "}"},
		{"only newlines", file([]byte("\n\r\n \n"), nil), "\n\r\n \n"},
		{"no newline at the end", file([]byte(`{"a":1}`), nil), `{"a":1}`},
		{"white space at the end", file([]byte("{}\r\n \t\n\n"), nil), "{}\r\n \t\n\n"},
		{"no object at the end", file([]byte("{}\n[\"x\"]\n"), nil), "{}\n[\"x\"]\n"}, // for quarantine
		{"blank lines first, then a byte order mark", file([]byte("\n\n\uFEFF{}\n"), nil), "\n\n\uFEFF{}\n"},
		{"white space over several reads", file([]byte("{}"+strings.Repeat("\n", 200_000)), nil), "{}" + strings.Repeat("\n", 200_000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, requests := script(t, test.answer)
			got, stats, err := readURL(t, clientAt(t, server.URL), server.URL+"/?"+secret)
			if err != nil || got != test.want {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, len(test.want))
			}
			if want := (bulk.StreamStats{Bytes: int64(len(test.want)), XXH128: xxh128(test.want), Attempts: 1}); stats != want || requests.Load() != 1 {
				t.Errorf("got %+v after %d requests, want %+v", stats, requests.Load(), want)
			}
		})
	}
}

func TestStreamFailures(t *testing.T) {
	t.Parallel()
	const outcome = `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x","diagnostics":"downloaded too often"}]}`
	flip := compress(content)
	flip[len(flip)-8] ^= 1 // in the CRC
	for _, test := range []struct {
		name     string
		answer   http.HandlerFunc
		kind     transport.Kind
		text     string
		hint     string
		requests int64
	}{
		{"cut", cutFile(20, []byte(content), nil), transport.Broken, "cut off after 20 bytes, on the last of 3 attempts: unexpected EOF", "run again", 3},
		{"cut, chunked", cutFile(20, []byte(content), chunked), transport.Broken, "cut off after 20 bytes, on the last of 3 attempts: unexpected EOF", "run again", 3},
		{"cut before the first byte", cutFile(0, []byte(content), nil), transport.Broken, "cut off after 0 bytes", "run again", 3},
		{"gzip cut", file(compress(content)[:40], gzipHeader), transport.Broken, "on the last of 3 attempts: unexpected EOF", "run again", 3},
		{"gzip cut in its header", file(compress(content)[:5], gzipHeader), transport.Broken, "on the last of 3 attempts", "run again", 3},
		{"gzip cut in its trailer", file(compress(content)[:len(compress(content))-1], gzipHeader), transport.Broken, "on the last of 3 attempts", "run again", 3},
		{"gzip with another checksum", file(flip, gzipHeader), transport.Broken, "checksum", "run again", 3},
		{"gzip with something after it", file(append(compress(content), "garbage"...), gzipHeader), transport.Broken, "on the last of 3 attempts", "run again", 3},
		{"last line cut", file([]byte(content[:50]), nil), transport.Broken, "the last line is incomplete", "run again", 3},
		{"no NDJSON at all", file([]byte("backend timeout\n"), nil), transport.Broken, "the last line is incomplete", "run again", 3},
		{"last line cut, chunked", file([]byte("{}\n{\n"), http.Header{"Transfer-Encoding": {"chunked"}}), transport.Broken, "the last line is incomplete", "run again", 3},
		{"last line cut, gzip", file(compress(content[:50]), gzipHeader), transport.Broken, "the last line is incomplete", "run again", 3},
		{"html", respond(200, nil, " \r\n<!DOCTYPE html>"+secret), transport.Broken, "200 OK: got a web page or XML instead of NDJSON", "proxy", 1},
		{"html after a byte order mark", respond(200, nil, "\uFEFF<html>"), transport.Broken, "a web page or XML", "proxy", 1},
		{"html, gzip", file(compress("<html>"+secret+"</html>\n"), gzipHeader), transport.Broken, "a web page or XML", "proxy", 1},
		{"xml", respond(200, nil, `<?xml version="1.0"?><Error/>`), transport.Broken, "a web page or XML", "proxy", 1},
		{"404", respond(404, nil, "<html>"), transport.Broken, "404 Not Found: a web page", "expired", 3}, // BCDA's files may appear later
		{"410", respond(410, nil, outcome), transport.Broken, "410 Gone: downloaded too often", "expired", 1},
		{"403", respond(403, nil, `<?xml version="1.0"?><Error>`+secret), transport.Broken, "403 Forbidden", "expired", 1},
		{"401", respond(401, nil, outcome), transport.Broken, "401 Unauthorized: downloaded", "expired", 1},
		{"Binary", respond(200, nil, `{"resourceType":"Binary","contentType":"application/fhir+ndjson","data":"e30K"}`), transport.Broken, "got a Binary instead of NDJSON", "ndjson", 1},
		{"an outcome that says late what it is", respond(200, nil, `{"issue":[{"severity":"error","code":"x","details":{"text":"`+strings.Repeat("x", 600)+`"}}],"resourceType":"OperationOutcome"}`),
			transport.Refused, "got an OperationOutcome instead of NDJSON", "run again", 1},
		{"400", respond(400, nil, outcome), transport.Refused, "400 Bad Request: downloaded", "ask the server's owner", 1},
		{"206, though no part was asked for", respond(206, http.Header{"Content-Range": {"bytes 0-3/9"}}, "{}\n"), transport.Broken, "206", "ask the server's owner", 1},
		{"204", respond(204, nil, ""), transport.Broken, "204", "", 1},
		{"redirect into the clear", respond(307, http.Header{"Location": {"http://192.0.2.1/?" + secret}}, ""), transport.NotThere, "http://", "https://", 1},
		{"redirect without an address", respond(307, nil, ""), transport.Broken, "307", "", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, requests := script(t, test.answer)
			_, _, err := readURL(t, clientAt(t, server.URL, attempts(3)), server.URL+"/?"+secret)
			e := wantError(t, err, test.kind, "reading an output file of Patient at "+server.URL+"/?…", test.text)
			if test.hint != "" {
				wantHint(t, e, test.hint)
			}
			if requests.Load() != test.requests {
				t.Errorf("got %d requests, want %d", requests.Load(), test.requests)
			}
		})
	}
}

// The manifest may have a file's length when neither the connection nor a count does: a file that
// ends before that, between two lines, was cut.
func TestStreamHasTheManifestsLength(t *testing.T) {
	t.Parallel()
	half := content[:strings.Index(content, "\n")+1]
	for name, test := range map[string]struct {
		steps    []http.HandlerFunc
		bytes    int
		says     string // "" means that it recovers
		requests int64
	}{
		"ends early":       {[]http.HandlerFunc{file([]byte(content), chunked)}, len(content) + 1, "it ended there, but the manifest says 103 bytes", 3},
		"ended early once": {[]http.HandlerFunc{file([]byte(half), chunked), file([]byte(content), chunked)}, len(content), "", 2},
		"has more":         {[]http.HandlerFunc{file([]byte(content), chunked)}, len(content) - 1, "the file has 102 bytes, but the manifest says 101", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, requests := script(t, test.steps...)
			f := bulk.File{Type: "Patient", URL: server.URL, Count: -1, Bytes: int64(test.bytes)}
			got, _, err := read(t.Context(), clientAt(t, server.URL, attempts(3)), &bulk.Manifest{}, f)
			if test.says != "" {
				wantError(t, err, transport.Broken, test.says)
			} else if err != nil || got != content {
				t.Errorf("got %q, %v", got, err)
			}
			if requests.Load() != test.requests {
				t.Errorf("got %d requests, want %d", requests.Load(), test.requests)
			}
		})
	}
}

// Transient failures use up attempts, but a file has more of those than it may have cuts.
func TestStreamUnavailable(t *testing.T) {
	t.Parallel()
	busy, lost := respond(503, http.Header{"Retry-After": {"7200"}}, "<html>"), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	t.Run("passes", func(t *testing.T) {
		t.Parallel()
		server, _ := script(t, busy, lost, file([]byte(content), nil))
		got, stats, err := readURL(t, clientAt(t, server.URL), server.URL)
		if err != nil || got != content || stats.Attempts < 2 { // net/http itself may have resent the lost one
			t.Errorf("got %q, %+v, %v", got, stats, err)
		}
	})
	for name, down := range map[string]http.HandlerFunc{"503": busy, "EOF": lost} {
		t.Run(name+" for ever", func(t *testing.T) {
			t.Parallel()
			server, _ := script(t, down)
			_, _, err := readURL(t, clientAt(t, server.URL, attempts(2)), server.URL+"/?"+secret)
			wantHint(t, wantError(t, err, transport.Unavailable, "reading an output file of Patient", name), "again")
		})
	}
}

func TestStreamCanceled(t *testing.T) {
	t.Parallel()
	why := errors.New("enough")
	hold := func(sent string, cancel context.CancelCauseFunc) bulktest.Behavior {
		return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			if sent != "" {
				io.WriteString(w, sent)
				http.NewResponseController(w).Flush()
			}
			cancel(why)
			<-r.Context().Done()
		}
	}
	for name, sent := range map[string]string{"before the header": "", "within the body": strings.Repeat(content, 100)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t, bulktest.Options{})
			c := newClient(t, server)
			_, m := export(t, c)
			ctx, cancel := context.WithCancelCause(t.Context())
			server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Do: hold(sent, cancel)})
			if _, _, err := read(ctx, c, m, m.Output[0]); err != why {
				t.Errorf("got %v, want the cause", err)
			}
			if n := len(requestsOf(server, bulktest.FileEndpoint)); n != 1 {
				t.Errorf("got %d requests, want 1", n)
			}
		})
	}
}

func TestStreamStall(t *testing.T) {
	t.Parallel()
	stall := func(sent []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Write(sent)
			http.NewResponseController(w).Flush()
			<-r.Context().Done() // the client gives up
		}
	}
	impatient := func(attempts int) func(*bulk.Options) {
		return func(o *bulk.Options) {
			o.HTTP = transport.New(transport.Options{StallTimeout: 30 * time.Millisecond})
			o.FileAttempts = attempts
		}
	}
	for name, sent := range map[string][]byte{
		"before the first byte": nil, "after one byte": []byte(content[:1]), "within": []byte(content[:60]),
		"at the end": []byte(content), "gzip": compress(content)[:30], "gzip at the end": compress(content),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := script(t, stall(sent), file([]byte(content), nil))
			got, stats, err := readURL(t, clientAt(t, server.URL, impatient(50)), server.URL) // a busy machine stalls too
			if err != nil || got != content || stats.Attempts < 2 {
				t.Errorf("got %q, %+v, %v", got, stats, err)
			}
		})
		t.Run(name+" for ever", func(t *testing.T) {
			t.Parallel()
			server, requests := script(t, stall(sent))
			_, _, err := readURL(t, clientAt(t, server.URL, impatient(3)), server.URL)
			wantError(t, err, transport.Broken, "no data received for 30ms", "3 attempts")
			if requests.Load() != 3 {
				t.Errorf("got %d requests, want 3", requests.Load())
			}
		})
	}
}
