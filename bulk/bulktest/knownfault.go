package bulktest

import (
	"fmt"
	"net/http"
	"slices"
)

// KnownFault is something that real Bulk Data servers, or proxies in front of them, are known
// to do wrong or differently from each other. Play it by name with [Options].Faults.
type KnownFault struct {
	// Name is stable, and begins with where the fault plays: token-, kickoff-, poll-,
	// manifest-, file- or delete-.
	Name string

	// Does says what the server does: a sentence without its period.
	Does string

	// Seen says who is known for it: a server, or the text that allows it; "any" if nobody in
	// particular, as for what networks and proxies do.
	Seen string

	set   func(*Options)       // may be nil
	plays func(*Server) []play // may be nil
}

// KnownFaults returns all known faults, in the order of an export: token, kick-off, poll,
// manifest, files, delete.
//
// A temporary one ("at first", "twice") plays again on each export, status URL or file. Bodies
// are cut after about a kilobyte, so serve files of several kilobytes. Edited files are held in
// memory.
func KnownFaults() []KnownFault {
	return slices.Concat(tokenFaults(), kickOffFaults(), kickOffURLFaults(), pollFaults(), pollEndFaults(),
		manifestFaults(), manifestTimeFaults(), pageFaults(), entryFaults(), linkFaults(),
		refusedFileFaults(), cutFileFaults(), gzipFaults(), wrongBodyFaults(), lineFaults(), rangeFaults(), deleteFaults())
}

// UnknownFaultError says that there is no [KnownFault] of that name.
type UnknownFaultError struct{ Name string }

func (e *UnknownFaultError) Error() string { return fmt.Sprintf("there is no known fault %q", e.Name) }

func findFaults(names []string) ([]KnownFault, error) {
	all := KnownFaults()
	found := make([]KnownFault, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(all, func(f KnownFault) bool { return f.Name == name })
		if i < 0 {
			return nil, &UnknownFaultError{name}
		}
		found = append(found, all[i])
	}
	return found, nil
}

// play is a part of a [KnownFault]: what happens at one endpoint.
type play struct {
	on    Endpoint
	first int                      // plays on that many requests for each URL; 0: on all
	when  func(*http.Request) bool // plays on which requests; nil: on all
	do    Behavior
}

// play injects the faults. Those that let some requests pass come first, since the others would
// hide them.
func (s *Server) play(known []KnownFault) {
	var lasting []Fault
	for _, k := range known {
		if k.plays == nil {
			continue
		}
		for _, p := range k.plays(s) {
			f := Fault{Name: k.Name, On: p.on, When: p.chosen(), Times: Always, Do: p.do}
			if f.When == nil {
				lasting = append(lasting, f)
				continue
			}
			s.Inject(f)
		}
	}
	for _, f := range lasting {
		s.Inject(f)
	}
}

// chosen combines when and first. It keeps count, under the lock of the server's faults.
func (p play) chosen() func(*http.Request) bool {
	if p.first == 0 {
		return p.when
	}
	seen := make(map[string]int)
	return func(r *http.Request) bool {
		if p.when != nil && !p.when(r) {
			return false
		}
		// A status URL and a file belong to one export, and a page to one manifest.
		key := r.URL.Path + "?" + r.URL.Query().Get(pageKey)
		seen[key]++
		if seen[key] <= p.first {
			return true
		}
		if p.on == KickOffEndpoint || p.on == TokenEndpoint {
			delete(seen, key) // the next export uses the same URL
		}
		return false
	}
}

// known returns a fault that needs nothing from the server.
func known(name, does, seen string, plays ...play) KnownFault {
	return KnownFault{Name: name, Does: does, Seen: seen, plays: func(*Server) []play { return plays }}
}

// with returns f with a change of the server's options.
func (f KnownFault) with(set func(*Options)) KnownFault {
	f.set = set
	return f
}

// editHeader sets headers, given as name and value. An empty value removes one.
func editHeader(edits ...string) Behavior {
	return EditHead(func(status int, h http.Header) int {
		for i := 0; i < len(edits); i += 2 {
			if h.Del(edits[i]); edits[i+1] != "" {
				h.Set(edits[i], edits[i+1])
			}
		}
		return status
	})
}

// more is data with additional files.
type more struct {
	Data
	added Files
}

func (m more) Files() []File { return slices.Concat(m.Data.Files(), m.added) }

// held returns the server's answer to r without sending it.
func held(next http.Handler, r *http.Request) *heldAnswer {
	a := &heldAnswer{header: make(http.Header), status: http.StatusOK}
	next.ServeHTTP(a, r)
	return a
}

const anyServer = "any"

// Pages of proxies between client and server.
const (
	loginPage = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form method=\"post\"></form></body></html>\n"
	badGate   = "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>\n"
)

func html(status int, page string) Behavior {
	return Respond(status, http.Header{"Content-Type": {"text/html"}}, page)
}
