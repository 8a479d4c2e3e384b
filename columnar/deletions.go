package columnar

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"fhirkiln/fhir"
)

// deletions reads the lines of a deleted file. It reads a Bundle twice, so that one that is
// broken at its end leaves no tombstones, and entry by entry, so that the tape holds only one
// entry at a time.
type deletions struct {
	scanner scanner

	// Of the line surveyed last.
	resourceType, id                string
	hasType, hasEntries, hasRequest bool

	// rest has the members of __residual that come from the Bundle itself, each followed by a
	// comma. They go to its first tombstone.
	rest []byte

	// Of the entry read last.
	residual []byte
	odd      bool // members alone cannot restore the entry: it is kept whole
}

var (
	errNotDeleted = errors.New("it is neither a Bundle of deletions nor a resource with an id")
	errEntries    = errors.New("its entry is not an array, or occurs twice")
	errNoRequest  = errors.New("has no request with a method and a url")
	errNotDelete  = errors.New("is not a DELETE")
	errNoResource = errors.New("names no resource in its url")
)

// survey checks a line and notes what it is.
func (d *deletions) survey(line []byte) error {
	*d = deletions{scanner: d.scanner, rest: d.rest[:0], residual: d.residual}
	if err := isObject(line); err != nil {
		return err
	}
	return d.scanner.members(line, func(name string, i int) (int, error) {
		if name == "entry" {
			if d.hasEntries || at(line, i) != tokenArray {
				return 0, errEntries
			}
			d.hasEntries = true
			return d.scanner.elements(line, i, func(int, int) error { return nil })
		}
		end, err := d.scanner.scanValue(line, i)
		if err != nil {
			return 0, err
		}
		text := ""
		if t := &d.scanner.tape[0]; t.kind == tokenString {
			text = string(t.text(line))
		}
		switch name {
		case "resourceType":
			d.resourceType = text
			return end, nil
		case "type":
			d.hasType = true
			if text == "transaction" {
				return end, nil
			}
		case "id":
			d.id = text
		case "request":
			d.hasRequest = true
		}
		d.rest = appendMember(d.rest, "", name, line[i:end])
		return end, nil
	})
}

// isResource reports whether the line can be the deleted resource itself. Servers use the types
// excluded here to say something else.
func (d *deletions) isResource() bool {
	switch d.resourceType {
	case "Bundle", "Parameters", "OperationOutcome":
		return false
	}
	return isTypeName([]byte(d.resourceType)) && d.id != ""
}

// tombstone makes a tombstone of the entry line[start:end], which is on the tape.
func (d *deletions) tombstone(line []byte, start, end int) (t tombstone, err error) {
	var (
		tape    = d.scanner.tape
		request uint32
		texts   = map[string]string{}
	)
	d.residual, d.odd = append(d.residual[:0], d.rest...), false
	if tape[0].kind == tokenObject {
		d.take(line, 0, "/entry/0", func(name string, value uint32) bool {
			if name != "request" || tape[value].kind != tokenObject {
				return false
			}
			request = value
			return true
		})
	}
	if request == 0 {
		return t, errNoRequest
	}
	d.take(line, request, "/entry/0/request", func(name string, value uint32) bool {
		v := &tape[value]
		if name != "method" && name != "url" || v.kind != tokenString {
			return false
		}
		d.odd = d.odd || v.flags&flagSurrogate != 0
		texts[name] = string(v.text(line))
		return true
	})
	switch {
	case texts["method"] == "" || texts["url"] == "":
		return t, errNoRequest
	case texts["method"] != "DELETE":
		return t, errNotDelete
	}
	var ok bool
	if t.resourceType, t.id, ok = resourceIn(texts["url"]); !ok {
		return t, errNoResource
	}
	if t.url = texts["url"]; t.url == t.resourceType+"/"+t.id {
		t.url = ""
	}
	if d.odd {
		d.residual = appendMember(append(d.residual[:0], d.rest...), "/entry", "0", line[start:end])
	}
	if len(d.residual) > 0 {
		t.residual = append(append([]byte{'{'}, d.residual[:len(d.residual)-1]...), '}')
	}
	return t, nil
}

