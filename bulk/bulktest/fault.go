package bulktest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Always, as a [Fault]'s Times, plays it until it is removed.
const Always = -1

// Fault is one thing that a [Server] does wrong.
type Fault struct {
	// Name is the value of [Request.Fault]. Default: "fault on " and the endpoint.
	Name string

	// On is the endpoint at which it plays.
	On Endpoint

	// When, if set, selects some of that endpoint's requests. It is called with the server's
	// faults locked: it must return at once and not call Inject. It must not read the
	// request's body. See also [PathContains].
	When func(*http.Request) bool

	// Skip is how many matching requests pass first.
	Skip int

	// Times is on how many requests it plays. 0 means once, [Always] means all.
	Times int

	// Do answers the request instead of the server. Required.
	Do Behavior
}

// Behavior answers a request instead of the server. next is what the server would have done,
// including a 401 for a bad token. A Behavior may call it or not, with w or with its own
// writer. It may run on several requests at once.
type Behavior func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Inject makes the server play f from now on. A request plays at most one fault: the server
// tries faults in the order of their injection. Each that matches counts the request, and the
// first that is due plays. So two faults on the same endpoint that play once each play on its
// next two requests. remove removes f, however often it has played; calling it again does
// nothing.
func (s *Server) Inject(f Fault) (remove func()) {
	if f.Do == nil {
		panic("bulktest: a Fault without Do")
	}
	f.Name = cmp.Or(f.Name, strings.TrimSpace("fault on "+string(f.On)))
	f.Times = cmp.Or(f.Times, 1)
	return s.faults.add(&injected{Fault: f})
}

// PathContains is for a [Fault]'s When: it selects requests whose path contains part. Paths of
// files end in Type.number.ndjson, so "/Patient." selects all files of type Patient, and
// ".3.ndjson" the third file of the manifest, counted over all its sections.
func PathContains(part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
}

// injected is a fault with its progress.
type injected struct {
	Fault
	seen, played int
}

func (f *injected) name() string {
	if f == nil {
		return ""
	}
	return f.Name
}

type faults struct {
	mu   sync.Mutex
	list []*injected
}

func (fs *faults) add(f *injected) (remove func()) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.list = append(fs.list, f)
	return func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		fs.list = slices.DeleteFunc(fs.list, func(other *injected) bool { return other == f })
	}
}

// next returns the fault to play on r, or nil.
func (fs *faults) next(e Endpoint, r *http.Request) *injected {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		spent := f.Times >= 0 && f.played >= f.Times
		if spent || f.On != AnyEndpoint && f.On != e || f.When != nil && !f.When(r) {
			continue
		}
		if f.seen++; f.seen > f.Skip {
			f.played++
			return f
		}
	}
	return nil
}
