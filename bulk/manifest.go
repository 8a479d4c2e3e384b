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
	"time"

	"fhirkiln/transport"
)

// maxManifest is how long one page of a manifest may be, in bytes. 100,000 files with
// signed URLs of 500 bytes are 50 MB.
const maxManifest = 128 << 20

// Manifest is what an export left at the server (IG, "Response - Complete Status").
type Manifest struct {
	// TransactionTime is the server's time up to which the export is complete. Zero if
	// the server gave none that can be read; TransactionTimeText is what it gave.
	TransactionTime     time.Time
	TransactionTimeText string

	// RequiresAccessToken says whether the files want the source's credential.
	RequiresAccessToken bool

	Output  []File // resources
	Deleted []File // Bundles of what was deleted since _since
	Errors  []File // OperationOutcomes: warnings, or what is missing
}

// File is one NDJSON file of a manifest.
type File struct {
	Type  string // resource type, cleaned by [transport.Clean]; OperationOutcome in Errors, Bundle in Deleted
	URL   string // absolute
	Count int64  // resources in it as the server counted them, -1 if it did not
}

// wireManifest is a page as servers write it. The types are loose where servers are.
type wireManifest struct {
	TransactionTime     string          `json:"transactionTime"`
	RequiresAccessToken json.RawMessage `json:"requiresAccessToken"`
	Output              []wireFile      `json:"output"`
	Deleted             []wireFile      `json:"deleted"`
	Error               []wireFile      `json:"error"`
	Outcome             []wireFile      `json:"outcome"` // 4.0.0-ballot's name for error
	Link                []struct {
		Relation string `json:"relation"`
		URL      string `json:"url"`
	} `json:"link"`
}

type wireFile struct {
	Type  string      `json:"type"`
	URL   string      `json:"url"`
	Count json.Number `json:"count"`
}

// page is a Manifest with the URL of its next page, "" at the end.
type page struct {
	*Manifest
	url, next string
}

// readManifest reads one page. It closes the body.
func (c *Client) readManifest(ctx context.Context, doing, from string, resp *http.Response) (*page, error) {
	broken := func(err error, hint string) *transport.Error {
		return &transport.Error{Kind: transport.Broken, Doing: doing, URL: from, Status: resp.StatusCode, Err: err, Hint: hint}
	}
	body, err := transport.ReadBody(resp, maxManifest)
	if errors.Is(err, transport.ErrTooLong) {
		return nil, broken(err, "ask the server's owner")
	} else if err != nil {
		return nil, transport.NoAnswer(ctx, doing, from, err)
	}
	if looksLikeMarkup(body) {
		e := broken(fmt.Errorf("a web page came instead of the manifest"), "check the source's fhir: URL, and for a proxy or a login page in between")
		e.Kind = transport.NotThere
		return nil, e
	}
	if o, ok := parseOutcome(body); ok {
		return nil, &transport.Error{Kind: transport.Refused, Doing: doing, URL: from, Status: resp.StatusCode, Said: o.String(),
			Hint: "the server answered with an OperationOutcome instead of a manifest"}
	}
	var w wireManifest
	if err := json.Unmarshal(bytes.TrimPrefix(body, []byte(utf8BOM)), &w); err != nil {
		return nil, broken(fmt.Errorf("the manifest is not readable: %w", err), "ask the server's owner")
	}
	if w.TransactionTime == "" && w.Output == nil && w.RequiresAccessToken == nil {
		return nil, broken(fmt.Errorf("the answer is JSON but not a manifest: transactionTime, requiresAccessToken and output are missing"),
			"check the source's fhir: URL")
	}
	m := &Manifest{TransactionTimeText: w.TransactionTime}
	m.TransactionTime, _ = time.Parse(time.RFC3339Nano, w.TransactionTime)
	// A token is sent unless the manifest says false; the string "false" says it too.
	m.RequiresAccessToken = strings.Trim(string(w.RequiresAccessToken), `"`) != "false"
	for _, list := range []struct {
		to   *[]File
		from []wireFile
	}{{&m.Output, w.Output}, {&m.Deleted, w.Deleted}, {&m.Errors, w.Error}, {&m.Errors, w.Outcome}} {
		for i, f := range list.from {
			file, err := f.resolve(resp.Request.URL)
			if err != nil {
				return nil, broken(fmt.Errorf("file %d of the manifest (%s): %w", i+1, transport.Clean(f.Type), err), "ask the server's owner")
			}
			*list.to = append(*list.to, file)
		}
	}
	p := &page{Manifest: m, url: from}
	for _, l := range w.Link {
		if l.Relation == "next" {
			next, err := resp.Request.URL.Parse(l.URL)
			if err != nil || l.URL == "" {
				return nil, broken(fmt.Errorf("the manifest's next page has an unreadable URL"), "ask the server's owner")
			}
			p.next = next.String()
		}
	}
	return p, nil
}

func (f wireFile) resolve(base *url.URL) (File, error) {
	u, err := base.Parse(f.URL)
	if err != nil || f.URL == "" || u.Host == "" {
		return File{}, fmt.Errorf("its url is missing or unreadable")
	}
	count := int64(-1)
	if f.Count != "" {
		if count, err = f.Count.Int64(); err != nil || count < 0 {
			return File{}, fmt.Errorf("its count %q is not a number of resources", transport.Clean(f.Count.String()))
		}
	}
	return File{Type: transport.Clean(f.Type), URL: u.String(), Count: count}, nil
}

// withNextPages follows link next (IG 3.0.0, allowPartialManifests) and joins the
// pages. Half a manifest is none: a page that fails fails the whole.
func (c *Client) withNextPages(ctx context.Context, first *page) (*Manifest, error) {
	const doing = "reading the next page of the manifest"
	m := first.Manifest
	seen := map[string]bool{first.url: true}
	for next := first.next; next != ""; {
		if seen[next] {
			return nil, &transport.Error{Kind: transport.Broken, Doing: doing, URL: next,
				Err: fmt.Errorf("the pages link back to one that was read already"), Hint: "ask the server's owner"}
		}
		seen[next] = true
		resp, err := c.send(ctx, c.retrying, request{doing: doing, method: http.MethodGet, url: next, //nolint:bodyclose // failure and readManifest close it
			header: http.Header{"Accept": {"application/json"}}})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, failure(doing, next, resp)
		}
		p, err := c.readManifest(ctx, doing, next, resp)
		if err != nil {
			return nil, err
		}
		m.Output = append(m.Output, p.Output...)
		m.Deleted = append(m.Deleted, p.Deleted...)
		m.Errors = append(m.Errors, p.Errors...)
		next = p.next
	}
	m.Errors = unique(m.Errors) // IG 3.0.0 lets every page repeat the same error files
	return m, nil
}

// unique keeps the first of several files with the same URL.
func unique(files []File) []File {
	seen := make(map[string]bool, len(files))
	return slices.DeleteFunc(files, func(f File) bool {
		again := seen[f.URL]
		seen[f.URL] = true
		return again
	})
}
