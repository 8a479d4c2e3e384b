package bulk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"fhirkiln/transport"
)

const (
	maxManifest = 1 << 30   // bytes in one page of a manifest, which is not held in memory
	maxValue    = 1 << 20   // bytes in one file's entry, or one extension
	maxURL      = 16 << 10  // bytes in the URL of a file or a page
	maxFiles    = 1_000_000 // files that all pages of a manifest list
	maxURLs     = 512 << 20 // bytes in the URLs of all these files
)

// amount is how much a manifest lists so far.
type amount struct {
	files int
	urls  int64 // bytes
}

// manifestReader reads one page from the wire and holds one entry at a time, because a page
// may list a hundred thousand files.
type manifestReader struct {
	page    *page
	base    *url.URL // that relative URLs refer to
	body    *boundedBody
	d       *jsontext.Decoder
	lists   [4][]File // output, deleted, error, outcome
	amount  amount    // of this page and those before it
	outcome Outcome   // if the response is an OperationOutcome
	typ     string    // the response's resourceType, if it has one
	known   bool      // the response has a key of a manifest
}

// readManifest reads one page; before is the amount that the pages before it list. It closes
// the body.
func (c *Client) readManifest(ctx context.Context, doing, from string, resp *http.Response, before amount) (*page, error) {
	defer resp.Body.Close()
	broken := func(err error, hint string) *transport.Error {
		return &transport.Error{Kind: transport.Broken, Doing: doing, URL: from, Status: resp.StatusCode, Err: err, Hint: hint}
	}
	body := &boundedBody{r: resp.Body, left: c.pageBytes}
	plain := bufio.NewReader(body)
	start, _ := plain.Peek(512)
	if body.err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if looksLikeMarkup(start) {
		e := broken(errors.New("got a web page instead of the manifest"), "check the source's fhir: URL, and look for a proxy or login page in between")
		e.Kind = transport.NotThere
		return nil, e
	}
	if bytes.HasPrefix(start, []byte(utf8BOM)) {
		_, _ = plain.Discard(len(utf8BOM)) // cannot fail after Peek
	}
	m := &Manifest{RequiresAccessToken: true, Expires: expires(resp.Header)}
	r := &manifestReader{page: &page{Manifest: m, url: from}, base: resp.Request.URL, body: body, amount: before,
		d: newDecoder(plain)}
	err := eachMember(r.d, r.member)
	var entry *entryError
	switch {
	case body.err == errLongPage, body.err == errLongValue:
		e := broken(body.err, "ask the server's owner")
		e.Stray = !r.known
		return nil, e
	case body.err != nil:
		return nil, transport.NoAnswer(ctx, doing, from, body.err)
	case errors.As(err, &entry):
		return nil, broken(entry, "ask the server's owner")
	case err != nil:
		e := broken(fmt.Errorf("the manifest is unreadable: %w", transport.WordsOf(err)), "ask the server's owner")
		e.Stray = !r.known
		return nil, e
	case r.typ == "OperationOutcome":
		said := &transport.Error{Kind: transport.Refused, Doing: doing, URL: from, Status: resp.StatusCode, Said: transport.WithoutSent(resp, r.outcome.String()),
			Hint: "the server sent an OperationOutcome instead of a manifest: run again, and ask the server's owner if it keeps failing"}
		if r.outcome.Transient() {
			said.Kind = transport.Unavailable
		}
		said.Stray = !slices.ContainsFunc(r.outcome.Issues, Issue.Failed) // only informational
		return nil, said
	case !r.known:
		e := broken(errors.New("the answer is JSON but not a manifest: transactionTime, requiresAccessToken and output are missing"),
			"check the source's fhir: URL")
		e.Stray = true
		return nil, e
	}
	m.TransactionTime, _ = time.Parse(time.RFC3339Nano, m.TransactionTimeText)
	r.page.amount = r.amount
	m.Output, m.Deleted, m.Errors = r.lists[0], r.lists[1], append(r.lists[2], r.lists[3]...)
	return r.page, nil
}

// entryError is an entry that can be parsed but not used.
type entryError struct{ error }

