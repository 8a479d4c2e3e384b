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
	maxOutcome = 1 << 20  // how much of an error's body is read, in bytes
	maxEntry   = 16 << 20 // how much of an error file is held at once, in bytes
	maxIssues  = 1_000    // how many issues of an answer are held
)

// Outcome is the part of an OperationOutcome that a client acts on.
type Outcome struct {
	Issues []Issue
}

// Issue is one issue of an OperationOutcome. Its texts come from the server and may
// name a patient (BCDA's do): they belong into an error about a request, not into
// counts and reports of a run.
type Issue struct {
	Severity    string // fatal, error, warning, information
	Code        string // of http://hl7.org/fhir/R4/valueset-issue-type.html, or "other" for what looks like none
	Diagnostics string // diagnostics, or details.text, or details.coding's display
}

// Failed says whether an issue tells of something missing: severity error or fatal,
// or none that R4 knows.
func (i Issue) Failed() bool { return i.Severity != "warning" && i.Severity != "information" }

// counted is the issue as it may be counted in logs and reports: servers put texts, with
// patients in them, where codes belong.
func (i Issue) counted() Issue {
	for _, code := range []*string{&i.Severity, &i.Code} {
		if transport.Words(*code) != *code {
			*code = "other"
		}
	}
	return i
}

// Transient says whether every failed issue may pass by itself (IG, "Response - Error").
func (o Outcome) Transient() bool {
	transient := false
	for _, i := range o.Issues {
		switch i.Code {
		case "transient", "lock-error", "timeout", "throttled": // the others below transient in R4 are also said of what is final
			transient = true
		default:
			if i.Failed() {
				return false
			}
		}
	}
	return transient
}

// String joins the issues into one line that may stand in an error: of their texts, the
// known words (see [transport.Words]).
func (o Outcome) String() string { return o.words() }

// words is String with further words to keep.
func (o Outcome) words(known ...string) string {
	said := make([]string, 0, len(o.Issues))
	for _, i := range o.Issues {
		s := i.Diagnostics
		if s == "" {
			s = strings.TrimSpace(i.Severity + " " + i.Code)
		}
		said = append(said, s)
	}
	return transport.Words(strings.Join(said, "; "), known...)
}

// parseOutcome reads an OperationOutcome, or says that body is none.
func parseOutcome(body []byte) (Outcome, bool) {
	var o Outcome
	ok := eachIssue(body, func(i Issue) {
		switch n := len(o.Issues); {
		case n < maxIssues:
			o.Issues = append(o.Issues, i)
		case n == maxIssues: // nobody knows what the others are
			o.Issues = append(o.Issues, Issue{Severity: "error", Code: "too-many-issues"})
		}
	})
	if !ok {
		return Outcome{}, false
	}
	return o, true
}

// eachIssue visits the issues of an OperationOutcome, or says that body is none; it may
// have visited some before it can tell.
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

// outcomeBody reads the body of an answer that refuses something, and closes it.
func outcomeBody(resp *http.Response) ([]byte, error) {
	body, err := transport.ReadBody(resp, maxOutcome)
	return []byte(transport.WithoutSent(resp, string(body))), err
}

// looksLikeMarkup says whether a body is HTML or XML, as proxies answer.
func looksLikeMarkup(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(body, []byte(utf8BOM))), []byte("<"))
}

// Issues reads one of a manifest's error files and calls each, on its own goroutine,
// for every issue of its OperationOutcomes. Lines of another type count as an issue of
// severity error, so that nothing there goes unseen.
func (c *Client) Issues(ctx context.Context, m *Manifest, f File, each func(Issue)) error {
	s, err := c.open(ctx, m, f, true) // whatever type the manifest gives it
	if err != nil {
		return err
	}
	defer s.Close()
	entry := &bounded{r: WithoutBOM(s)}
	d := json.NewDecoder(entry)
	for n := 1; ; n++ {
		entry.left = maxEntry
		var line json.RawMessage
		if err := d.Decode(&line); err == io.EOF {
			return nil
		} else if err != nil {
			var syntax *json.SyntaxError
			if errors.Is(err, errLongEntry) {
				return s.broken(fmt.Errorf("entry %d is longer than %d bytes", n, maxEntry), "ask the server's owner: what is missing from the export cannot be told")
			}
			if errors.As(err, &syntax) || err == io.ErrUnexpectedEOF { // as is: a cut file wraps one
				return s.broken(fmt.Errorf("entry %d is not JSON", n), "ask the server's owner: what is missing from the export cannot be told")
			}
			return err
		}
		told := false
		ok := eachIssue(line, func(i Issue) {
			told = true
			each(i.counted())
		})
		if !ok || !told {
			each(Issue{Severity: "error", Code: "not-an-outcome"})
		}
	}
}

var errLongEntry = errors.New("the entry is too long")

// bounded gives left bytes of r, then errLongEntry.
type bounded struct {
	r    io.Reader
	left int
}

// Read implements [io.Reader].
func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errLongEntry
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
