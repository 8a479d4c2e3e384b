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
	// Name is what [Request.Fault] will say. Default: "fault on " and the endpoint.
	Name string

	// On is the endpoint at which it plays.
	On Endpoint

	// When, if set, limits it to some of that endpoint's requests. It is called with the
	// server's faults locked: it must return at once and not call Inject. The body of its
	// request is not to be read. See also [PathContains].
	When func(*http.Request) bool

	// Skip is how many matching requests go by first.
	Skip int

	// Times is how many requests it plays on. 0 is once, [Always] is all.
	Times int

	// Do answers the request instead of the server. Required.
	Do Behavior
}

// Behavior answers a request instead of the server. What the server would have done,
// 401 for a bad token included, is next, which it may call or not, with w or with a writer
// of its own. It may run on several requests at once.
type Behavior func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Inject has the server play f from now on. A request plays one fault at most: faults
// are tried in the order in which they were injected, one that matches has seen the
// request, and the first that is due plays it. So two faults that play once each, on the
// same endpoint, play on its next two requests. remove takes f away, however often it has
// played; to call it again does nothing.
func (s *Server) Inject(f Fault) (remove func()) {
	if f.Do == nil {
		panic("bulktest: a Fault without Do")
	}
	f.Name = cmp.Or(f.Name, strings.TrimSpace("fault on "+string(f.On)))
	f.Times = cmp.Or(f.Times, 1)
	return s.faults.add(&injected{Fault: f})
}

// PathContains is a [Fault]'s When: the request's path contains part. Paths of files end
// in Type.number.ndjson, so "/Patient." finds all of type Patient, and ".3.ndjson" the
// third file of the manifest, counted over all its sections.
func PathContains(part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
}

// injected is a fault and how far it has come.
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

// next is the fault to play on r, nil for none.
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
