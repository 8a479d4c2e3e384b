package columnar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// addResource makes a row of a line, unless it is a header or has to be refused.
func (l *lane) addResource(ctx context.Context, at line) error {
	s := l.likelyShare(at.bytes)
	if s == nil {
		resourceType, err := l.typeOf(at.bytes)
		if err != nil {
			return l.refuse(ctx, at, err)
		}
		if l.w.options.SkipHeaders && string(resourceType) == "Parameters" && isHeader(at.bytes, l.scanner.tape) {
			l.read.Headers++
			return nil
		}
		s, err = l.shareOf(ctx, string(resourceType))
		if errors.Is(err, errTypes) {
			return l.refuse(ctx, at, err)
		}
		if err != nil {
			return err
		}
	}
	if !s.shredder.row(at.bytes, l.origin, at.number) {
		return l.refuse(ctx, at, l.wrongWith(at.bytes))
	}
	if l.attachments != nil && l.attachments.in(at.bytes) {
		s.attachments++
	}
	if l.each != nil {
		l.each(s.part.layout.ResourceType, s.shredder.id, s.shredder.version)
	}
	l.read.Resources++
	return l.endRow(s, len(at.bytes))
}

// wrongWith returns what is wrong with a line that a shredder refused.
func (l *lane) wrongWith(line []byte) error {
	if err := l.scanner.scan(line); err != nil {
		return err
	}
	return errUnread
}

// likelyShare returns the share for a line's resourceType, if the line begins with it and the lane
// has had it before. The line has not been checked yet. likelyShare returns nil for all other
// lines, and for lines that may be headers.
func (l *lane) likelyShare(line []byte) *share {
	rest, ok := bytes.CutPrefix(line, []byte(`{"resourceType":"`))
	n := bytes.IndexByte(rest, '"')
	if !ok || n < 0 {
		return nil
	}
	if l.w.options.SkipHeaders && string(rest[:n]) == "Parameters" {
		return nil
	}
	if l.last == nil || l.last.part.layout.ResourceType != string(rest[:n]) {
		l.last = l.shares[string(rest[:n])]
	}
	return l.last
}

// typeOf checks a line and returns its resourceType. It leaves the line's tokens on the tape.
func (l *lane) typeOf(line []byte) ([]byte, error) {
	if err := l.scanner.scan(line); err != nil {
		return nil, err
	}
	tape := l.scanner.tape
	for i := uint32(1); i < tape[0].next; i = tape[i+1].next {
		value := tape[i+1]
		if string(tape[i].text(line)) != "resourceType" {
			continue
		}
		if value.kind != tokenString {
			return nil, errNoType
		}
		resourceType := value.text(line)
		if !isTypeName(resourceType) {
			return nil, errTypeName
		}
		return resourceType, nil
	}
	return nil, errNoType
}

// maxParts limits the number of parts that are open at once: R4 has 146 types, and there is no end
// to made-up ones.
const maxParts = 256

var (
	errTypes    = fmt.Errorf("its resource type is new, after %d others", maxParts)
	errNoType   = errors.New("it has no resourceType")
	errTypeName = errors.New("its resourceType is not a type name")
	errUnread   = errors.New("it is valid JSON, but fhirkiln cannot read it; this is a bug: please report it")
)

// isTypeName reports whether b can be the name of a resource type, which becomes part of paths.
func isTypeName(b []byte) bool {
	if len(b) == 0 || len(b) > 64 || b[0] < 'A' || b[0] > 'Z' {
		return false
	}
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
