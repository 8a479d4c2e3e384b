package bulk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"fhirkiln/transport"
)

// maxPages is how many pages a manifest may have.
const maxPages = 10_000

// Manifest is what an export left at the server (IG, "Response - Complete Status").
type Manifest struct {
	// TransactionTime is the server's time up to which the export is complete. Zero if
	// the server gave none that can be read; TransactionTimeText is what it gave, or the
	// known words ([transport.Words]) of what does not even look like a time.
	TransactionTime     time.Time
	TransactionTimeText string

	// RequiresAccessToken says whether the files want the source's credential.
	RequiresAccessToken bool

	// Expires is until when the server keeps the files, zero if it does not say so in a
	// form that can be read.
	Expires time.Time

	// StatusURL is where the manifest can be read again when its links have expired, ""
	// if nowhere. Keep it as secret as [Job].StatusURL.
	StatusURL string

	// SeparateStatus is the [Job]'s.
	SeparateStatus bool

	// OrganizedBy is the resource type by which the output files are organized
	// (outputOrganizedBy, IG 3.0.0): each block of lines begins with a Parameters resource
	// as its header, and resources may come again in other blocks. "": they are not.
	OrganizedBy string

	Output  []File // resources
	Deleted []File // Bundles of what was deleted since _since
	Errors  []File // OperationOutcomes: warnings, or what is missing
}

// File is one NDJSON file of a manifest.
type File struct {
	Type  string // resource type; of what is no name, its known words ([transport.Words]); OperationOutcome in Errors, Bundle in Deleted
	URL   string // absolute
	Count int64  // resources in it as the server counted them, -1 if it did not

	// SHA256 is the checksum of the plain content in hex, "" if the server gave none, or
	// one of which is not known that it is of the plain content.
	SHA256 string

	// Bytes is the length of the plain content, 0 if the server gave none, or one that
	// may be of the compressed file.
	Bytes int64
}

// page is a Manifest with what joins it to its next page.
type page struct {
	*Manifest
	url, next string // next is "" at the end
	request   string // the kick-off, "" if not told
	amount    amount // of this page and those before it
}

const readingNextPage = "reading the next page of the manifest"

// withNextPages follows link next (IG 3.0.0, allowPartialManifests) and joins the
// pages. Half a manifest is none: a page that fails fails the whole. A page may not be
// ready yet; it is waited for as the first one is.
func (c *Client) withNextPages(ctx context.Context, first *page) (*Manifest, error) {
	m := first.Manifest
	seen := map[string]bool{first.url: true}
	listed := first.amount
	for next := first.next; next != ""; {
		broken := func(format string, args ...any) error {
			return &transport.Error{Kind: transport.Broken, Doing: readingNextPage, URL: next, Err: fmt.Errorf(format, args...), Hint: "ask the server's owner"}
		}
		if seen[next] {
			return nil, broken("the pages link back to one that was read already")
		}
		if len(seen) == maxPages {
			return nil, broken("the manifest has more than %d pages", maxPages)
		}
		seen[next] = true
		if err := c.mayAsk(next); err != nil {
			return nil, broken("%w", err)
		}
		p, err := c.await(ctx, polling{doing: readingNextPage, url: next, failed: pageFailure, before: listed})
		if err != nil {
			return nil, err
		}
		// The IG wants all but the lists equal. Another time would be another export.
		if p.TransactionTimeText != m.TransactionTimeText {
			return nil, broken("its transactionTime is another than the first page's")
		}
		if p.RequiresAccessToken != m.RequiresAccessToken {
			return nil, broken("its requiresAccessToken is another than the first page's")
		}
		m.Output = append(m.Output, p.Output...)
		m.Deleted = append(m.Deleted, p.Deleted...)
		m.Errors = append(m.Errors, p.Errors...)
		listed = p.amount
		if !p.Expires.IsZero() && (m.Expires.IsZero() || p.Expires.Before(m.Expires)) {
			m.Expires = p.Expires
		}
		next = p.next
	}
	for _, list := range []*[]File{&m.Output, &m.Deleted, &m.Errors} { // IG 3.0.0 lets every page repeat the same error files
		once, err := unique(*list)
		if err != nil {
			return nil, &transport.Error{Kind: transport.Broken, Doing: "reading the manifest", URL: first.url, Err: err, Hint: "ask the server's owner"}
		}
		if again := len(*list) - len(once); again > 0 {
			c.log.Info("the manifest lists files more than once; each is read once", "again", again)
		}
		*list = once
	}
	return m, nil
}

// pageFailure is a refused page. That one is not there says nothing of the job, but
// what there is of the manifest is not all of it.
func pageFailure(doing, u string, resp *http.Response) *transport.Error {
	e := statusFailure(doing, u, resp)
	if e.Status == http.StatusNotFound || e.Status == http.StatusGone {
		e.Kind, e.Hint = transport.Broken, "a page of the manifest is missing: run again to start another export"
	}
	return e
}

// unique keeps the first of several files with the same URL. Reading a file twice would
// double its rows; when the server is not of one mind about it, nobody knows what it holds.
func unique(files []File) ([]File, error) {
	seen := make(map[string]File, len(files))
	contradicts := false
	once := slices.DeleteFunc(slices.Clone(files), func(f File) bool {
		first, again := seen[f.URL]
		if !again {
			seen[f.URL] = f
		}
		contradicts = contradicts || again && first != f
		return again
	})
	if contradicts {
		return nil, errors.New("the manifest lists a file twice and says other things of it the second time")
	}
	return once, nil
}
