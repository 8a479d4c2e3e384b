package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// proxy is in front of an S3 server and plays faults. It passes requests on as they were signed.
type proxy struct {
	*httptest.Server
	mu     sync.Mutex
	faults []*fault
	seen   map[string]int // by operation
}

// fault happens to some requests.
type fault struct {
	operation string // of S3; "" means all
	skip      int    // how many requests pass first
	times     int    // how many fail then; 0 means all
	do        func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func newProxy(t *testing.T, g *gateway) *proxy {
	t.Helper()
	to, err := url.Parse(g.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	next := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { drop(w) },
	}
	p := &proxy{seen: map[string]int{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if do := p.faultFor(operation(r)); do != nil {
			do(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) faultFor(operation string) func(http.ResponseWriter, *http.Request, http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[operation]++
	for _, f := range p.faults {
		if f.operation != "" && f.operation != operation {
			continue
		}
		if f.skip--; f.skip >= 0 {
			continue
		}
		if f.times > 0 && f.skip < -f.times {
			continue
		}
		return f.do
	}
	return nil
}

// set replaces the faults, and returns the operations seen before.
func (p *proxy) set(faults ...*fault) (seen map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen = p.seen
	p.faults, p.seen = faults, map[string]int{}
	return seen
}

// operation returns S3's name for a request.
func operation(r *http.Request) string {
	q := r.URL.Query()
	for _, o := range []struct{ method, query, name string }{
		{http.MethodPost, "uploads", "CreateMultipartUpload"},
		{http.MethodPost, "uploadId", "CompleteMultipartUpload"},
		{http.MethodPut, "partNumber", "UploadPart"},
		{http.MethodDelete, "uploadId", "AbortMultipartUpload"},
		{http.MethodGet, "uploadId", "ListParts"},
		{http.MethodGet, "uploads", "ListMultipartUploads"},
		{http.MethodGet, "list-type", "ListObjectsV2"},
		{http.MethodPut, "", "PutObject"},
		{http.MethodGet, "", "GetObject"},
		{http.MethodHead, "", "HeadObject"},
		{http.MethodDelete, "", "DeleteObject"},
	} {
		if r.Method == o.method && (o.query == "" || q.Has(o.query)) {
			return o.name
		}
	}
	return r.Method
}

func answer(status int, code, message string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("X-Amz-Request-Id", "REQUEST1")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
	}
}

var (
	ill       = answer(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	slowDown  = answer(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	forbidden = answer(http.StatusForbidden, "AccessDenied", "Access Denied")
)

// resetMidway breaks the connection when half of the body has arrived.
func resetMidway(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	io.CopyN(io.Discard, r.Body, r.ContentLength/2)
	drop(w)
}

// loseAnswer lets the store execute the request, then breaks the connection.
func loseAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	drop(w)
}

// cutAnswer breaks the connection within the answer's body.
func cutAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
	whole := httptest.NewRecorder()
	next.ServeHTTP(whole, r)
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", fmt.Sprint(whole.Body.Len()))
	w.WriteHeader(whole.Code)
	w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	http.NewResponseController(w).Flush()
	drop(w)
}

func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) // reset instead of close
	}
	conn.Close()
}
