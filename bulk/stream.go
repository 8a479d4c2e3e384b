package bulk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"fhirkiln/transport"
)

// Stream is one output file as plain NDJSON. It gives each byte of the file exactly
// once, or an error that is not [io.EOF]: what was read up to an error is to be thrown
// away. A cut connection is mended inside: the file is opened again where it was cut, if
// the server proves that it can do that, else at its start, and what was given already
// is skipped once it has proved to be the same.
//
// While it is open, a Stream takes one of the places that its host has for files: who
// opens many at once must read or close the first ones to get the others.
//
// A Stream belongs to one goroutine.
type Stream struct {
	client   *Client
	ctx      context.Context // of Open: ends every read
	manifest *Manifest
	listed   File // as the manifest has it
	file     File // with the link that is good now
	public   bool // no credential goes to file.URL
	outcomes bool // it is one of the manifest's error files

	body    *fileBody // nil between attempts
	sum     XXH128    // of the plain bytes given so far
	sha256  hash.Hash // of the same, nil if the manifest has none to compare it with
	read    int64     // how many they are
	tail    []byte    // the last of them
	first   byte      // first byte that is neither white space nor a byte order mark's
	last    byte      // last byte that is not white space
	version version   // of the file that they are from

	attempts  int   // times the file was asked for
	idle      int   // of those, the last ones in a row that brought nothing new
	throttled int   // how often in a row the server asked to come later
	fetched   int   // times the file was read to its end
	renewed   int   // times the link was renewed
	marked    int64 // read at the last cut
	err       error
}

// tailBytes is how many of the last bytes are asked for again when a file is gone on
// with, so that the server can be seen to go on with the same file.
const tailBytes = 256

// StreamStats is the last word on a file that was read to its end.
type StreamStats struct {
	Bytes    int64  // plain bytes
	XXH128   string // of the plain bytes, as the type XXH128 has it
	Attempts int    // times the file was asked for
}

// Open begins to read a file of m. It sends the source's credential if the manifest
// says that files want it, and none otherwise (IG 3.0.0, "capability URLs"); see
// Options.FileHosts too. A link that has expired is renewed from m.StatusURL.
// Canceling ctx ends all reads of the stream. Close it.
func (c *Client) Open(ctx context.Context, m *Manifest, f File) (*Stream, error) {
	return c.open(ctx, m, f, false)
}

func (c *Client) open(ctx context.Context, m *Manifest, f File, outcomes bool) (*Stream, error) {
	s := &Stream{client: c, ctx: ctx, manifest: m, listed: f, outcomes: outcomes}
	if f.SHA256 != "" {
		s.sha256 = sha256.New()
	}
	if err := s.use(m, f); err != nil {
		return nil, err
	}
	if err := s.reopen(); err != nil {
		return nil, err
	}
	return s, nil
}

// use takes the file's link from m, if it is one to follow.
func (s *Stream) use(m *Manifest, f File) error {
	s.file = f
	var err error
	if s.public, err = s.client.reach(f.URL, m.RequiresAccessToken); err != nil {
		hint := "if that origin is to get the token, name it under the source's token_origins; else ask the server's owner, for files elsewhere should need none (requiresAccessToken false)"
		switch {
		case errors.Is(err, errInTheClear):
			hint = hintElsewhere(err) + "; or name that origin under the source's file_hosts"
		case errors.Is(err, errNoFileHost):
			hint = "if files may come from there, name that origin under the source's file_hosts"
		}
		return s.broken(err, hint)
	}
	return nil
}

var errNoFileHost = errors.New("which is not among the hosts that files may lie at")

// reach says whether a file's URL may be asked for, and whether without credential.
func (c *Client) reach(raw string, wantsToken bool) (public bool, err error) {
	origin, err := originOf(raw)
	if err != nil {
		return false, err
	}
	switch {
	case c.fileHosts[origin]:
		return true, nil
	case len(c.fileHosts) > 0 && !c.tokenFor[origin]:
		return false, fmt.Errorf("the file lies at %s, %w", origin, errNoFileHost)
	case wantsToken:
		return false, c.mayAuthorize(raw)
	}
	return true, c.mayAsk(raw)
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
			s.give(p[:n])
			return n, nil // an error comes again with the next Read
		}
		if err == io.EOF {
			if err = s.whole(); err == nil {
				s.drop()
				s.err = io.EOF
				return 0, io.EOF
			}
		}
		if err == nil {
			continue
		}
		s.drop()
		if s.err = s.afterCut(err); s.err != nil {
			return 0, s.err
		}
		s.client.log.Warn("an output file was cut; opening it again", "type", s.file.Type, "after_bytes", s.read, "attempt", s.attempts, "error", transport.Cause(err))
	}
}

