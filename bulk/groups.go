package bulk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fhirkiln/transport"
)

const (
	maxSearchPages = 1_000    // 1upHealth's have ten Groups each, unless _count asks for more
	maxGroups      = 10_000   // that one search may find
	maxSearchPage  = 64 << 20 // bytes; 1upHealth's Groups may have 400 KB each
)

const searchingGroups = "searching the groups"

// Groups searches the server's Groups (FHIR R4, "Search") and returns the ids of all
// that match, sorted, each once. search is what stands behind the base URL, such as
// "Group?identifier=1234567893"; it may be escaped or not. No match is no error.
//
// A server is asked not to pass over parameters that it does not know (Prefer:
// handling=strict), which would make every Group a match; one that does so all the same,
// and says so in its self link, is refused.
//
// Half a result is none: a page that fails fails the whole. Each page is asked for
// several times within Options.Retry.
func (c *Client) Groups(ctx context.Context, search string) ([]string, error) {
	params, found := strings.CutPrefix(search, "Group?")
	asked, err := url.ParseQuery(params)
	if !found || err != nil || len(asked) == 0 {
		return nil, errors.New("bulk: the search for groups is not like Group?identifier=value") // it may name people
	}
	var ids []string
	seen := map[string]bool{}
	// Encode writes | as %7C, without which 1upHealth's gateway refuses a search.
	for next := c.base.String() + "/Group?" + asked.Encode(); next != ""; {
		broken := func(format string, args ...any) error {
			return &transport.Error{Kind: transport.Broken, Doing: searchingGroups, URL: next, Err: fmt.Errorf(format, args...), Hint: "ask the server's owner"}
		}
		if seen[next] {
			return nil, broken("the pages link back to one that was read already")
		}
		if len(seen) == maxSearchPages {
			return nil, broken("the result has more than %d pages", maxSearchPages)
		}
		seen[next] = true
		if err := c.mayAuthorize(next); err != nil {
			return nil, &transport.Error{Kind: transport.Broken, Doing: searchingGroups, URL: c.base.String(), Err: err,
				Hint: "use the fhir: URL that the server uses of itself, or name that origin among those that the credentials are for"}
		}
		p, err := c.searchPage(ctx, next)
		if err != nil {
			return nil, err
		}
		if ignored := p.ignored(asked); len(seen) == 1 && ignored != "" {
			return nil, &transport.Error{Kind: transport.Refused, Doing: searchingGroups, URL: next,
				Err: fmt.Errorf("the server passed over the parameter %s, so that the groups would be too many", transport.Words(ignored)), Hint: hintSearch}
		}
		found, err := p.groups()
		if err != nil {
			return nil, broken("%w", err)
		}
		if ids = append(ids, found...); len(ids) > maxGroups {
			return nil, broken("more than %d groups match", maxGroups)
		}
		if next, err = p.next(); err != nil {
			return nil, broken("%w", err)
		}
		if next == "" && p.Total > len(ids) {
			return nil, broken("the server says that %d groups match, and lists %d", p.Total, len(ids))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

const hintSearch = "check group_search with the server's CapabilityStatement, or give the groups by id"

// searchPage asks for one page of a result.
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
		e.Kind, e.Err, e.Hint = transport.NotThere, errors.New("a web page came instead of a Bundle"), "check the source's fhir: URL, and for a proxy or a login page in between"
		return nil, e
	}
	if o, ok := parseOutcome(body); ok {
		e.Kind, e.Said, e.Hint = transport.Refused, withoutToken(resp, o.String()), hintSearch
		if o.Transient() {
			e.Kind, e.Hint = transport.Unavailable, "run again later"
		}
		return nil, e
	}
	if err := json.Unmarshal(bytes.TrimPrefix(body, []byte(utf8BOM)), b); err != nil || b.ResourceType != "Bundle" {
		e.Err = errors.New("the answer is no Bundle")
		return nil, e
	}
	return b, nil
}

// bundle is a page of a searchset Bundle, as far as it is read.
type bundle struct {
	at *url.URL // where it came from

	ResourceType string `json:"resourceType"`
	Total        int    `json:"total"` // of all pages, 0 if it is not told
	Link         []struct {
		Relation string `json:"relation"`
		URL      string `json:"url"`
	} `json:"link"`
	Entry []struct {
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
	} `json:"entry"`
}

// groups are the ids of the page's matches.
func (b *bundle) groups() ([]string, error) {
	var ids []string
	for n, e := range b.Entry {
		switch r := e.Resource; {
		case r.ResourceType == "OperationOutcome":
			for _, i := range r.Issue {
				if (Issue{Severity: i.Severity}).Failed() {
					return nil, errors.New("the result has errors in it, so that groups may be missing")
				}
			}
		case e.Search.Mode == "include" || e.Search.Mode == "outcome":
		case r.ResourceType != "Group":
			return nil, fmt.Errorf("entry %d of the result is no Group", n+1)
		case !isGroupID(r.ID):
			return nil, fmt.Errorf("entry %d of the result has no id that can be asked for", n+1)
		default:
			ids = append(ids, r.ID)
		}
	}
	return ids, nil
}

// isGroupID allows what FHIR does, and the _ and the length that servers do besides.
func isGroupID(id string) bool {
	if id == "" || len(id) > 128 || id[0] == '.' {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

// link is the page's link of a relation; "" if it has none.
func (b *bundle) link(relation string) string {
	for _, l := range b.Link {
		if l.Relation == relation {
			return l.URL
		}
	}
	return ""
}

// next is the URL of the next page, "" after the last.
func (b *bundle) next() (string, error) {
	raw := b.link("next")
	if raw == "" {
		return "", nil
	}
	u, err := b.at.Parse(raw)
	if err != nil || u.Host == "" {
		return "", errors.New("the next page has an unreadable URL")
	}
	u.RawQuery, u.Fragment = strings.ReplaceAll(u.RawQuery, "|", "%7C"), "" // as 1upHealth wants it, whatever it writes itself
	return u.String(), nil
}

// ignored is a parameter that the server says by its self link that it did not use. A
// link without a query says nothing.
func (b *bundle) ignored(asked url.Values) string {
	self, err := url.Parse(b.link("self"))
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
