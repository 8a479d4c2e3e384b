package bulktest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// groupSearch answers a FHIR search for Groups. It refuses what it does not support, whatever
// Prefer says: a client that meant to restrict the result must know.
func (s *Server) groupSearch(w http.ResponseWriter, r *http.Request) error {
	if err := s.authorize(r); err != nil {
		return err
	}
	if !listed(r.Header, "Accept", "application/fhir+json", "application/*", "*/*") {
		return badRequest("the Accept header must allow application/fhir+json")
	}
	if strings.Contains(r.URL.RawQuery, "|") { // like 1upHealth's gateway
		return badRequest("| must be written %7C")
	}
	given, err := givenParameters(r)
	if err != nil {
		return err
	}
	q, count, offset := query{typ: "Group"}, 10, 0
	used := url.Values{}
	for _, p := range given {
		switch p.name {
		case "identifier", "_id":
			c, err := parseClause("Group", p.name, strings.Split(p.value, ","))
			if err != nil {
				return badRequest(err.Error())
			}
			q.clauses = append(q.clauses, c)
			used.Add(p.name, p.value)
		case "_count":
			if count, err = strconv.Atoi(p.value); err != nil || count < 1 || count > 100 {
				return badRequest("_count must be 1 to 100")
			}
			used.Set(p.name, p.value)
		case "_skip":
			if offset, err = strconv.Atoi(p.value); err != nil || offset < 0 {
				return badRequest("_skip must be a number")
			}
		default:
			return refuse(http.StatusBadRequest, "not-supported", "the search parameter "+p.name+" is not supported")
		}
	}
	found, err := s.matches(r, q)
	if err != nil {
		return err
	}
	page := searchset{ResourceType: "Bundle", Type: "searchset", Total: len(found)}
	at := linkBase(r) + "/fhir/Group?"
	link := func(relation string, skip int) {
		params := url.Values{}
		maps.Copy(params, used)
		if skip > 0 {
			params.Set("_skip", strconv.Itoa(skip))
		}
		page.Link = append(page.Link, searchLink{relation, at + params.Encode()})
	}
	link("self", offset)
	found = found[min(offset, len(found)):]
	if len(found) > count {
		found = found[:count]
		link("next", offset+count)
	}
	for _, line := range found {
		e := searchEntry{Resource: line}
		e.Search.Mode = "match"
		page.Entry = append(page.Entry, e)
	}
	writeJSON(w, http.StatusOK, "application/fhir+json", page)
	return nil
}

// matches returns the Groups that a search finds, in the order of the data.
func (s *Server) matches(r *http.Request, q query) ([]json.RawMessage, error) {
	var found []json.RawMessage
	for _, f := range s.o.Data.Files() {
		if f.Type != "Group" {
			continue
		}
		o := output{File: f}
		err := o.each(r.Context(), func(line []byte) error {
			ok, err := q.holds(line)
			if ok {
				found = append(found, slices.Clone(line))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// searchset is a page of a search result.
type searchset struct {
	ResourceType string        `json:"resourceType"`
	Type         string        `json:"type"`
	Total        int           `json:"total"`
	Link         []searchLink  `json:"link"`
	Entry        []searchEntry `json:"entry,omitempty"`
}

type searchLink struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type searchEntry struct {
	Resource json.RawMessage `json:"resource"`
	Search   struct {
		Mode string `json:"mode"`
	} `json:"search"`
}
