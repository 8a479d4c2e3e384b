package bulktest

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// maxRequests is how many requests are remembered, so that a server that runs for
// weeks does not grow; the oldest go first.
const maxRequests = 1 << 16

// Endpoint is what a request is for.
type Endpoint string

// The endpoints. AnyEndpoint in a [Fault] means all of them; a [Request] has it for paths
// and methods that the server does not know.
const (
	AnyEndpoint     Endpoint = ""
	TokenEndpoint   Endpoint = "token"
	KickOffEndpoint Endpoint = "kick-off"
	StatusEndpoint  Endpoint = "status"
	DeleteEndpoint  Endpoint = "delete" // DELETE of a status URL
	FileEndpoint    Endpoint = "file"
	SearchEndpoint  Endpoint = "search" // GET of /Group
)

// Request is one request that a [Server] got. It is kept as it came, with tokens and
// secrets: do not log it where the data is not made up.
type Request struct {
	Endpoint   Endpoint
	Time       time.Time // when its body had been read, on the clock [Options.Now]
	Method     string
	RequestURI string // path and query as they were sent
	Path       string
	Query      url.Values
	Header     http.Header
	Body       []byte
	Fault      string // name of the fault that was played, "" for none
	Status     int    // of the answer, 0 as long as there was none
}

// Requests are the requests so far, in the order in which they came; of a great many,
// the last 65536. Headers and bodies are shared between calls and must not be changed.
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
		l.entries = slices.Delete(l.entries, 0, maxRequests/16) // some at once: moving is not free
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

// recorder notes an answer's status, for the log too if it has one.
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

// Unwrap is for [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
