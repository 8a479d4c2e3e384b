package bulk

import (
	"context"
	"errors"
	"net/url"
	"sync"

	"fhirkiln/transport"
)

// Refresh reads a manifest again after its links have expired: servers may then hand out
// new links (IG 3.0.0, "Response - Complete Status"). In the returned manifest, each file has
// the same index as in m. If the files do not match one to one, Refresh returns an error of
// kind Broken, because the manifest may be of another export.
func (c *Client) Refresh(ctx context.Context, m *Manifest) (*Manifest, error) {
	if m.StatusURL == "" {
		return nil, errors.New("bulk: this manifest cannot be read again: its StatusURL is missing")
	}
	again, err := c.Wait(ctx, Job{StatusURL: m.StatusURL, SeparateStatus: m.SeparateStatus}, nil)
	if err != nil {
		return nil, err
	}
	broken := func(why string) error {
		return &transport.Error{Kind: transport.Broken, Doing: "reading the manifest again", URL: m.StatusURL, Err: errors.New(why),
			Hint: "run again to start another export"}
	}
	if again.TransactionTimeText != m.TransactionTimeText {
		return nil, broken("its transactionTime has changed")
	}
	fresh := *again
	for _, lists := range []struct{ was, is, to *[]File }{
		{&m.Output, &again.Output, &fresh.Output}, {&m.Deleted, &again.Deleted, &fresh.Deleted}, {&m.Errors, &again.Errors, &fresh.Errors},
	} {
		matched, ok := match(*lists.was, *lists.is)
		if !ok {
			return nil, broken("it now lists different files")
		}
		*lists.to = matched
	}
	return &fresh, nil
}

// Identity returns what stays the same when a file's link is renewed: its type, and its URL
// without the query, which holds signatures.
func (f File) Identity() string {
	u, err := url.Parse(f.URL)
	if err != nil {
		return f.Type + " " + f.URL
	}
	u.RawQuery, u.Fragment = "", ""
	return f.Type + " " + u.String()
}

// match puts the files of is in the order of was. It matches by URL first, because some servers
// distinguish files by the query alone. It matches the rest by identity, or by index if
// identities are ambiguous or new. Type, count and SHA-256 must agree.
func match(was, is []File) ([]File, bool) {
	if len(was) != len(is) {
		return nil, false
	}
	type link struct{ typ, url string }
	byURL := make(map[link]int, len(is))
	for i, f := range is {
		byURL[link{f.Type, f.URL}] = i
	}
	matched, taken := make([]File, len(was)), make([]bool, len(is))
	var rest []int
	for i, f := range was {
		if at, ok := byURL[link{f.Type, f.URL}]; ok && !taken[at] {
			matched[i], taken[at] = is[at], true
		} else {
			rest = append(rest, i)
		}
	}
	var others []File
	var places []int // of others
	for i, f := range is {
		if !taken[i] {
			others, places = append(others, f), append(places, i)
		}
	}
	if !matchRenewed(was, rest, others, places, matched) {
		return nil, false
	}
	for i, f := range matched {
		if f.Type != was[i].Type || f.Count != was[i].Count || f.SHA256 != was[i].SHA256 {
			return nil, false
		}
	}
	return matched, true
}

// matchRenewed matches was[i], for each i in rest, to one of is, and stores it in matched[i].
// is has the same length as rest, and places holds its indexes in the new manifest.
func matchRenewed(was []File, rest []int, is []File, places []int, matched []File) bool {
	byIdentity := make(map[string]File, len(is))
	for _, f := range is {
		byIdentity[f.Identity()] = f
	}
	used := make(map[string]bool, len(is))
	for _, i := range rest {
		id := was[i].Identity()
		fresh, ok := byIdentity[id]
		if !ok || used[id] || len(byIdentity) != len(is) {
			return samePlaces(was, rest, is, places, matched, byIdentity)
		}
		used[id], matched[i] = true, fresh
	}
	return true
}

// samePlaces matches the files in order. It reports false if a file with a new identity has
// moved to another index, or if a file's old identity occurs elsewhere in is.
func samePlaces(was []File, rest []int, is []File, places []int, matched []File, known map[string]File) bool {
	for n, i := range rest {
		if id := was[i].Identity(); id != is[n].Identity() {
			if _, elsewhere := known[id]; elsewhere || places[n] != i {
				return false
			}
		}
		matched[i] = is[n]
	}
	return true
}

// renewals are the manifests that have been read again, by status URL.
type renewals struct {
	mu       sync.Mutex
	byStatus map[string]*renewal
}

// renewal is the newest version of a manifest. All streams share it, because when one link has
// expired, all have.
type renewal struct {
	turn   chan struct{} // holds one value while somebody reads the manifest
	latest *Manifest
}

func (r *renewals) of(status string) *renewal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byStatus == nil {
		r.byStatus = make(map[string]*renewal)
	}
	if r.byStatus[status] == nil {
		r.byStatus[status] = &renewal{turn: make(chan struct{}, 1)}
	}
	return r.byStatus[status]
}

// drop forgets a manifest whose files are no longer read.
func (r *renewals) drop(status string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byStatus, status)
}

// renew returns a newer manifest and, from it, the file that m lists as f, with a link other
// than stale. If the server has no other link, it returns stale again.
func (c *Client) renew(ctx context.Context, m *Manifest, f File, stale string) (*Manifest, File, error) {
	r := c.renewals.of(m.StatusURL)
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, f, context.Cause(ctx)
	}
	if r.latest != nil {
		if now, ok := counterpart(m, r.latest, f); ok && now.URL != stale {
			return r.latest, now, nil
		}
	}
	latest, err := c.Refresh(ctx, m)
	if err != nil {
		return nil, f, err
	}
	r.latest = latest
	now, ok := counterpart(m, latest, f)
	if !ok {
		return nil, f, errors.New("bulk: the file is not in this manifest")
	}
	c.log.Info("a link had expired; the manifest was read again", "type", f.Type, "renewed", now.URL != stale)
	return latest, now, nil
}

// counterpart returns the file that has the same index in fresh as f has in m.
func counterpart(m, fresh *Manifest, f File) (File, bool) {
	for _, lists := range [][2][]File{{m.Output, fresh.Output}, {m.Deleted, fresh.Deleted}, {m.Errors, fresh.Errors}} {
		for i, g := range lists[0] {
			if g == f && i < len(lists[1]) {
				return lists[1][i], true
			}
		}
	}
	return f, false
}
