package bulk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"fhirkiln/transport"
)

const (
	maxOutcome = 1 << 20  // bytes read of an error response's body
	maxEntry   = 16 << 20 // bytes held of an error file at once
	maxIssues  = 1_000    // issues held of one response
)

// Outcome is the part of an OperationOutcome that the client acts on.
type Outcome struct {
	Issues []Issue
}

// Issue is one issue of an OperationOutcome. Its texts come from the server and may
// identify a patient (BCDA's do): they belong in an error about a request, not in counts
// and reports of a run.
type Issue struct {
	Severity    string // fatal, error, warning, information
	Code        string // from http://hl7.org/fhir/R4/valueset-issue-type.html, or "other" if it does not look like a code
	Diagnostics string // diagnostics, or details.text, or details.coding's display
}

// Failed reports whether an issue means that something is missing: its severity is error,
// fatal, or unknown to R4.
func (i Issue) Failed() bool { return i.Severity != "warning" && i.Severity != "information" }

// counted returns the issue with codes that are safe for logs and reports: some servers put
// texts about patients where codes belong.
func (i Issue) counted() Issue {
	for _, code := range []*string{&i.Severity, &i.Code} {
		if transport.Words(*code) != *code {
			*code = "other"
		}
	}
	return i
}

// Transient reports whether the outcome has a transient issue and no other failed one (IG,
// "Response - Error").
func (o Outcome) Transient() bool {
	transient := false
	for _, i := range o.Issues {
		switch i.Code {
		case "transient", "lock-error", "timeout", "throttled": // R4's other kinds of transient also occur with final errors
			transient = true
		default:
			if i.Failed() {
				return false
			}
		}
	}
	return transient
}

// String joins the issues into one line that is safe in an error: their texts, reduced to the
// known words (see [transport.Words]).
func (o Outcome) String() string { return o.words() }

// words is like String, but keeps further words.
func (o Outcome) words(known ...string) string {
	said := make([]string, 0, len(o.Issues))
	for _, i := range o.Issues {
		said = append(said, cmp.Or(i.Diagnostics, strings.TrimSpace(i.Severity+" "+i.Code)))
	}
	return transport.Words(strings.Join(said, "; "), known...)
}

// parseOutcome reads an OperationOutcome, and reports whether body is one.
func parseOutcome(body []byte) (Outcome, bool) {
	var o Outcome
	ok := eachIssue(body, func(i Issue) {
		switch n := len(o.Issues); {
		case n < maxIssues:
			o.Issues = append(o.Issues, i)
		case n == maxIssues: // one error stands for the rest, which may hold errors
			o.Issues = append(o.Issues, Issue{Severity: "error", Code: "too-many-issues"})
		}
	})
	if !ok {
		return Outcome{}, false
	}
	return o, true
}

// eachIssue visits the issues of an OperationOutcome, and reports whether body is one. It may
// visit some issues before it finds out that body is not.
func eachIssue(body []byte, visit func(Issue)) bool {
	typ := ""
	d := plainJSON(body)
	err := eachMember(d, func(name string) (err error) {
		if name == "resourceType" {
			typ, err = readText(d)
			return err
		}
		return d.SkipValue()
	})
	if err != nil || typ != "OperationOutcome" {
		return false
	}
	d = plainJSON(body)
	err = eachMember(d, func(name string) error {
		if name != "issue" {
			return d.SkipValue()
		}
		return eachElement(d, func(v jsontext.Value) error {
			var raw struct {
				Severity    string `json:"severity"`
				Code        string `json:"code"`
				Diagnostics string `json:"diagnostics"`
				Details     struct {
					Text   string `json:"text"`
					Coding []struct {
						Display string `json:"display"`
					} `json:"coding"`
				} `json:"details"`
			}
			if err := json.Unmarshal(v, &raw); err != nil {
				return err
			}
			text := cmp.Or(raw.Diagnostics, raw.Details.Text)
			if text == "" && len(raw.Details.Coding) > 0 {
				text = raw.Details.Coding[0].Display
			}
			visit(Issue{Severity: raw.Severity, Code: raw.Code, Diagnostics: text})
			return nil
		})
	})
	return err == nil
}

// outcomeBody reads and closes a body that may be an OperationOutcome, and removes our
// credential from it.
func outcomeBody(resp *http.Response) ([]byte, error) {
	body, err := transport.ReadBody(resp, maxOutcome)
	return []byte(transport.WithoutSent(resp, string(body))), err
}

// looksLikeMarkup reports whether a body looks like HTML or XML, such as a proxy's response.
func looksLikeMarkup(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(body, []byte(utf8BOM))), []byte("<"))
}

// Issues reads one of a manifest's error files and calls each, on the caller's goroutine,
// for every issue of its OperationOutcomes. A line of another type counts as an issue of
// severity error, so that nothing in the file goes unnoticed.
//
// After an entry with an issue that has failed, failed gets the entry as the server sent it; it
// may name patients. The bytes are valid until failed returns. An error of failed ends Issues.
func (c *Client) Issues(ctx context.Context, m *Manifest, f File, each func(Issue), failed func(entry []byte) error) error {
	s, err := c.open(ctx, m, f, true) // whatever its type in the manifest
	if err != nil {
		return err
	}
	defer s.Close()
	entry := &boundedEntry{r: WithoutBOM(s)}
	d := json.NewDecoder(entry)
	for n := 1; ; n++ {
		entry.left = maxEntry
		var line json.RawMessage
		if err := d.Decode(&line); err == io.EOF {
			return nil
		} else if err != nil {
			var syntax *json.SyntaxError
			if errors.Is(err, errLongEntry) {
				return s.broken(fmt.Errorf("entry %d is longer than %d bytes", n, maxEntry), "ask the server's owner: fhirkiln cannot tell what is missing from the export")
			}
			if errors.As(err, &syntax) || err == io.ErrUnexpectedEOF { // not errors.Is: the error of a cut file wraps one
				return s.broken(fmt.Errorf("entry %d is not JSON", n), "ask the server's owner: fhirkiln cannot tell what is missing from the export")
			}
			return err
		}
		visited, bad := false, false
		visit := func(i Issue) {
			visited, bad = true, bad || i.Failed()
			each(i)
		}
		ok := eachIssue(line, func(i Issue) { visit(i.counted()) })
		if !ok || !visited {
			visit(Issue{Severity: "error", Code: "not-an-outcome"})
		}
		if bad {
			if err := failed(line); err != nil {
				return err
			}
		}
	}
}

var errLongEntry = errors.New("the entry is too long")

// boundedEntry returns left bytes of r, then errLongEntry.
type boundedEntry struct {
	r    io.Reader
	left int
}

// Read implements [io.Reader].
func (b *boundedEntry) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errLongEntry
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