// take calls each with every distinct member of the object at i. Members for which each returns
// false go to __residual.
func (d *deletions) take(line []byte, i uint32, under string, each func(name string, value uint32) bool) {
	tape := d.scanner.tape
	var names []string
	for end, i := tape[i].next, i+1; i < end; i = tape[i+1].next {
		name := string(tape[i].text(line))
		twice, many := slices.Contains(names, name), len(names) == maxElsewhere
		d.odd = d.odd || tape[i].flags&flagSurrogate != 0 || many || twice
		if twice {
			continue // the first one counts
		}
		if !many {
			names = append(names, name)
		}
		if !each(name, i+1) && !d.odd {
			d.residual = appendMember(d.residual, under, name, valueOf(line, &tape[i+1]))
		}
	}
}

// appendMember appends a member of __residual, a pointer (RFC 6901) and a value, and a comma.
func appendMember(to []byte, under, name string, value []byte) []byte {
	to, _ = jsontext.AppendQuote(to, appendPointer([]byte(under), name, -1)) // names are valid UTF-8
	return append(append(append(to, ':'), value...), ',')
}

// resourceIn parses the url of a DELETE: Type/id, with or without a base before it and a version
// after it. It rejects the search of a conditional delete, which does not say what was deleted.
func resourceIn(link string) (resourceType, id string, ok bool) {
	path, _, _ := strings.Cut(link, "#")
	path, _, _ = strings.Cut(path, "?")
	if _, rest, absolute := strings.Cut(path, "://"); absolute {
		_, path, _ = strings.Cut(rest, "/") // without the host
	}
	steps := strings.Split(strings.TrimSuffix(path, "/"), "/")
	if n := len(steps); n >= 4 && steps[n-2] == "_history" {
		steps = steps[:n-2]
	}
	if len(steps) < 2 {
		return "", "", false
	}
	resourceType = steps[len(steps)-2]
	id, err := url.PathUnescape(steps[len(steps)-1])
	if err != nil || id == "" || !utf8.ValidString(id) || !isTypeName([]byte(resourceType)) {
		return "", "", false
	}
	if typ, known := fhir.R4().Lookup(id); known && typ.Kind == fhir.KindResource {
		return "", "", false // .../R4/Patient is a whole type
	}
	return resourceType, id, true
}

// valueOf returns a value as it stands in the line.
func valueOf(line []byte, t *token) []byte {
	if t.kind == tokenString {
		return line[t.start-1 : t.end+1]
	}
	return line[t.start:t.end]
}

// entries calls each for every element of the member entry of a surveyed line, as elements does.
func (s *scanner) entries(line []byte, each func(start, end int) error) error {
	return s.members(line, func(name string, i int) (int, error) {
		if name == "entry" {
			return s.elements(line, i, each)
		}
		return s.scanValue(line, i)
	})
}

// members calls each for every member of the object that the line is, with the name and the
// index where the value begins; each returns the index where the value ends. An error ends it.
func (s *scanner) members(line []byte, each func(name string, i int) (end int, err error)) error {
	i := skipSpace(line, 1)
	for first := true; ; first = false {
		if first && at(line, i) == '}' {
			break
		}
		s.tape = s.tape[:0]
		start, err := s.key(line, i)
		if err != nil {
			return err
		}
		name := string(s.tape[0].text(line))
		end, err := each(name, start)
		if err != nil {
			return err
		}
		if i = skipSpace(line, end); at(line, i) == '}' {
			break
		}
		if at(line, i) != ',' {
			return &syntaxError{i, "a comma or closing bracket is missing"}
		}
		i = skipSpace(line, i+1)
	}
	if i+1 != len(line) {
		return &syntaxError{i + 1, "there is extra data after its JSON object"}
	}
	return nil
}

// elements calls each for every element of the array at i. The element is line[start:end], and
// alone on the tape. It returns the index where the array ends.
func (s *scanner) elements(line []byte, i int, each func(start, end int) error) (int, error) {
	if i = skipSpace(line, i+1); at(line, i) == ']' {
		return i + 1, nil
	}
	for {
		end, err := s.scanValue(line, i)
		if err != nil {
			return 0, err
		}
		if err := each(i, end); err != nil {
			return 0, err
		}
		switch i = skipSpace(line, end); at(line, i) {
		case ']':
			return i + 1, nil
		case ',':
			i = skipSpace(line, i+1)
		default:
			return 0, &syntaxError{i, "a comma or closing bracket is missing"}
		}
	}
}
