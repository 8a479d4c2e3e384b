// Package bulktest is to FHIR Bulk Data what net/http/httptest is to HTTP: a server in
// this process, on a real socket, that exports NDJSON of yours. It serves tests, the
// demo, and people who want to practice; it is no FHIR server for anything else.
//
// The common path:
//
//	server, err := bulktest.NewServer(bulktest.Options{
//		Data: bulktest.Files{bulktest.Lines("Patient", `{"resourceType":"Patient","id":"1"}`)},
//	})
//	defer server.Close()
//	// point a client at server.TokenURL() and server.FHIR(), with the default credentials
//	for _, r := range server.Requests() { ... } // what it was asked
//
// To see how a client takes a bad server, say what is to go wrong, one fault at a time:
//
//	server.Inject(bulktest.Fault{
//		On:    bulktest.StatusEndpoint,
//		Times: 2,
//		Do:    bulktest.Respond(503, nil, ""),
//	})
//
// [Options].Faults plays by name what real servers are known for; [KnownFaults] lists it.
//
// Without faults the server does what the Bulk Data Access IG 2.0.0 and 3.0.0 ask of one,
// and is strict where servers may choose (it wants Accept and Prefer, as BCDA does), with
// the token endpoint of 1upHealth's developer portal. [Options] and [Data] say what is
// exported; what a kick-off may ask for is under [Server.FHIR].
package bulktest

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// TokenPath is the path of the token endpoint, that of 1upHealth's developer portal.
const TokenPath = "/auth/realms/dev-portal/protocol/openid-connect/token"

// What a client sends to get a token where [Options] do not say otherwise.
const (
	DefaultClientID     = "bulktest-client"
	DefaultClientSecret = "bulktest-secret"
	DefaultScope        = "bulk-data|user/*.rs"
)

// Options say what a [Server] exports and how it behaves. The zero value is a server
// for a fast test, with nothing to export.
type Options struct {
	// Data is what an export holds. Its Files are asked for once per kick-off.
	Data Data

	// Deleted are the files of the manifest's deleted section (type Bundle), listed when
	// the kick-off has _since, as the IG has it. They are filtered by [File].Changed, and by
	// _type: a Bundle stays if one of its deletes is of a type that is asked for.
	Deleted Data

	// Errors are the files of the manifest's error section (type OperationOutcome),
	// never filtered.
	Errors Data

	// Addr to listen on, host:port. Default 127.0.0.1:0, a free port that only this
	// machine can reach.
	Addr string

	// ClientID, ClientSecret and Scope are what the token endpoint wants, Scope
	// verbatim. Defaults: the constants above.
	ClientID, ClientSecret, Scope string

	// TokenTTL is how long a token is good, on the clock Now. Default 5 minutes, the
	// most that SMART Backend Services advises. Clients are told whole seconds.
	TokenTTL time.Duration

	// NoAuth lets everything be asked without a token; the manifest says
	// requiresAccessToken false. The token endpoint works as ever.
	NoAuth bool

	// OpenFiles makes the files' links capability URLs: the manifest says
	// requiresAccessToken false, and a file that is asked for with an Authorization header
	// answers 400 with S3's XML, as presigned storage does.
	OpenFiles bool

	// Polls is how many status requests of a job answer 202, at least, before one gets
	// the manifest. Once they are spent, a status request waits up to a second for the
	// counting to end, so that with little data there are exactly that many.
	Polls int

	// Duration is how long after its kick-off a job is in progress, at least, on the
	// clock Now.
	Duration time.Duration

	// RetryAfter is what a 202 advises, rounded up to whole seconds. The default is
	// "Retry-After: 0", so that tests need not wait; a server that people look at wants a
	// second. A negative one sends no such header.
	RetryAfter time.Duration

	// FilesTTL is how long a complete export can be fetched, on the clock Now: the
	// manifest's Expires header; later, status URL and files answer 410. Default 1 hour.
	FilesTTL time.Duration

	// Faults are names of [KnownFaults] that the server plays from its start, on every
	// export. Of several at one endpoint those that pass come first, and of those that
	// last, the first one named plays alone.
	Faults []string

	// TransactionTime is asked at each kick-off, before Data is, for the manifest's
	// transactionTime. Default: Now, cut to milliseconds.
	TransactionTime func() time.Time

	// Now is the clock for all but network timeouts. Default time.Now.
	Now func() time.Time

	// Log gets a line per request at level Debug, without headers and bodies. Nil
	// discards them.
	Log *slog.Logger

	// storage has the server listen at a second origin too, for the faults that need one.
	storage bool
}

