package bulk

import (
	"bufio"
	"io"
)

const utf8BOM = "\uFEFF"

// WithoutBOM returns r without the byte order mark with which some servers begin a file.
func WithoutBOM(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	if start, _ := b.Peek(len(utf8BOM)); string(start) == utf8BOM { // the next Read returns its error again
		_, _ = b.Discard(len(utf8BOM)) // cannot fail after Peek
	}
	return b
}

// FirstType returns the resourceType of the first resource in NDJSON, or "" if it cannot tell.
// It reads r up to there.
func FirstType(r io.Reader) string {
	d := newDecoder(WithoutBOM(r))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return ""
	}
	for {
		name, err := d.ReadToken()
		if err != nil || name.Kind() != '"' {
			return ""
		}
		if name.String() == "resourceType" {
			if t, err := d.ReadToken(); err == nil && t.Kind() == '"' {
				return typeName(t.String())
			}
			return ""
		}
		if d.SkipValue() != nil {
			return ""
		}
	}
}
