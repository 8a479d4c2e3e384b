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
	from     int64  // plain bytes of the file that came before it
	identity bool   // it went over the wire as it is
	leave    func() // gives back the place at the host; nil if there is none
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

// openBody reads a whole file's body. It closes it if it fails.
func openBody(resp *http.Response) (*fileBody, error) {
	body := newFileBody(resp)
	body.identity = isIdentity(resp.Header)
	// gzip goes by its magic number, since servers forget the header and send it in vain.
	// Its first byte is enough: it begins no JSON, and a cut may come right after it.
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

// sniffed is how much of a body tells what it is, mostly; it may begin with something long.
const (
	sniffed       = 512
	sniffedAtMost = 64 << 10
)

// sniff refuses a body that is not the file, though its status is 200: a web page, an
// OperationOutcome that tells why there is none, or the file packed into a Binary.
func (s *Stream) sniff(resp *http.Response, body *fileBody) error {
	start, _ := body.Peek(sniffed) // its error comes again with the next Read
	if FirstType(bytes.NewReader(start)) == "" {
		start, _ = body.Peek(sniffedAtMost)
	}
	e := &transport.Error{Kind: transport.Broken, Doing: s.file.doing(), URL: s.file.URL, Status: resp.StatusCode}
	if looksLikeMarkup(start) {
		e.Err, e.Hint = errors.New("a web page or XML came instead of NDJSON"), "check for a proxy or a login page in between"
		return e
	}
	typ := FirstType(bytes.NewReader(start))
	if typ == "Binary" && s.file.Type != "Binary" && bytes.Contains(start, []byte("ndjson")) {
		// HAPI packs a file so for an Accept that it does not know. As a row it would be
		// one resource in the place of many.
		e.Err, e.Hint = errors.New("a Binary came instead of NDJSON"), "ask the server's owner: files are to be sent as application/fhir+ndjson"
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
		e.Said, e.Err, e.Hint = o.String(), errors.New("an OperationOutcome came instead of NDJSON"), "run again; if it stays so, ask the server's owner"
		e.Kind = transport.Refused
		if o.Transient() {
			e.Kind = transport.Unavailable
		}
		return e
	}
	body.Reader = bufio.NewReader(io.MultiReader(bytes.NewReader(held), body.Reader))
	return nil
}
