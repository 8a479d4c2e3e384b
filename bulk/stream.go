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

// Stream reads one output file as plain NDJSON. It returns each byte of the file exactly
// once, or an error other than [io.EOF], after which the caller must discard what it has read.
// A Stream recovers from cut connections by itself: it reopens the file where it was cut if
// the server proves that it can do that, otherwise at its start, and then skips what it has
// already returned once that has proved to be the same.
//
// An open Stream occupies one of the places in its host's limit: a caller that opens many at
// once must read to the end or close the first ones to get the others.
//
// A Stream must be used from one goroutine at a time.
type Stream struct {
	client   *Client
	ctx      context.Context // from Open; ends every read
	manifest *Manifest
	listed   File // as Open's manifest lists it
	file     File // with the current link
	public   bool // no credential goes to file.URL
	outcomes bool // it is one of the manifest's error files

	body    *fileBody // nil between attempts
	sum     XXH128    // of the plain bytes returned so far
	sha256  hash.Hash // of the same bytes; nil if the manifest has no SHA-256
	read    int64     // the number of these bytes
	tail    []byte    // the last of them
	first   byte      // the first of them that is neither white space nor part of a byte order mark
	last    byte      // the last of them that is not white space
	version version   // of the file that they come from

	attempts  int   // requests for the file
	idle      int   // attempts in a row, up to the last one, without progress
	throttled int   // how often in a row the server asked to come later
	fetched   int   // how often the file was read to its end
	renewed   int   // how often the link was renewed
	readAtCut int64 // read at the last cut
	err       error
}

// tailBytes is how many of the last bytes are requested again when a file is resumed, to check
// that the server continues the same file.
const tailBytes = 256

// StreamStats describes a file that was read to its end.
type StreamStats struct {
	Bytes    int64  // plain bytes
	XXH128   string // of the plain bytes, as printed by [XXH128]
	Attempts int    // requests for the file
}

// Open opens a file of m. It sends the source's credential if the manifest requires it for
// files, and none otherwise (IG 3.0.0, "capability URLs"); see also Options.FileHosts. An
// expired link is renewed from m.StatusURL. Canceling ctx ends all reads of the stream. The
// caller must close the stream.
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

// use makes f's link the current one, if it may be followed.
func (s *Stream) use(m *Manifest, f File) error {
	s.file = f
	var err error
	if s.public, err = s.client.reach(f.URL, m.RequiresAccessToken); err != nil {
		hint := "to send the token to that origin, add it to the source's token_origins; otherwise ask the server's owner, since files elsewhere should need no token (requiresAccessToken false)"
		switch {
		case errors.Is(err, errInTheClear):
			hint = hintElsewhere(err) + "; or add that origin to the source's file_hosts"
		case errors.Is(err, errNoFileHost):
			hint = "if files may come from there, add that origin to the source's file_hosts"
		}
		return s.broken(err, hint)
	}
	return nil
}

var errNoFileHost = errors.New("which is not one of the allowed file hosts")

// reach checks that a file's URL may be requested, and reports whether to do so without a
// credential.
func (c *Client) reach(raw string, wantsToken bool) (public bool, err error) {
	origin, err := originOf(raw)
	if err != nil {
		return false, err
	}
	switch {
	case c.fileHosts[origin]:
		return true, nil
	case len(c.fileHosts) > 0 && !c.tokenFor[origin]:
		return false, fmt.Errorf("the file is at %s, %w", origin, errNoFileHost)
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
			s.record(p[:n])
			return n, nil // the next Read returns err again
		}
		if err == io.EOF {
			if err = s.checkComplete(); err == nil {
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
		s.client.log.Warn("an output file was cut off; opening it again", "type", s.file.Type, "after_bytes", s.read, "attempt", s.attempts, "error", transport.Cause(err))
	}
}

// record updates the state for bytes that the reader gets.
func (s *Stream) record(p []byte) {
	_, _ = s.sum.Write(p) // never fails
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

// afterCut returns an error if a file that was cut is not to be reopened.
func (s *Stream) afterCut(err error) error {
	var final *transport.Error
	switch {
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	case errors.As(err, &final):
		return err
	}
	if s.read > s.readAtCut && !errors.Is(err, transport.ErrTooSlow) {
		s.idle = 1 // the attempt that was cut here
	}
	s.readAtCut = s.read
	if s.idle >= s.client.attempts || s.fetched >= s.client.attempts || s.attempts >= s.client.attempts*attemptsFactor {
		return s.cut(s.read, err)
	}
	return nil
}

// checkComplete checks at EOF that the file is complete, which the connection cannot tell.
func (s *Stream) checkComplete() error {
	s.fetched++
	want := s.listed
	switch {
	case s.last != 0 && s.last != '}' && !s.endsWithBadLine():
		return errors.New("the last line is incomplete")
	case s.version.size > s.read: // the first response's size; the last response may not have had one
		return fmt.Errorf("it ended there, but had %d bytes before", s.version.size)
	case want.Bytes > s.read:
		return fmt.Errorf("it ended there, but the manifest says %d bytes", want.Bytes)
	case want.Bytes > 0 && want.Bytes < s.read:
		return s.broken(fmt.Errorf("the file has %d bytes, but the manifest says %d", s.read, want.Bytes), "run again")
	case s.sha256 == nil || want.SHA256 == hex.EncodeToString(s.sha256.Sum(nil)):
		return nil
	case s.fetched < 2 && want.Bytes == 0:
		return errors.New("it ended there, and its SHA-256 is not the one in the manifest") // if it was cut between two lines, a retry gets more
	}
	return s.broken(errors.New("the file's SHA-256 is not the one in the manifest"), "run again; if that does not help, ask the server's owner")
}

// endsWithBadLine reports whether the file ends, uncut, with a line that is not an object. In
// NDJSON every line ends with its object's brace. But if the file begins with an object, its last
// line ends with a newline, and the response has its declared length, then the file is complete
// and the line is left to quarantine.
func (s *Stream) endsWithBadLine() bool {
	return s.first == '{' && s.tail[len(s.tail)-1] == '\n' && s.version.size == s.read
}

// Stats returns statistics that are valid once Read has returned [io.EOF].
func (s *Stream) Stats() StreamStats {
	return StreamStats{Bytes: s.read, XXH128: s.sum.String(), Attempts: s.attempts}
}

// Close closes the stream. It may be called at any time, and more than once.
func (s *Stream) Close() error {
	s.drop()
	if s.err == nil {
		s.err = errors.New("bulk: read of a closed Stream")
	}
	return nil
}

// drop closes the current body.
func (s *Stream) drop() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

// doing returns the text for [transport.Error].Doing.
func (f File) doing() string {
	return strings.TrimSpace("reading an output file of " + f.Type)
}

func (s *Stream) broken(err error, hint string) error {
	return &transport.Error{Kind: transport.Broken, Doing: s.file.doing(), URL: s.file.URL, Err: err, Hint: hint}
}

// cut returns the error for a file that was cut in all attempts, the last time after at bytes.
func (s *Stream) cut(at int64, err error) error {
	return s.broken(fmt.Errorf("the file was cut off after %d bytes, on the last of %d attempts: %w", at, s.attempts, transport.Cause(err)),
		"run again; if that does not help, the server or a proxy cuts off long responses")
}
