package bulktest

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// maxRequests bounds the recorded requests, so that a server that runs for weeks does not grow.
// The oldest are dropped first.
const maxRequests = 1 << 16

// Endpoint is what a request is for.
type Endpoint string

// The endpoints. AnyEndpoint in a [Fault] means all of them; in a [Request] it means a path or
// method that the server does not know.
const (
	AnyEndpoint     Endpoint = ""
	TokenEndpoint   Endpoint = "token"
	KickOffEndpoint Endpoint = "kick-off"
	StatusEndpoint  Endpoint = "status"
	DeleteEndpoint  Endpoint = "delete" // DELETE of a status URL
	FileEndpoint    Endpoint = "file"
	SearchEndpoint  Endpoint = "search" // GET of /Group
)

// Request is a request that a [Server] got. It is recorded as is, with tokens and secrets: do
// not log it if the data is real.
type Request struct {
	Endpoint   Endpoint
	Time       time.Time // when its body was read, on the clock [Options.Now]
	Method     string
	RequestURI string // path and query as sent
	Path       string
	Query      url.Values
	Header     http.Header
	Body       []byte
	Fault      string // name of the fault that played, or ""
	Status     int    // of the answer; 0 if there is none yet
}

// Requests returns the requests so far, at most the last 65536, in order. Headers and bodies
// are shared between calls and must not be changed.
func (s *Server) Requests() []Request { return s.requests.all() }

type requestLog struct {
	mu      sync.Mutex
	entries []*Request
}

func (l *requestLog) add(e Endpoint, fault string, r *http.Request, body []byte, now time.Time) *Request {
	entry := &Request{
		Endpoint: e, Time: now, Method: r.Method, RequestURI: r.RequestURI,
		Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone(), Body: body, Fault: fault,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == maxRequests {
		l.entries = slices.Delete(l.entries, 0, maxRequests/16) // many at once, since moving is not free
	}
	l.entries = append(l.entries, entry)
	return entry
}

func (l *requestLog) all() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Request, len(l.entries))
	for i, e := range l.entries {
		all[i] = *e
	}
	return all
}

// recorder records an answer's status, also in the log if it has one.
type recorder struct {
	http.ResponseWriter
	status int
	log    *requestLog
	entry  *Request
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
		if r.log != nil {
			r.log.mu.Lock()
			r.entry.Status = status
			r.log.mu.Unlock()
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap is used by [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
