package bulk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// version identifies what a server has at a file's URL, to tell whether it is still the same.
// The IG does not mention ranges, and servers get them wrong: DPC ends each range after 1 MiB
// and calls that the file's length. So a range is trusted only if everything about it fits, and
// only for content without an encoding: a range of gzip counts other bytes.
type version struct {
	validator string // for If-Range: a strong ETag, or a Last-Modified as good as one; "" means read from the start
	etag      string
	modified  string
	total     int64 // bytes on the wire, -1 if unknown
	size      int64 // plain bytes, -1 if unknown
}

func versionOf(resp *http.Response, identity bool) version {
	v := version{etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified"), total: resp.ContentLength, size: -1}
	if identity {
		v.size = resp.ContentLength
	}
	if !identity || strings.EqualFold(resp.Header.Get("Accept-Ranges"), "none") {
		return v
	}
	if strongETag(v.etag) {
		v.validator = v.etag
	} else if v.etag == "" && strongDate(resp.Header) {
		v.validator = v.modified
	}
	return v
}

// strongETag reports whether s is a strong ETag. Weak ones and those without quotes (DPC's)
// are not allowed in If-Range (RFC 9110, 8.8.3 and 13.1.5).
func strongETag(s string) bool {
	return len(s) > 2 && s[0] == '"' && strings.IndexByte(s[1:], '"') == len(s)-2
}

// strongDate reports whether Last-Modified is a date, and at least a second older than the
// response, so that a second change within the same second would show (RFC 9110, 8.8.2.2).
func strongDate(h http.Header) bool {
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return false
	}
	date, err := http.ParseTime(h.Get("Date"))
	return err == nil && date.Sub(modified) >= time.Second
}

// resumeAt returns the offset to resume at after read bytes, of which the last known ones are
// requested again. 0 means to read from the start.
func (v version) resumeAt(read int64, known int) int64 {
	if v.validator == "" {
		return 0
	}
	return max(read-int64(known), 0)
}

// resume returns a body for the rest of the file, if resp, the response to a request for the
// bytes at and after from, is beyond doubt just that.
func (s *Stream) resume(resp *http.Response, from int64) (*fileBody, error) {
	if resp.StatusCode != http.StatusPartialContent {
		return nil, fmt.Errorf("the server answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	first, last, total, ok := contentRange(resp.Header.Get("Content-Range"))
	h, v := resp.Header, s.version
	switch {
	case !ok || first != from || last != total-1:
		return nil, fmt.Errorf("its Content-Range does not cover byte %d to the end", from)
	case v.total >= 0 && total != v.total:
		return nil, fmt.Errorf("its Content-Range gives a size of %d bytes, but the file had %d", total, v.total)
	case resp.ContentLength >= 0 && resp.ContentLength != last-first+1:
		return nil, errors.New("its Content-Length does not match its Content-Range")
	case h.Get("ETag") != "" && h.Get("ETag") != v.etag, v.modified != "" && h.Get("Last-Modified") != "" && h.Get("Last-Modified") != v.modified:
		return nil, errors.New("it is a different version")
	case !isIdentity(h):
		return nil, errors.New("it is compressed")
	}
	body := newFileBody(resp)
	again := make([]byte, len(s.tail))
	if _, err := io.ReadFull(body, again); err != nil {
		return nil, err
	}
	if !bytes.Equal(again, s.tail) {
		return nil, errors.New("its bytes differ from those already read")
	}
	body.from, body.identity = s.read, true
	return body, nil
}

// coversAll reports whether a 206 that no Range asked for holds the whole file.
func coversAll(resp *http.Response) bool {
	first, last, total, ok := contentRange(resp.Header.Get("Content-Range"))
	return ok && first == 0 && last == total-1 && resp.ContentLength == total
}

// contentRange parses "bytes first-last/total" (RFC 9110, 14.4).
func contentRange(s string) (first, last, total int64, ok bool) {
	span, all, _ := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	a, b, _ := strings.Cut(span, "-")
	var errs [3]error
	first, errs[0] = strconv.ParseInt(a, 10, 64)
	last, errs[1] = strconv.ParseInt(b, 10, 64)
	total, errs[2] = strconv.ParseInt(all, 10, 64)
	ok = strings.HasPrefix(s, "bytes ") && errors.Join(errs[:]...) == nil && first >= 0 && last >= first && total > last
	return first, last, total, ok
}

func isIdentity(h http.Header) bool {
	e := h.Get("Content-Encoding")
	return e == "" || strings.EqualFold(e, "identity")
}
