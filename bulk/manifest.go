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

// maxPages is the maximum number of pages of a manifest.
const maxPages = 10_000

// Manifest lists the results of an export (IG, "Response - Complete Status").
type Manifest struct {
	// TransactionTime is the server's time up to which the export is complete, or zero if
	// the server sent none that can be parsed. TransactionTimeText is what it sent, reduced to
	// the known words ([transport.Words]) if it does not even look like a time.
	TransactionTime     time.Time
	TransactionTimeText string

	// RequiresAccessToken reports whether the files need the source's credential.
	RequiresAccessToken bool

	// Expires is when the server may delete the files, or zero if it sent no time that can be
	// parsed.
	Expires time.Time

	// StatusURL is where the manifest can be read again when its links have expired, or "".
	// It is as secret as [Job].StatusURL.
	StatusURL string

	// SeparateStatus is that of the [Job].
	SeparateStatus bool

	// OrganizedBy is the resource type by which the output files are organized
	// (outputOrganizedBy, IG 3.0.0), or "" if they are not. If they are, each block of lines
	// begins with a Parameters resource as its header, and resources may occur again in other
	// blocks.
	OrganizedBy string

	Output  []File // resources
	Deleted []File // Bundles of what was deleted since _since
	Errors  []File // OperationOutcomes: warnings, or what is missing
}

// File is one NDJSON file of a manifest.
type File struct {
	// Type is the resource type, reduced to its known words ([transport.Words]) if it does
	// not look like a type. In Errors it is OperationOutcome, in Deleted Bundle.
	Type  string
	URL   string // absolute
	Count int64  // resources in the file according to the server, -1 if it sent no count

	// SHA256 is the checksum of the plain content in hex, or "" if the server sent none that
	// is known to be of the plain content.
	SHA256 string

	// Bytes is the length of the plain content, or 0 if the server sent none, or one that
	// may be of the compressed file.
	Bytes int64
}

// page is one page of a Manifest.
type page struct {
	*Manifest
	url, next string // next is "" on the last page
	request   string // the kick-off's URL, "" if absent
	amount    amount // of this page and those before it
}

const readingNextPage = "reading the next page of the manifest"

// withNextPages follows next links (IG 3.0.0, allowPartialManifests) and joins the pages. A
// manifest must be complete: if one page fails, withNextPages fails. A page that is not ready
// yet is waited for like the first one.
func (c *Client) withNextPages(ctx context.Context, first *page) (*Manifest, error) {
	m := first.Manifest
	seen := map[string]bool{first.url: true}
	listed := first.amount
	for next := first.next; next != ""; {
		broken := func(format string, args ...any) error {
			return &transport.Error{Kind: transport.Broken, Doing: readingNextPage, URL: next, Err: fmt.Errorf(format, args...), Hint: "ask the server's owner"}
		}
		if seen[next] {
			return nil, broken("the pages link back to one already read")
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
		// The IG requires everything but the lists to be equal. With another transactionTime it
		// would be another export.
		if p.TransactionTimeText != m.TransactionTimeText {
			return nil, broken("its transactionTime differs from the first page's")
		}
		if p.RequiresAccessToken != m.RequiresAccessToken {
			return nil, broken("its requiresAccessToken differs from the first page's")
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
			c.log.Info("the manifest lists some files more than once; reading each once", "again", again)
		}
		*list = once
	}
	return m, nil
}

// pageFailure is the failure for a page that is refused. A missing page says nothing about the
// job, but leaves the manifest incomplete.
func pageFailure(doing, u string, resp *http.Response) *transport.Error {
	e := statusFailure(doing, u, resp)
	if e.Status == http.StatusNotFound || e.Status == http.StatusGone {
		e.Kind, e.Hint = transport.Broken, "a page of the manifest is missing: run again to start another export"
	}
	return e
}

// unique keeps the first of several files with the same URL, because reading a file twice would
// double its rows. It fails if their entries differ: then it is unknown what the file holds.
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
		return nil, errors.New("the manifest lists a file twice, with different details")
	}
	return once, nil
}
