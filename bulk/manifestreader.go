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
	maxManifest = 1 << 30   // how long one page of a manifest may be, in bytes; it is not held
	maxValue    = 1 << 20   // how long one file's entry, or one extension, may be, in bytes
	maxURL      = 16 << 10  // how long the URL of a file or a page may be, in bytes
	maxFiles    = 1_000_000 // how many files a manifest may list, all its pages together
	maxURLs     = 512 << 20 // how long their URLs may be together, in bytes
)

// amount is how much a manifest lists.
type amount struct {
	files int
	urls  int64 // bytes
}

// manifestReader reads one page as it comes over the wire: an entry is all that it
// holds, since a page may list a hundred thousand files.
type manifestReader struct {
	page    *page
	base    *url.URL // of relative URLs
	body    *watched
	d       *jsontext.Decoder
	lists   [4][]File // output, deleted, error, outcome
	amount  amount    // of the lists, and of the pages before
	outcome Outcome   // if the answer is an OperationOutcome
	foreign string    // the answer's resourceType, if it has one
	known   bool      // a key of a manifest was there
}

// readManifest reads one page; before is what the pages before it list. It closes the body.
func (c *Client) readManifest(ctx context.Context, doing, from string, resp *http.Response, before amount) (*page, error) {
	defer resp.Body.Close()
	broken := func(err error, hint string) *transport.Error {
		return &transport.Error{Kind: transport.Broken, Doing: doing, URL: from, Status: resp.StatusCode, Err: err, Hint: hint}
	}
	body := &watched{r: resp.Body, left: maxManifest}
	plain := bufio.NewReader(body)
	start, _ := plain.Peek(512)
	if body.err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if looksLikeMarkup(start) {
		e := broken(errors.New("a web page came instead of the manifest"), "check the source's fhir: URL, and for a proxy or a login page in between")
		e.Kind = transport.NotThere
		return nil, e
	}
	if bytes.HasPrefix(start, []byte(utf8BOM)) {
		_, _ = plain.Discard(len(utf8BOM)) // it was peeked
	}
	m := &Manifest{RequiresAccessToken: true, Expires: expires(resp.Header)}
	r := &manifestReader{page: &page{Manifest: m, url: from}, base: resp.Request.URL, body: body, amount: before,
		d: newDecoder(plain)}
	err := eachMember(r.d, r.member)
	var entry *entryError
	switch {
	case body.err != nil && !errors.Is(body.err, errLongEntry):
		return nil, transport.NoAnswer(ctx, doing, from, body.err)
	case errors.As(err, &entry):
		return nil, broken(entry, "ask the server's owner")
	case err != nil:
		e := broken(fmt.Errorf("the manifest is not readable: %w", transport.WordsOf(err)), "ask the server's owner")
		e.Stray = !r.known
		return nil, e
	case r.foreign == "OperationOutcome":
		said := &transport.Error{Kind: transport.Refused, Doing: doing, URL: from, Status: resp.StatusCode, Said: transport.WithoutSent(resp, r.outcome.String()),
			Hint: "the server answered with an OperationOutcome instead of a manifest"}
		if r.outcome.Transient() {
			said.Kind = transport.Unavailable
		}
		said.Stray = !slices.ContainsFunc(r.outcome.Issues, Issue.Failed) // it only informs
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

// entryError is an entry that can be read but says nothing usable.
type entryError struct{ error }

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
		// A token is sent unless the manifest says false; the string "false" says it too.
		var v jsontext.Value
		v, err = r.d.ReadValue()
		m.RequiresAccessToken, r.known = strings.Trim(string(v), `"`) != "false", true
	case "request":
		m.request, err = readText(r.d)
	case "outputOrganizedBy":
		m.OrganizedBy, err = readText(r.d)
	case "resourceType":
		r.foreign, err = readText(r.d)
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
	case "outcome": // 4.0.0-ballot's name for error
		err = r.list(&r.lists[3])
	case "link":
		err = r.each(r.link)
	default:
		err = r.d.SkipValue()
	}
	r.body.begin()
	return err
}

// each visits the elements of an array, of which each has the bound of an entry.
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
			return &entryError{fmt.Errorf("the URLs of the manifest's files have more than %d bytes", maxURLs)}
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

// watched reads a body, bounds it, and keeps the error that the wire gave: a JSON
// decoder does not tell a cut connection from a cut document.
type watched struct {
	r       io.Reader
	left    int64 // of the whole body
	current int64 // read since begin
	err     error
}

// begin says that another value begins.
func (w *watched) begin() { w.current = 0 }

// Read implements [io.Reader].
func (w *watched) Read(p []byte) (int, error) {
	if w.left <= 0 || w.current > maxValue {
		w.err = errLongEntry
		return 0, w.err
	}
	n, err := w.r.Read(p)
	w.left -= int64(n)
	w.current += int64(n)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