// give notes what the reader gets.
func (s *Stream) give(p []byte) {
	_, _ = s.sum.Write(p) // a hash takes all
	if s.sha256 != nil {
		s.sha256.Write(p)
	}
	s.read += int64(len(p))
	if t := bytes.TrimRight(p, " \t\r\n"); len(t) > 0 {
		s.last = t[len(t)-1]
	}
	if t := bytes.TrimLeft(p, " \t\r\n"+utf8BOM); s.first == 0 && len(t) > 0 {
		s.first = t[0]
	}
	if len(p) < tailBytes {
		keep := min(len(s.tail), tailBytes-len(p))
		s.tail = append(s.tail[:copy(s.tail, s.tail[len(s.tail)-keep:])], p...)
		return
	}
	s.tail = append(s.tail[:0], p[len(p)-tailBytes:]...)
}

// afterCut decides whether a file that was cut is opened again.
func (s *Stream) afterCut(err error) error {
	var final *transport.Error
	switch {
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	case errors.As(err, &final):
		return err
	}
	if s.read > s.marked && !errors.Is(err, transport.ErrTooSlow) {
		s.idle = 1 // the attempt that was cut here
	}
	s.marked = s.read
	if s.idle >= s.client.attempts || s.fetched >= s.client.attempts || s.attempts >= s.client.attempts*attemptsInAll {
		return s.cut(s.read, err)
	}
	return nil
}

// whole checks at the end of the file what a connection cannot tell.
func (s *Stream) whole() error {
	s.fetched++
	want := s.listed
	switch {
	case s.last != 0 && s.last != '}' && !s.endsOddly():
		return errors.New("the last line is not whole")
	case s.version.size > s.read: // of the first answer: the one that ended here may not have told
		return fmt.Errorf("it ended there, and had %d bytes before", s.version.size)
	case want.Bytes > s.read:
		return fmt.Errorf("it ended there, and the manifest says %d bytes", want.Bytes)
	case want.Bytes > 0 && want.Bytes < s.read:
		return s.broken(fmt.Errorf("the file has %d bytes, and the manifest says %d", s.read, want.Bytes), "run again")
	case s.sha256 == nil || want.SHA256 == hex.EncodeToString(s.sha256.Sum(nil)):
		return nil
	case s.fetched < 2 && want.Bytes == 0:
		return errors.New("it ended there, and its SHA-256 is not the manifest's") // if it was cut between two lines, more will come
	}
	return s.broken(errors.New("the file's SHA-256 is not the manifest's"), "run again; if it stays so, ask the server's owner")
}

// endsOddly says that a file ends, uncut, with a line that is no object. Every line of NDJSON
// ends with its object's brace; but where it began with an object, a line's end is behind the
// last line, and the answer has the length that it said, that line is for quarantine.
func (s *Stream) endsOddly() bool {
	return s.first == '{' && s.tail[len(s.tail)-1] == '\n' && s.version.size == s.read
}

// Stats is right once Read has returned [io.EOF].
func (s *Stream) Stats() StreamStats {
	return StreamStats{Bytes: s.read, XXH128: s.sum.String(), Attempts: s.attempts}
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

// doing is for errors.
func (f File) doing() string {
	return strings.TrimSpace("reading an output file of " + f.Type)
}

func (s *Stream) broken(err error, hint string) error {
	return &transport.Error{Kind: transport.Broken, Doing: s.file.doing(), URL: s.file.URL, Err: err, Hint: hint}
}

// cut is the error of a file that was cut in all attempts, the last time after at bytes.
func (s *Stream) cut(at int64, err error) error {
	return s.broken(fmt.Errorf("the file was cut after %d bytes, at the last of %d attempts: %w", at, s.attempts, transport.Cause(err)),
		"run again; if it stays so, the server or a proxy cuts long answers")
}
