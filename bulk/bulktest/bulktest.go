// Package bulktest is to FHIR Bulk Data what net/http/httptest is to HTTP: an in-process
// server, on a real socket, that exports your NDJSON. It is for tests, the demo, and people
// who want to practice; it is not a general FHIR server.
//
// The common path:
//
//	server, err := bulktest.NewServer(bulktest.Options{
//		Data: bulktest.Files{bulktest.Lines("Patient", `{"resourceType":"Patient","id":"1"}`)},
//	})
//	defer server.Close()
//	// point a client at server.TokenURL() and server.FHIR(), with the default credentials
//	for _, r := range server.Requests() { ... } // the requests it got
//
// To test a client against a misbehaving server, inject faults one at a time:
//
//	server.Inject(bulktest.Fault{
//		On:    bulktest.StatusEndpoint,
//		Times: 2,
//		Do:    bulktest.Respond(503, nil, ""),
//	})
//
// [Options].Faults plays faults of real servers by name; [KnownFaults] lists them.
//
// Without faults the server does what the Bulk Data Access IG 2.0.0 and 3.0.0 require, and is
// strict where servers may choose (it requires Accept and Prefer, as BCDA does). Its token
// endpoint is that of 1upHealth's developer portal. [Options] and [Data] say what is exported;
// see [Server.FHIR] for what a kick-off may ask for.
package bulktest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// TokenPath is the path of the token endpoint, as on 1upHealth's developer portal.
const TokenPath = "/auth/realms/dev-portal/protocol/openid-connect/token"

// What a client sends to get a token, unless [Options] say otherwise.
const (
	DefaultClientID     = "bulktest-client"
	DefaultClientSecret = "bulktest-secret"
	DefaultScope        = "bulk-data|user/*.rs"
)

// Server is a running Bulk Data server. All methods may be called from any goroutine.
type Server struct {
	o       Options
	url     string
	storage string // URL of the second origin, "" if there is none
	mux     *http.ServeMux
	http    *http.Server

	stop   context.CancelFunc // ends the counting and waiting handlers
	ctx    context.Context
	served sync.WaitGroup // accept loops
	active sync.WaitGroup // connections, handlers, jobs
	close  sync.Once

	endpoints map[string]Endpoint // by the mux's pattern
	tokens    tokens
	jobs      jobs
	faults    faults
	requests  requestLog
}

// NewServer starts a server. It fails if it cannot listen, or with an
// [*UnknownFaultError]. The caller must Close it.
func NewServer(o Options) (*Server, error) {
	known, err := findFaults(o.Faults)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	for _, f := range known {
		if f.set != nil {
			f.set(&o)
		}
	}
	listeners, err := o.listen()
	if err != nil {
		return nil, fmt.Errorf("starting the bulk data server: %w", err)
	}
	s := &Server{o: o, url: reachable(listeners[0].Addr())}
	if o.storage {
		s.storage = reachable(listeners[1].Addr())
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.routes()
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnState:         s.track,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that hang up are normal here
	}
	s.play(known)
	for _, l := range listeners {
		s.served.Go(func() {
			_ = s.http.Serve(l) // always ErrServerClosed or the error of a closed listener
		})
	}
	return s, nil
}

// listen opens the server's port, and a second one at the same host for storage.
func (o Options) listen() ([]net.Listener, error) {
	first, err := new(net.ListenConfig).Listen(context.Background(), "tcp", o.Addr)
	if err != nil || !o.storage {
		return []net.Listener{first}, err
	}
	host, _, _ := net.SplitHostPort(first.Addr().String())
	second, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		_ = first.Close() // not used yet
		return nil, err
	}
	return []net.Listener{first, second}, nil
}

// reachable returns the URL by which this machine reaches a listener, also if it listens on
// all addresses.
func reachable(addr net.Addr) string {
	host, port, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Close stops the server: it cuts all connections, cancels jobs, and waits until all the
// server's goroutines have ended. A [File] whose reader blocks delays it. Closing again does
// nothing.
func (s *Server) Close() {
	s.close.Do(func() {
		s.stop()
		_ = s.http.Close()
		s.served.Wait()
		_ = s.http.Close() // a connection accepted while the first Close ran
		s.active.Wait()
	})
}

// track counts connections, so that Close can wait for them. A handler is added while its
// connection still counts, so the count cannot reach zero in between.
func (s *Server) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.active.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.active.Done()
	}
}

// URL returns the server's root, http://host:port, as this machine reaches it. The links in
// the server's answers use the host that the client asked for.
func (s *Server) URL() string { return s.url }

// StorageURL returns the server's second origin, http://host:port, where some of
// [KnownFaults] put the output files; those links must be followed without a token. It is ""
// if no fault needs one.
func (s *Server) StorageURL() string { return s.storage }

// FHIR returns the base URL of the FHIR endpoint. Kick-offs go to /$export, /Patient/$export
// and /Group/[id]/$export below it, by GET or by POST with a Parameters resource. Their
// parameters are
//
//   - _type: R4 resource types;
//   - _since, _until: an instant, or a date as 1upHealth documents it; compared with
//     [File].Changed or else meta.lastUpdated; a resource without one is always exported;
//   - _outputFormat: application/fhir+ndjson, application/ndjson, ndjson;
//   - _elements: root elements; resourceType, id, meta and the mandatory elements of common
//     types are kept, and the tag SUBSETTED is added; a type for which no element is named
//     stays whole;
//   - _typeFilter: Type?param=value&..., where param is _id, _lastUpdated, patient, subject,
//     identifier, status, clinical-status, lifecycle-status, code, vaccine-code, type,
//     category, class, intent, use, or the date of a common type, such as service-date of
//     ExplanationOfBenefit and date of Observation, with eq, ge, gt, le, lt;
//   - patient: by POST, at the levels Patient and Group; a patient who is not in the group
//     is refused, and one whom the server does not know has nothing to export.
//
// Anything else gets a 400 with an OperationOutcome. With Prefer: handling=lenient the server
// ignores what it does not support and says so in the manifest's error section. Repeated
// parameters and comma lists mean the same.
//
// The levels Patient and Group export the resources of R4's patient compartment, and all
// resources of Practitioner, PractitionerRole, Organization and Location, which have no
// patient. A Device belongs to its patient, and a Provenance to the patients among its
// targets; a Provenance that only targets other resources of a patient is not in a Group's
// export. Group resources are not exported, since they name other people. A group's members
// are all Patients that the Group with that id lists, including former and inactive ones, as
// on 1upHealth; nested groups are not followed.
//
// GET /Group searches the Groups by identifier and _id, in pages of _count (10) linked by
// next. Any other parameter gets a 400.
func (s *Server) FHIR() string { return s.url + "/fhir" }

// TokenURL returns the URL of the token endpoint. It takes grant_type=client_credentials with
// client_id, client_secret and scope in a form, by POST, or by GET with the form as its body,
// as 1upHealth documents. Errors follow RFC 6749, section 5.2.
func (s *Server) TokenURL() string { return s.url + TokenPath }

// ExpireTokens invalidates all tokens issued so far, like a server that revokes them early.
func (s *Server) ExpireTokens() { s.tokens.clear() }

// randomID returns an unguessable id: knowing the id of a job or file may be enough to get it.
func randomID() string { return rand.Text() }