// withDefaults fills what the caller left out.
func (o Options) withDefaults() Options {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.ClientID = cmp.Or(o.ClientID, DefaultClientID)
	o.ClientSecret = cmp.Or(o.ClientSecret, DefaultClientSecret)
	o.Scope = cmp.Or(o.Scope, DefaultScope)
	o.TokenTTL = cmp.Or(o.TokenTTL, 5*time.Minute)
	o.FilesTTL = cmp.Or(o.FilesTTL, time.Hour)
	if o.Data == nil {
		o.Data = Files(nil)
	}
	if o.Deleted == nil {
		o.Deleted = Files(nil)
	}
	if o.Errors == nil {
		o.Errors = Files(nil)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TransactionTime == nil {
		now := o.Now
		o.TransactionTime = func() time.Time { return now().UTC().Truncate(time.Millisecond) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Server is a running Bulk Data server. All methods may be called from any goroutine.
type Server struct {
	o       Options
	url     string
	storage string // URL of the second origin, "" if there is none
	mux     *http.ServeMux
	http    *http.Server

	stop   context.CancelFunc // ends counting and what waits in handlers
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
		ErrorLog:          log.New(io.Discard, "", 0), // clients that hang up are daily bread here
	}
	s.play(known)
	for _, l := range listeners {
		s.served.Go(func() {
			_ = s.http.Serve(l) // always ErrServerClosed or the listener's own end
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
		_ = first.Close() // nobody has used it
		return nil, err
	}
	return []net.Listener{first, second}, nil
}

// reachable is the URL by which this machine reaches a listener; one on all addresses
// does not name any.
func reachable(addr net.Addr) string {
	host, port, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Close stops the server: it cuts all connections, cancels jobs, and waits until every
// goroutine of the server has ended. A [File] whose reader blocks holds it up. Closing
// again does nothing.
func (s *Server) Close() {
	s.close.Do(func() {
		s.stop()
		_ = s.http.Close()
		s.served.Wait()
		_ = s.http.Close() // a connection accepted while the first Close ran
		s.active.Wait()
	})
}

// track counts connections, so that Close can wait for them. A handler is counted while
// its connection still is, so the count cannot touch zero in between.
func (s *Server) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.active.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.active.Done()
	}
}

// URL is the server's root, http://host:port, as this machine reaches it. The links that
// the server hands out name the host that the client asked for.
func (s *Server) URL() string { return s.url }

// StorageURL is the server's second origin, http://host:port, where some of
// [KnownFaults] have the output files: links there must be followed without a token. ""
// if no fault needs one.
func (s *Server) StorageURL() string { return s.storage }

// FHIR is the base URL of the FHIR endpoint. Kick-offs go to /$export, /Patient/$export
// and /Group/[id]/$export below it, by GET or by POST with a Parameters resource. They
// may have
//
//   - _type: R4 resource types;
//   - _since, _until: an instant, or a date as 1upHealth documents it; compared with
//     [File].Changed, or else meta.lastUpdated, where a resource without one is always
//     exported;
//   - _outputFormat: application/fhir+ndjson, application/ndjson, ndjson;
//   - _elements: root elements, with resourceType, id, meta and the mandatory elements of
//     common types kept, and the tag SUBSETTED added; a type for which no element is
//     named stays whole;
//   - _typeFilter: Type?param=value&..., where param is _id, _lastUpdated, patient, subject,
//     identifier, status, clinical-status, lifecycle-status, code, vaccine-code, type,
//     category, class, intent, use, or the date of a common type, such as service-date of
//     ExplanationOfBenefit and date of Observation, with eq, ge, gt, le, lt;
//   - patient: by POST, at the levels Patient and Group; someone who is not in the group
//     is refused, someone whom the server does not know has nothing to export.
//
// Anything else answers 400 with an OperationOutcome; Prefer: handling=lenient has what
// is not supported ignored and told in the manifest's error section. Repeated
// parameters and comma lists are the same.
//
// The levels Patient and Group export the resources of R4's patient compartment, and
// Practitioner, PractitionerRole, Organization and Location, which have no patient, whole.
// Device is in it by its patient. A Provenance goes with a patient that is among its
// targets; one whose targets are that patient's other resources alone stays out of a Group.
// Group resources stay out, since they name other people. Members are all Patients that
// the Group with that id lists, former and inactive ones too, as 1upHealth does it;
// groups within groups are not followed.
//
// GET /Group searches the Groups, by identifier and _id, in pages of _count (10) linked by
// next; any other parameter answers 400.
func (s *Server) FHIR() string { return s.url + "/fhir" }

// TokenURL is the token endpoint. It takes grant_type=client_credentials with client_id,
// client_secret and scope in a form, by POST, and by GET with a form as its body, because
// 1upHealth documents it so. Errors are RFC 6749's, section 5.2.
func (s *Server) TokenURL() string { return s.url + TokenPath }

// ExpireTokens makes all tokens that were issued up to now bad, as a server does that
// revokes them early.
func (s *Server) ExpireTokens() { s.tokens.clear() }

// randomID is not to be guessed: whoever knows a job's or a file's id may need no more.
func randomID() string { return rand.Text() }
