package bulk

import (
	"bufio"
	"io"
)

const utf8BOM = "\uFEFF"

// WithoutBOM is r without the byte order mark that some servers begin a file with.
func WithoutBOM(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	if start, _ := b.Peek(len(utf8BOM)); string(start) == utf8BOM { // its error comes again with the next Read
		_, _ = b.Discard(len(utf8BOM)) // it was peeked
	}
	return b
}

// FirstType is the resourceType of NDJSON's first resource, "" if its start does not
// tell. It reads r up to there.
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
