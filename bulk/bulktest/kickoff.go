package bulktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// level says whose data a kick-off asks for.
type level int

const (
	systemLevel level = iota
	patientLevel
	groupLevel
)

// kickOff starts a job, or says what it does not support.
func (s *Server) kickOff(l level) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := s.authorize(r); err != nil {
			return err
		}
		if !listed(r.Header, "Accept", "application/fhir+json", "application/*", "*/*") {
			return badRequest("the Accept header must allow application/fhir+json")
		}
		if !listed(r.Header, "Prefer", "respond-async") {
			return badRequest("the header Prefer: respond-async is missing")
		}
		given, err := givenParameters(r)
		if err != nil {
			return err
		}
		asked := selection{level: l, post: r.Method == http.MethodPost}
		if err := asked.parse(given, listed(r.Header, "Prefer", "handling=lenient")); err != nil {
			return err
		}
		j, err := s.newJob(r, asked)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(s.ctx)
		j.cancel = cancel
		s.jobs.add(j)
		s.active.Go(func() { // this handler counts, too, so Close is still waiting
			defer cancel()
			j.prepare(ctx, s.o.Now)
		})
		w.Header().Set("Content-Location", linkBase(r)+statusPath+j.id)
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
}

// newJob plans the outputs of a kick-off.
func (s *Server) newJob(r *http.Request, asked selection) (*job, error) {
	// First the time, then the data: what changes in between is exported, not lost.
	j := &job{
		id: randomID(), request: linkBase(r) + r.URL.RequestURI(),
		transaction: s.o.TransactionTime(), started: s.o.Now(), done: make(chan struct{}),
	}
	files := s.o.Data.Files()
	people, err := whose(r.Context(), files, asked, r.PathValue("group"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if asked.wants(f.Type) {
			j.outputs = append(j.outputs, j.output(f, asked.filter(f, people)))
		}
	}
	if !asked.since.IsZero() {
		for _, f := range s.o.Deleted.Files() {
			j.deleted = append(j.deleted, j.output(f, asked.deletedFilter(f)))
		}
	}
	for _, f := range s.o.Errors.Files() {
		j.errors = append(j.errors, j.output(f, nil))
	}
	if ignored := asked.ignoredOutcomes(); len(ignored) > 0 {
		j.errors = append(j.errors, j.output(Lines("OperationOutcome", ignored...), nil))
	}
	return j, nil
}

// whose returns the ids of the patients whose data is wanted, or nil for everybody's.
func whose(ctx context.Context, files []File, asked selection, group string) (map[string]bool, error) {
	if asked.level != groupLevel {
		return asked.patients, nil
	}
	members, err := groupMembers(ctx, files, group)
	if err != nil || asked.patients == nil {
		return members, err
	}
	for id := range asked.patients {
		if !members[id] {
			return nil, badRequest("Patient/" + id + " is not a member of the group")
		}
	}
	return asked.patients, nil
}

// groupMembers finds the Group with that id and returns the ids of its Patients.
func groupMembers(ctx context.Context, files []File, id string) (map[string]bool, error) {
	members, found := make(map[string]bool), errors.New("found")
	for _, f := range files {
		if f.Type != "Group" {
			continue
		}
		o := output{File: f}
		err := o.each(ctx, func(line []byte) error {
			if ok, err := anyText(line, "id", func(s string) bool { return s == id }); !ok {
				return err
			}
			err := lookup(line, []string{"member", "entity", "reference"}, func(v jsontext.Value) error {
				if patient, ok := patientID(text(v)); ok {
					members[patient] = true
				}
				return nil
			})
			if err != nil {
				return err
			}
			return found
		})
		if errors.Is(err, found) {
			return members, nil
		}
		if err != nil {
			return nil, fmt.Errorf("looking for the group: %w", err)
		}
	}
	return nil, refuse(http.StatusNotFound, "not-found", "there is no Group/"+id)
}

// parameter is a name and value as sent by the client.
type parameter struct{ name, value string }

// givenParameters returns a kick-off's parameters, from the URL of a GET or the Parameters
// resource of a POST.
func givenParameters(r *http.Request) ([]parameter, error) {
	if r.Method == http.MethodPost {
		return postedParameters(r)
	}
	var given []parameter
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if pair == "" {
			continue
		}
		name, value, err := unescapePair(pair)
		if err != nil {
			return nil, badRequest("the query is malformed: " + err.Error())
		}
		given = append(given, parameter{name, value})
	}
	return given, nil
}

func postedParameters(r *http.Request) ([]parameter, error) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != "application/fhir+json" && media != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, "not-supported", "the Content-Type must be application/fhir+json")
	}
	if r.URL.RawQuery != "" {
		return nil, badRequest("a POST has its parameters in the Parameters resource, not in the URL")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, badRequest("the body cannot be read")
	}
	var in struct {
		ResourceType string                       `json:"resourceType"`
		Parameter    []map[string]json.RawMessage `json:"parameter"` // maps, since value[x] has many names
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, badRequest("the body is not a Parameters resource: " + err.Error())
	}
	if in.ResourceType != "Parameters" {
		return nil, badRequest("the body must be a Parameters resource")
	}
	var given []parameter
	for i, p := range in.Parameter {
		var name string
		if json.Unmarshal(p["name"], &name) != nil || name == "" {
			return nil, badRequest("parameter " + strconv.Itoa(i) + " has no name")
		}
		value, ok := parameterValue(p)
		if !ok {
			return nil, badRequest("parameter " + name + " has no readable value")
		}
		given = append(given, parameter{name, value})
	}
	return given, nil
}

// parameterValue returns a parameter's value[x]: a string, the reference of a Reference, or a
// number or boolean as written.
func parameterValue(p map[string]json.RawMessage) (string, bool) {
	for key, raw := range p {
		if !strings.HasPrefix(key, "value") {
			continue
		}
		var reference struct {
			Reference string `json:"reference"`
		}
		var s string
		switch {
		case key == "valueReference":
			err := json.Unmarshal(raw, &reference)
			return reference.Reference, err == nil && reference.Reference != ""
		case raw[0] == '{' || raw[0] == '[':
			return "", false
		case json.Unmarshal(raw, &s) == nil && raw[0] == '"':
			return s, true
		default:
			return string(raw), true
		}
	}
	return "", false
}

// linkBase returns the start of absolute links: the host that the client asked for, which is
// also right behind a port mapping.
func linkBase(r *http.Request) string { return "http://" + r.Host }

func badRequest(text string) *refusal { return refuse(http.StatusBadRequest, "invalid", text) }

// listed reports whether a header with a comma list contains one of the values, ignoring case
// and parameters. Items with q=0 do not count.
func listed(h http.Header, name string, values ...string) bool {
	for item := range strings.SplitSeq(strings.Join(h.Values(name), ","), ",") {
		item, params, _ := strings.Cut(strings.NewReplacer(" ", "", `"`, "").Replace(item), ";")
		if !slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(item, v) }) {
			continue
		}
		if !slices.ContainsFunc(strings.Split(params, ";"), refuses) {
			return true
		}
	}
	return false
}

// refuses reports whether a parameter of a header's item is q=0, in one of its spellings.
func refuses(param string) bool {
	q, ok := strings.CutPrefix(strings.ToLower(param), "q=")
	weight, err := strconv.ParseFloat(q, 64)
	return ok && err == nil && weight == 0
}
