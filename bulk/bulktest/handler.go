package bulktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// maxBody is the maximum size of a request's body, in bytes. A kick-off with a hundred thousand
// patients fits.
const maxBody = 8 << 20

// handler answers a request, or returns an error that becomes an OperationOutcome.
type handler func(w http.ResponseWriter, r *http.Request) error

func (s *Server) routes() {
	s.mux, s.endpoints = http.NewServeMux(), make(map[string]Endpoint)
	route := func(pattern string, e Endpoint, methods map[string]handler) {
		s.endpoints[pattern] = e
		s.mux.Handle(pattern, byMethod(methods))
	}
	kickOff := func(l level) map[string]handler {
		return map[string]handler{http.MethodGet: s.kickOff(l), http.MethodPost: s.kickOff(l)}
	}
	route(TokenPath, TokenEndpoint, map[string]handler{http.MethodGet: s.token, http.MethodPost: s.token})
	route("/fhir/$export", KickOffEndpoint, kickOff(systemLevel))
	route("/fhir/Patient/$export", KickOffEndpoint, kickOff(patientLevel))
	route("/fhir/Group/{group}/$export", KickOffEndpoint, kickOff(groupLevel))
	route("/fhir/Group", SearchEndpoint, map[string]handler{http.MethodGet: s.groupSearch})
	route(statusPath+"{job}", StatusEndpoint, map[string]handler{http.MethodGet: s.status, http.MethodDelete: s.deleteJob})
	route(filePath+"{job}/{file}", FileEndpoint, map[string]handler{http.MethodGet: s.file})
	s.mux.Handle("/", answer(func(http.ResponseWriter, *http.Request) error {
		return refuse(http.StatusNotFound, "not-found", "there is nothing at this path")
	}))
}

// serve is the outermost handler: it reads the body, writes the log and plays faults.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.active.Add(1)
	defer s.active.Done()

	// Read the body at once: the log needs it, and net/http only notices that a client has
	// gone when nothing is left to read.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	r.Body = io.NopCloser(bytes.NewReader(body))

	_, pattern := s.mux.Handler(r)
	endpoint := s.endpoints[pattern]
	if endpoint == StatusEndpoint && r.Method == http.MethodDelete {
		endpoint = DeleteEndpoint
	}
	var fault *injected
	if err == nil {
		fault = s.faults.next(endpoint, r)
	}
	rec := &recorder{ResponseWriter: w, log: &s.requests}
	rec.entry = s.requests.add(endpoint, fault.name(), r, body, s.o.Now())
	defer func() {
		s.o.Log.Debug("bulktest request", slog.String("endpoint", string(endpoint)), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", rec.status), slog.String("fault", fault.name()))
	}()

	switch {
	case err != nil:
		sendOutcome(rec, refuse(http.StatusRequestEntityTooLarge, "too-long", "the body is too large or was cut off"))
	case fault != nil:
		fault.Do(rec, r, s.mux)
	default:
		s.mux.ServeHTTP(rec, r)
	}
}

// byMethod answers 405 to methods that are not in the map.
func byMethod(methods map[string]handler) http.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	return answer(func(w http.ResponseWriter, r *http.Request) error {
		h, ok := methods[r.Method]
		if !ok {
			w.Header().Set("Allow", allow)
			return refuse(http.StatusMethodNotAllowed, "not-supported", "only "+allow+" here")
		}
		return h(w, r)
	})
}

// answer turns h into an [http.Handler]. A failure after the first byte cuts the connection,
// since nothing else can tell the client that the answer is incomplete.
func answer(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tracked := &recorder{ResponseWriter: w}
		err := h(tracked, r)
		if err == nil {
			return
		}
		if tracked.status != 0 {
			panic(http.ErrAbortHandler)
		}
		sendOutcome(w, err)
	})
}

// refusal is an error that is answered with its OperationOutcome.
type refusal struct {
	status int
	code   string // from http://hl7.org/fhir/R4/valueset-issue-type.html
	text   string
}

func (e *refusal) Error() string { return e.text }

func refuse(status int, code, text string) *refusal {
	return &refusal{status, code, text}
}

// outcome is an OperationOutcome with one issue.
type outcome struct {
	ResourceType string  `json:"resourceType"`
	Issue        []issue `json:"issue"`
}

type issue struct {
	Severity    string `json:"severity"`
	Code        string `json:"code"`
	Diagnostics string `json:"diagnostics"`
}

func newOutcome(severity, code, text string) outcome {
	return outcome{"OperationOutcome", []issue{{severity, code, text}}}
}

// sendOutcome answers with err: a [refusal] as it says, anything else as a permanent 500.
func sendOutcome(w http.ResponseWriter, err error) {
	var e *refusal
	if !errors.As(err, &e) {
		e = refuse(http.StatusInternalServerError, "processing", err.Error())
	}
	h := w.Header()
	h.Del("Content-Encoding")
	h.Del("Expires")
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="bulktest", error="invalid_token"`)
	}
	writeJSON(w, e.status, "application/fhir+json", newOutcome("error", e.code, e.text))
}

// writeJSON sends v, which must be a type that always marshals.
func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false) // people read the URLs
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("bulktest: encoding %T: %v", v, err))
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