// member reads the value of one key of the page.
func (r *manifestReader) member(name string) (err error) {
	m := r.page
	switch name {
	case "transactionTime":
		m.TransactionTimeText, err = readText(r.d)
		if len(m.TransactionTimeText) > 40 || strings.Trim(m.TransactionTimeText, "0123456789-+:.,TZtz ") != "" {
			m.TransactionTimeText = transport.Words(m.TransactionTimeText) // it goes into logs and reports
		}
		r.known = r.known || m.TransactionTimeText != ""
	case "requiresAccessToken":
		// A token is sent unless the manifest says false, or "false" as a string.
		var v jsontext.Value
		v, err = r.d.ReadValue()
		m.RequiresAccessToken, r.known = strings.Trim(string(v), `"`) != "false", true
	case "request":
		m.request, err = readText(r.d)
	case "outputOrganizedBy":
		m.OrganizedBy, err = readText(r.d)
	case "resourceType":
		r.typ, err = readText(r.d)
	case "issue":
		var v jsontext.Value
		if v, err = r.d.ReadValue(); err == nil {
			r.outcome, _ = parseOutcome([]byte(`{"resourceType":"OperationOutcome","issue":` + string(v) + `}`))
		}
	case "output":
		r.known = true
		err = r.list(&r.lists[0])
	case "deleted":
		err = r.list(&r.lists[1])
	case "error":
		err = r.list(&r.lists[2])
	case "outcome": // the name of error in 4.0.0-ballot
		err = r.list(&r.lists[3])
	case "link":
		err = r.each(r.link)
	default:
		err = r.d.SkipValue()
	}
	r.body.begin()
	return err
}

// each visits the elements of an array, bounding the size of each.
func (r *manifestReader) each(visit func(jsontext.Value) error) error {
	return eachElement(r.d, func(v jsontext.Value) error {
		r.body.begin()
		return visit(v)
	})
}

func (r *manifestReader) list(to *[]File) error {
	n := 0
	return r.each(func(v jsontext.Value) error {
		var f wireFile
		if err := json.Unmarshal(v, &f); err != nil {
			return err
		}
		n++
		file, err := f.resolve(r.base)
		if err != nil {
			return &entryError{fmt.Errorf("file %d of the manifest (%s): %w", n, typeName(f.Type), err)}
		}
		r.amount.files++
		r.amount.urls += int64(len(file.URL))
		switch {
		case r.amount.files > maxFiles:
			return &entryError{fmt.Errorf("the manifest lists more than %d files", maxFiles)}
		case r.amount.urls > maxURLs:
			return &entryError{fmt.Errorf("the URLs of the manifest's files add up to more than %d bytes", maxURLs)}
		}
		*to = append(*to, file)
		return nil
	})
}

func (r *manifestReader) link(v jsontext.Value) error {
	var l struct {
		Relation string `json:"relation"`
		URL      string `json:"url"`
	}
	if err := json.Unmarshal(v, &l); err != nil || l.Relation != "next" {
		return err
	}
	next, err := r.base.Parse(l.URL)
	if err != nil || l.URL == "" || len(l.URL) > maxURL {
		return &entryError{errors.New("the manifest's next page has an unreadable URL")}
	}
	r.page.next = next.String()
	return nil
}

// boundedBody bounds the size of a body and of each value in it, and keeps the error of the
// connection: a JSON decoder does not tell a cut connection from a cut document.
type boundedBody struct {
	r       io.Reader
	left    int64 // of the whole body
	current int64 // read since begin
	err     error
}

var (
	errLongPage  = fmt.Errorf("this page of the manifest has more than %d bytes", maxManifest)
	errLongValue = fmt.Errorf("an entry of the manifest has more than %d bytes", maxValue)
)

// begin is called before each value.
func (b *boundedBody) begin() { b.current = 0 }

// Read implements [io.Reader].
func (b *boundedBody) Read(p []byte) (int, error) {
	switch {
	case b.left <= 0:
		b.err = errLongPage
		return 0, b.err
	case b.current > maxValue:
		b.err = errLongValue
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	b.current += int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
