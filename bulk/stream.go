package bulk

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"

	"fhirkiln/transport"
)

// Stream is one output file as plain NDJSON. It gives each byte of the file exactly
// once, or an error that is not [io.EOF]: what was read up to an error is to be thrown
// away. A cut connection is mended inside: the file is opened again, and what was
// given already is skipped once it has proved to be the same.
//
// A Stream belongs to one goroutine.
type Stream struct {
	client *Client
	ctx    context.Context // of Open: ends every read
	file   File
	public bool

	body     *fileBody // nil between attempts
	sum      hash.Hash // of the plain bytes given so far
	read     int64     // how many they are
	attempts int
	last     byte // last byte that is not white space
	err      error
}

// StreamStats is the last word on a file that was read to its end.
type StreamStats struct {
	Bytes    int64  // plain bytes
	SHA256   string // of the plain bytes, in hex
	Attempts int    // times the file was opened
}

// Open begins to read a file of m. It sends the source's credential if the manifest
// says that files want it, and none otherwise (IG 3.0.0, "capability URLs").
// Canceling ctx ends all reads of the stream. Close it.
func (c *Client) Open(ctx context.Context, m *Manifest, f File) (*Stream, error) {
	s := &Stream{client: c, ctx: ctx, file: f, public: !m.RequiresAccessToken, sum: sha256.New()}
	if !s.public {
		if err := c.mayAuthorize(f.URL); err != nil {
			return nil, s.broken(err, "ask the server's owner: files elsewhere should need no token (requiresAccessToken false)")
		}
	}
	if err := s.reopen(); err != nil {
		return nil, err
	}
	return s, nil
}

// Read implements [io.Reader].
func (s *Stream) Read(p []byte) (int, error) {
	if s.err != nil || len(p) == 0 {
		return 0, s.err
	}
	for {
		if s.body == nil {
			if s.err = s.reopen(); s.err != nil {
				return 0, s.err
			}
		}
		n, err := s.body.Read(p)
		if n > 0 {
			s.sum.Write(p[:n])
			s.read += int64(n)
			if t := bytes.TrimRight(p[:n], " \t\r\n"); len(t) > 0 {
				s.last = t[len(t)-1]
			}
			return n, nil // an error comes again with the next Read
		}
		if err == io.EOF {
			if err = s.whole(); err == nil {
				s.err = io.EOF
				return 0, io.EOF
			}
		}
		if err == nil {
			continue
		}
		s.drop()
		if s.ctx.Err() != nil {
			s.err = context.Cause(s.ctx)
			return 0, s.err
		}
		if s.attempts >= s.client.attempts {
			s.err = s.cut(s.read, err)
			return 0, s.err
		}
		s.client.log.Warn("an output file was cut; opening it again", "type", s.file.Type, "after_bytes", s.read, "attempt", s.attempts, "error", transport.Cause(err))
	}
}

// whole checks at the end of the file what a connection cannot tell: that the last
// line is not cut. Every line of NDJSON ends with its object's brace.
func (s *Stream) whole() error {
	if s.last != 0 && s.last != '}' {
		return errors.New("the last line is not whole")
	}
	return nil
}

// Stats is right once Read has returned [io.EOF].
func (s *Stream) Stats() StreamStats {
	return StreamStats{Bytes: s.read, SHA256: hex.EncodeToString(s.sum.Sum(nil)), Attempts: s.attempts}
}

// Close ends the stream. It may be called at any time, more than once.
func (s *Stream) Close() error {
	s.drop()
	if s.err == nil {
		s.err = errors.New("bulk: read of a closed Stream")
	}
	return nil
}

func (s *Stream) drop() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

// reopen gets the file from its start and skips what was given already.
func (s *Stream) reopen() error {
	for {
		if s.attempts > 0 {
			if err := sleep(s.ctx, transport.Exponential(s.client.retry.MinWait, s.client.retry.MaxWait, s.attempts-1)); err != nil {
				return err
			}
		}
		s.attempts++
		err := s.openOnce()
		if err == nil {
			return nil
		}
		s.drop()
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		var failed *transport.Error
		if errors.As(err, &failed) && failed.Kind != transport.Unavailable {
			return err
		}
		if s.attempts >= s.client.attempts {
			if short := (*cutError)(nil); errors.As(err, &short) {
				return s.cut(short.at, short.error)
			}
			return err
		}
	}
}

// cutError is a body that ended before its time.
type cutError struct {
	at    int64 // plain bytes that had come
	error       // why
}

func (s *Stream) openOnce() error {
	body, err := s.client.openFile(s.ctx, s.file, s.public)
	if err != nil {
		return err
	}
	s.body = body
	if s.read == 0 {
		return nil
	}
	prefix := sha256.New()
	if n, err := io.CopyN(prefix, body, s.read); err != nil {
		return &cutError{n, err}
	}
	if !bytes.Equal(prefix.Sum(nil), s.sum.Sum(nil)) {
		return s.broken(fmt.Errorf("the file changed between two attempts: its first %d bytes are others now", s.read), "run again")
	}
	return nil
}

// doing is for errors.
func (f File) doing() string { return "reading an output file of " + transport.Clean(f.Type) }

func (s *Stream) broken(err error, hint string) error {
	return &transport.Error{Kind: transport.Broken, Doing: s.file.doing(), URL: s.file.URL, Err: err, Hint: hint}
}

// cut is the error of a file that was cut in all attempts, the last time after at bytes.
func (s *Stream) cut(at int64, err error) error {
	return s.broken(fmt.Errorf("the file was cut after %d bytes, at the last of %d attempts: %w", at, s.attempts, transport.Cause(err)),
		"run again; if it stays so, the server or a proxy cuts long answers")
}

// fileBody is the body of one GET of a file, decompressed.
type fileBody struct {
	io.Reader
	wire io.Closer
}

func (b *fileBody) Close() error { return b.wire.Close() }

// openFile sends one GET, with the retries that a passing failure deserves.
func (c *Client) openFile(ctx context.Context, f File, public bool) (*fileBody, error) {
	doing := f.doing()
	resp, err := c.send(ctx, c.retrying, request{doing: doing, method: http.MethodGet, url: f.URL, public: public, //nolint:bodyclose // fileBody closes it
		header: http.Header{"Accept": {ndjson}, "Accept-Encoding": {"gzip"}}})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		e := failure(doing, f.URL, resp)
		if e.Kind == transport.NotThere || e.Status == http.StatusGone {
			e.Kind, e.Hint = transport.Broken, "the file is gone, perhaps expired: run again to start another export"
		} else if e.Kind == transport.Refused {
			e.Hint = "ask the server's owner why it does not hand out a file of its own manifest"
		}
		return nil, e
	}
	plain := bufio.NewReaderSize(resp.Body, 64<<10)
	body := &fileBody{wire: resp.Body}
	// gzip goes by its magic number, since servers forget the header and send it in vain.
	// Its first byte is enough: it begins no JSON, and a cut may come right after it.
	if magic, _ := plain.Peek(1); len(magic) == 1 && magic[0] == 0x1f {
		gz, err := gzip.NewReader(plain)
		if err != nil {
			body.Close()
			return nil, &cutError{0, err}
		}
		plain = bufio.NewReader(gz)
	}
	body.Reader = plain
	if start, _ := plain.Peek(512); looksLikeMarkup(start) { // its error comes again with the next Read
		body.Close()
		return nil, &transport.Error{Kind: transport.Broken, Doing: doing, URL: f.URL, Status: resp.StatusCode,
			Err: errors.New("a web page or XML came instead of NDJSON"), Hint: "check for a proxy or a login page in between"}
	}
	return body, nil
}
