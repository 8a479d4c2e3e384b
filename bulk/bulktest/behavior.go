package bulktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Respond sends this response and nothing else. A nil header is an empty one.
func Respond(status int, header http.Header, body string) Behavior {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Outcome answers with an OperationOutcome with one issue of severity error. The code is one
// of FHIR's issue types; "transient" asks a client to poll again.
func Outcome(status int, code, diagnostics string) Behavior {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		sendOutcome(w, refuse(status, code, diagnostics))
	}
}

// TokenError answers with an error of the token endpoint (RFC 6749, section 5.2).
func TokenError(status int, code string) Behavior {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		tokenError{status: status, Code: code}.send(w, r)
	}
}

// EditHead lets edit change the header of the server's answer. The status that edit returns
// replaces the answer's.
func EditHead(edit func(status int, h http.Header) int) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		head := &headWriter{ResponseWriter: w, edit: edit}
		next.ServeHTTP(head, r)
		if !head.wrote {
			head.WriteHeader(http.StatusOK)
		}
	}
}

type headWriter struct {
	http.ResponseWriter
	edit  func(int, http.Header) int
	wrote bool
}

func (w *headWriter) WriteHeader(status int) {
	if w.wrote {
		return
	}
	w.wrote = true
	w.ResponseWriter.WriteHeader(w.edit(status, w.Header()))
}

func (w *headWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

func (w *headWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// EditBody lets edit change the body of the server's answer, which it gets whole and
// uncompressed. It is for small files.
func EditBody(edit func(body []byte) []byte) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r = r.Clone(r.Context())
		r.Header.Del("Accept-Encoding")
		held := &heldAnswer{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(held, r)
		body := edit(held.body.Bytes())
		if held.header.Get("Content-Length") != "" {
			held.header.Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.WriteHeader(held.status)
		_, _ = w.Write(body)
	}
}

// heldAnswer holds back an answer.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *heldAnswer) Header() http.Header         { return a.header }
func (a *heldAnswer) WriteHeader(status int)      { a.status = status }
func (a *heldAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

// EditManifest lets edit change the manifest; numbers in it are [json.Number]s. Answers that
// are not a manifest, such as a 202, pass unchanged.
func EditManifest(edit func(manifest map[string]any)) Behavior {
	return EditBody(func(body []byte) []byte {
		var manifest map[string]any
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&manifest); err != nil || manifest["transactionTime"] == nil {
			return body
		}
		edit(manifest)
		edited, err := json.Marshal(manifest)
		if err != nil {
			panic(fmt.Sprintf("bulktest: the edited manifest is not JSON: %v", err))
		}
		return edited
	})
}

// TruncateBody ends the answer after that many bytes as if that were all. Only a count or a
// checksum can tell.
func TruncateBody(after int64) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&limitWriter{ResponseWriter: w, left: after, over: func() {}}, r)
	}
}

// CutBody closes the connection after that many bytes of the answer's body, as sent over the
// wire; 0 sends only the header. A shorter body is sent whole, but without the end that
// chunked encoding requires.
func CutBody(after int64) Behavior {
	return breakOff(after, func(http.ResponseWriter, *http.Request) {})
}

// ResetBody is like CutBody, but resets the connection (TCP RST).
func ResetBody(after int64) Behavior {
	return breakOff(after, func(w http.ResponseWriter, _ *http.Request) { resetConnection(w) })
}

// StallBody is like CutBody, but the connection stays open and silent until the client gives
// up or the server is closed.
func StallBody(after int64) Behavior {
	return breakOff(after, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

// Hang sends nothing until the client gives up or the server is closed.
func Hang() Behavior {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// Drop closes the connection without an answer, like a proxy or a server that restarts.
func Drop() Behavior {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// Reset is like Drop, but resets the connection (TCP RST).
func Reset() Behavior {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		resetConnection(w)
		panic(http.ErrAbortHandler)
	}
}

// resetConnection resets w's connection, if that is possible.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// breakOff sends that many bytes of the server's answer, then calls end, then aborts.
func breakOff(after int64, end func(http.ResponseWriter, *http.Request)) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		over := func() {
			_ = http.NewResponseController(w).Flush() // or the bytes would be lost in a buffer
			end(w, r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(&limitWriter{ResponseWriter: w, left: after, over: over}, r)
		over()
	}
}

// limitWriter passes on the first bytes, calls over when there are more, and swallows the rest
// if over returns.
type limitWriter struct {
	http.ResponseWriter
	left int64
	over func()
}

func (w *limitWriter) Write(p []byte) (int, error) {
	if int64(len(p)) <= w.left {
		w.left -= int64(len(p))
		return w.ResponseWriter.Write(p)
	}
	_, err := w.ResponseWriter.Write(p[:w.left])
	w.left = 0
	w.over()
	return len(p), err
}

func (w *limitWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SlowBody sends the body in pieces of that many bytes, with a pause after each.
func SlowBody(piece int, pause time.Duration) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&slowWriter{ResponseWriter: w, r: r, piece: max(piece, 1), pause: pause}, r)
	}
}

type slowWriter struct {
	http.ResponseWriter
	r     *http.Request
	piece int
	pause time.Duration
}

func (w *slowWriter) Write(p []byte) (sent int, err error) {
	for sent < len(p) {
		n, err := w.ResponseWriter.Write(p[sent:min(sent+w.piece, len(p))])
		sent += n
		if err != nil {
			return sent, err
		}
		if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
			return sent, err
		}
		select {
		case <-time.After(w.pause):
		case <-w.r.Context().Done():
			return sent, w.r.Context().Err()
		}
	}
	return sent, nil
}

func (w *slowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Chain plays several behaviors on one answer. The first is the outermost: it sees the answer
// as changed by the others.
func Chain(behaviors ...Behavior) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		for i := len(behaviors) - 1; i >= 0; i-- {
			b, inner := behaviors[i], next
			next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b(w, r, inner) })
		}
		next.ServeHTTP(w, r)
	}
}
