package bulk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"fhirkiln/transport"
)

const (
	maxSearchPages = 1_000    // 1upHealth's have ten Groups each, unless _count asks for more
	maxGroups      = 10_000   // matches of one search
	maxSearchPage  = 64 << 20 // in bytes; 1upHealth's Groups may have 400 KB each
)

const searchingGroups = "searching for groups"

// Groups searches the server's Groups (FHIR R4, "Search") and returns the ids of all
// matches, sorted and without duplicates. search is the part after the base URL, such as
// "Group?identifier=1234567893", escaped or not. Finding no match is not an error.
//
// Groups asks the server not to ignore parameters that it does not know (Prefer:
// handling=strict), which would make every Group a match. If the server's self link shows
// that it ignored one anyway, Groups fails.
//
// A result must be complete: if one page fails, Groups fails. Each page is retried as
// Options.Retry says.
func (c *Client) Groups(ctx context.Context, search string) ([]string, error) {
	params, found := strings.CutPrefix(search, "Group?")
	asked, err := url.ParseQuery(params)
	if !found || err != nil || len(asked) == 0 {
		return nil, errors.New("bulk: the search for groups must have the form Group?identifier=value") // does not quote search, which may name people
	}
	var ids []string
	seen := map[string]bool{}
	// Encode writes | as %7C; 1upHealth's gateway refuses a bare |.
	for next := c.base.String() + "/Group?" + asked.Encode(); next != ""; {
		broken := func(format string, args ...any) error {
			return &transport.Error{Kind: transport.Broken, Doing: searchingGroups, URL: next, Err: fmt.Errorf(format, args...), Hint: "ask the server's owner"}
		}
		if seen[next] {
			return nil, broken("the pages link back to one already read")
		}
		if len(seen) == maxSearchPages {
			return nil, broken("the result has more than %d pages", maxSearchPages)
		}
		seen[next] = true
		if err := c.mayAuthorize(next); err != nil {
			return nil, &transport.Error{Kind: transport.Broken, Doing: searchingGroups, URL: c.base.String(), Err: err,
				Hint: hintElsewhere(err)}
		}
		p, err := c.searchPage(ctx, next)
		if err != nil {
			return nil, err
		}
		if ignored := p.ignored(asked); len(seen) == 1 && ignored != "" {
			return nil, &transport.Error{Kind: transport.Refused, Doing: searchingGroups, URL: next,
				Err: fmt.Errorf("the server ignored the parameter %s, so it would return too many groups", transport.Words(ignored)), Hint: hintSearch}
		}
		if ids = append(ids, p.groups...); len(ids) > maxGroups {
			return nil, broken("more than %d groups match", maxGroups)
		}
		if next, err = p.nextPage(); err != nil {
			return nil, broken("%w", err)
		}
		if next == "" && p.total > len(ids) {
			return nil, broken("the server says that %d groups match, but lists %d", p.total, len(ids))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

const hintSearch = "check group_search against the server's CapabilityStatement, or list the groups by id"

// searchPage fetches one page of a result.
func (c *Client) searchPage(ctx context.Context, from string) (*bundle, error) {
	resp, err := c.send(ctx, c.retrying, request{doing: searchingGroups, //nolint:bodyclose // failure and what follows close it
		method: http.MethodGet, url: from,
		header: http.Header{"Accept": {"application/fhir+json"}, "Prefer": {"handling=strict"}}})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		e := failure(searchingGroups, from, resp)
		if e.Kind == transport.NotThere || e.Kind == transport.Refused {
			e.Hint = hintSearch
		}
		return nil, e
	}
	at := resp.Request.URL
	body, err := transport.ReadBody(resp, maxSearchPage)
	if errors.Is(err, transport.ErrTooLong) {
		return nil, &transport.Error{Kind: transport.Broken, Doing: searchingGroups, URL: from, Status: resp.StatusCode, Err: err,
			Hint: "ask for smaller pages: add _count to group_search"}
	}
	if err != nil {
		return nil, transport.NoAnswer(ctx, searchingGroups, from, err)
	}
	e := &transport.Error{Kind: transport.Broken, Doing: searchingGroups, URL: from, Status: resp.StatusCode, Hint: "ask the server's owner"}
	b := &bundle{at: at}
	if looksLikeMarkup(body) {
		e.Kind, e.Err, e.Hint = transport.NotThere, errors.New("got a web page instead of a Bundle"), "check the source's fhir: URL, and look for a proxy or login page in between"
		return nil, e
	}
	err = b.read(body)
	if o, ok := parseOutcome(body); ok {
		e.Kind, e.Said, e.Hint = transport.Refused, transport.WithoutSent(resp, o.String()), hintSearch
		if o.Transient() {
			e.Kind, e.Hint = transport.Unavailable, "run again later"
		}
		return nil, e
	}
	if err != nil || b.typ != "Bundle" {
		e.Err = errors.New("the response is not a Bundle")
		return nil, e
	}
	if b.bad != nil {
		e.Err = b.bad
		return nil, e
	}
	return b, nil
}

// bundle is the part of a searchset Bundle's page that is used.
type bundle struct {
	at         *url.URL // where it came from
	typ        string   // its resourceType
	total      int      // of all pages, 0 if unknown
	self, next string   // links, "" if absent
	groups     []string // ids of its matches
	entries    int
	bad        error // why the page is unusable
}

// read reads a page entry by entry, up to an entry that makes it unusable.
func (b *bundle) read(body []byte) error {
	d := plainJSON(body)
	return eachMember(d, func(name string) (err error) {
		switch name {
		case "resourceType":
			b.typ, err = readText(d)
		case "total":
			var v jsontext.Value
			if v, err = d.ReadValue(); err == nil {
				err = json.Unmarshal(v, &b.total)
			}
		case "link":
			err = eachElement(d, b.link)
		case "entry":
			err = eachElement(d, func(v jsontext.Value) error {
				if b.entries++; b.bad == nil {
					b.bad = b.entry(v)
				}
				return nil
			})
		default:
			err = d.SkipValue()
		}
		return err
	})
}

// link keeps the first self and the first next link.
func (b *bundle) link(v jsontext.Value) error {
	var l struct {
		Relation string `json:"relation"`
		URL      string `json:"url"`
	}
	if err := json.Unmarshal(v, &l); err != nil {
		return err
	}
	switch l.Relation {
	case "self":
		b.self = cmp.Or(b.self, l.URL)
	case "next":
		b.next = cmp.Or(b.next, l.URL)
	}
	return nil
}

// entry reads the page's next entry. An error means that the page is unusable.
func (b *bundle) entry(v jsontext.Value) error {
	var e struct {
		Resource struct {
			ResourceType string `json:"resourceType"`
			ID           string `json:"id"`
			Issue        []struct {
				Severity string `json:"severity"`
			} `json:"issue"`
		} `json:"resource"`
		Search struct {
			Mode string `json:"mode"`
		} `json:"search"`
	}
	if len(v) > maxEntry {
		return fmt.Errorf("entry %d of the result is longer than %d bytes", b.entries, maxEntry)
	}
	if err := json.Unmarshal(v, &e); err != nil {
		return fmt.Errorf("entry %d of the result is unreadable: %w", b.entries, transport.WordsOf(err))
	}
	switch r := e.Resource; {
	case r.ResourceType == "OperationOutcome":
		for _, i := range r.Issue {
			if (Issue{Severity: i.Severity}).Failed() {
				return errors.New("the result contains errors, so groups may be missing")
			}
		}
	case e.Search.Mode == "include" || e.Search.Mode == "outcome":
	case r.ResourceType != "Group":
		return fmt.Errorf("entry %d of the result is not a Group", b.entries)
	case !isGroupID(r.ID):
		return fmt.Errorf("entry %d of the result has no usable id", b.entries)
	case len(b.groups) == maxGroups:
		return fmt.Errorf("more than %d groups match", maxGroups)
	default:
		b.groups = append(b.groups, r.ID)
	}
	return nil
}

// isGroupID reports whether id is one that FHIR allows, or has the _ or the length that some
// servers use in addition.
func isGroupID(id string) bool {
	if id == "" || len(id) > 128 || id[0] == '.' {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

// nextPage returns the URL of the next page, "" after the last.
func (b *bundle) nextPage() (string, error) {
	if b.next == "" {
		return "", nil
	}
	u, err := b.at.Parse(b.next)
	if err != nil || u.Host == "" {
		return "", errors.New("the next page has an unreadable URL")
	}
	u.RawQuery, u.Fragment = strings.ReplaceAll(u.RawQuery, "|", "%7C"), "" // required by 1upHealth, although its own links have a bare |
	return u.String(), nil
}

// ignored returns a parameter that the server did not use according to its self link, or "".
// A link without a query says nothing.
func (b *bundle) ignored(asked url.Values) string {
	self, err := url.Parse(b.self)
	if err != nil || self.RawQuery == "" {
		return ""
	}
	used := self.Query()
	for name := range asked {
		if plain, _, _ := strings.Cut(name, ":"); !strings.HasPrefix(name, "_") && !used.Has(name) && !used.Has(plain) {
			return name
		}
	}
	return ""
}
