package bulk

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"

	"fhirkiln/transport"
)

// fileBody is the body of one GET of a file, decompressed.
type fileBody struct {
	*bufio.Reader
	wire     io.Closer
	from     int64  // plain bytes of the file that precede it
	identity bool   // it was sent without a content encoding
	leave    func() // leaves the host's gate; nil if it was not entered
}

// Close ends the exchange. It may be called more than once.
func (b *fileBody) Close() error {
	if b.leave != nil {
		b.leave()
		b.leave = nil
	}
	return b.wire.Close()
}

func newFileBody(resp *http.Response) *fileBody {
	return &fileBody{wire: resp.Body, Reader: bufio.NewReaderSize(resp.Body, 64<<10)}
}

// openBody returns the body of a whole file. If it fails, it closes the body.
func openBody(resp *http.Response) (*fileBody, error) {
	body := newFileBody(resp)
	body.identity = isIdentity(resp.Header)
	// Detect gzip by its magic number, because servers forget the header or send it wrongly.
	// The first byte is enough: no JSON begins with it, and a cut may come right after it.
	if magic, _ := body.Peek(1); len(magic) == 1 && magic[0] == 0x1f {
		gz, err := gzip.NewReader(body.Reader)
		if err != nil {
			body.Close()
			return nil, &cutError{0, err}
		}
		body.Reader, body.identity = bufio.NewReaderSize(gz, 64<<10), false
	}
	return body, nil
}

// sniffBytes usually tell what a body is; if its first value is long, up to maxSniffBytes do.
const (
	sniffBytes    = 512
	maxSniffBytes = 64 << 10
)

// sniff refuses a body that is not the file, even though its status is 200: a web page, an
// OperationOutcome that explains why there is no file, or the file packed into a Binary.
func (s *Stream) sniff(resp *http.Response, body *fileBody) error {
	start, _ := body.Peek(sniffBytes) // the next Read returns its error again
	if FirstType(bytes.NewReader(start)) == "" {
		start, _ = body.Peek(maxSniffBytes)
	}
	e := &transport.Error{Kind: transport.Broken, Doing: s.file.doing(), URL: s.file.URL, Status: resp.StatusCode}
	if looksLikeMarkup(start) {
		e.Err, e.Hint = errors.New("got a web page or XML instead of NDJSON"), "look for a proxy or login page in between"
		return e
	}
	typ := FirstType(bytes.NewReader(start))
	if typ == "Binary" && s.file.Type != "Binary" && bytes.Contains(start, []byte("ndjson")) {
		// HAPI does this for an Accept that it does not know. As a row it would be one
		// resource in place of many.
		e.Err, e.Hint = errors.New("got a Binary instead of NDJSON"), "ask the server's owner: files must be sent as application/fhir+ndjson"
		return e
	}
	if s.outcomes || s.file.Type == "OperationOutcome" || typ != "OperationOutcome" {
		return nil
	}
	held, err := io.ReadAll(io.LimitReader(body.Reader, maxOutcome))
	if err != nil {
		return &cutError{int64(len(held)), err}
	}
	if o, ok := parseOutcome([]byte(transport.WithoutSent(resp, string(held)))); ok {
		e.Said, e.Err, e.Hint = o.String(), errors.New("got an OperationOutcome instead of NDJSON"), "run again; if that does not help, ask the server's owner"
		e.Kind = transport.Refused
		if o.Transient() {
			e.Kind = transport.Unavailable
		}
		return e
	}
	body.Reader = bufio.NewReader(io.MultiReader(bytes.NewReader(held), body.Reader))
	return nil
}
