package columnar

import (
	"bytes"
	"strings"

	"fhirkiln/fhir"
)

// attachmentFinder finds resources that have an Attachment whose url begins with one of a set of
// origins.
//
// Nearly all resources have no url member with such a value. Mostly their bytes show that, and
// otherwise their tape. The rest are walked along R4's types, because the url of an extension or
// of a ValueSet is not an Attachment's. Where R4 does not know a member or a resource type, any
// url except an extension's counts, since it may be an Attachment's.
type attachmentFinder struct {
	origins [][]byte
	r4      *fhir.Definitions

	hosts []hostFinder // one per origin

	scanner scanner
	line    []byte
	tape    []token
}

func newAttachmentFinder(origins []string) *attachmentFinder {
	a := &attachmentFinder{r4: fhir.R4()}
	for _, o := range origins {
		o = strings.TrimRight(o, "/")
		_, host, _ := strings.Cut(o, "://")
		a.origins, a.hosts = append(a.origins, []byte(o)), append(a.hosts, newHostFinder(host))
	}
	return a
}

// in reports whether a resource, given as a valid line, has such an Attachment.
func (a *attachmentFinder) in(line []byte) bool {
	if !a.mayContain(line) || a.scanner.scan(line) != nil {
		return false
	}
	tape := a.scanner.tape
	a.line, a.tape = line, tape
	for i := range tape {
		if tape[i].kind == tokenKey && a.isURL(uint32(i)) && a.hasOrigin(&tape[i+1]) {
			return a.resource(0)
		}
	}
	return false
}

// mayContain reports whether a line may contain one of the hosts. Most lines contain none, and
// need no scan. A line with an escaped slash or a \u escape may, since the host may be escaped.
func (a *attachmentFinder) mayContain(line []byte) bool {
	for i := range a.hosts {
		if a.hosts[i].in(line) {
			return true
		}
	}
	for rest := line; ; {
		i := bytes.IndexByte(rest, '\\')
		if i < 0 || i+1 == len(rest) {
			return false
		}
		if c := rest[i+1]; c == '/' || c == 'u' {
			return true
		}
		rest = rest[i+2:]
	}
}

// hostFinder finds a host in lines. It searches for the host's rarest byte: a search for its
// first byte, or for "://", would stop every few bytes.
type hostFinder struct {
	host []byte
	at   int    // index of the rarest byte in host; -1 if newHostFinder ranks none of its bytes
	rare string // that byte, in both cases if it is a letter
}

func newHostFinder(host string) hostFinder {
	// The bytes of FHIR's lines, from the most frequent to the rarest.
	const frequent = "ei:tocrasndlp0ymgu-fh1b2v.43759z68wxqkj"
	host = strings.ToLower(host)
	f := hostFinder{host: []byte(host), at: -1}
	rank := -1
	for i := range f.host {
		if r := strings.IndexByte(frequent, f.host[i]); r > rank {
			rank, f.at, f.rare = r, i, host[i:i+1]
		}
	}
	if upper := strings.ToUpper(f.rare); upper != f.rare {
		f.rare += upper
	}
	return f
}

// in reports whether a line contains the host. It returns true if at is -1.
func (f *hostFinder) in(line []byte) bool {
	if f.at < 0 {
		return true
	}
	for _, c := range []byte(f.rare) {
		for i := 0; ; i++ {
			next := bytes.IndexByte(line[i:], c)
			if next < 0 {
				break
			}
			i += next
			start, end := i-f.at, i-f.at+len(f.host)
			if start >= 0 && end <= len(line) && bytes.EqualFold(line[start:end], f.host) {
				return true
			}
		}
	}
	return false
}

// isURL reports whether the key at i is url.
func (a *attachmentFinder) isURL(i uint32) bool {
	return string(a.tape[i].text(a.line)) == "url"
}

// hasOrigin reports whether a value is a string that begins with one of the origins. A port may
// follow the origin.
func (a *attachmentFinder) hasOrigin(t *token) bool {
	if t.kind != tokenString {
		return false
	}
	value := t.text(a.line)
	for _, o := range a.origins {
		if n := len(o); len(value) >= n && bytes.EqualFold(value[:n], o) && (len(value) == n || strings.IndexByte("/?#:", value[n]) >= 0) {
			return true
		}
	}
	return false
}

// resource searches the resource at i.
func (a *attachmentFinder) resource(i uint32) bool {
	var typ *fhir.Type
	for end, i := a.tape[i].next, i+1; i < end; i = a.tape[i+1].next {
		if value := &a.tape[i+1]; value.kind == tokenString && string(a.tape[i].text(a.line)) == "resourceType" {
			if t, known := a.r4.Lookup(string(value.text(a.line))); known && t.Kind == fhir.KindResource && !t.Abstract {
				typ = t
			}
		}
	}
	return a.object(i, typ)
}

// value searches the value at i, which has the type typ, or all elements of the array at i. typ
// is nil for what R4 does not know.
func (a *attachmentFinder) value(i uint32, typ *fhir.Type) bool {
	switch a.tape[i].kind {
	case tokenArray:
		for end, i := a.tape[i].next, i+1; i < end; i = a.tape[i].next {
			if a.value(i, typ) {
				return true
			}
		}
	case tokenObject:
		if typ != nil && typ.Kind == fhir.KindResource {
			return a.resource(i)
		}
		return a.object(i, typ)
	}
	return false
}

// object searches the object at i.
func (a *attachmentFinder) object(i uint32, typ *fhir.Type) bool {
	for end, i := a.tape[i].next, i+1; i < end; i = a.tape[i+1].next {
		if (typ == nil || typ.Name == "Attachment") && a.isURL(i) && a.hasOrigin(&a.tape[i+1]) {
			return true
		}
		if kind := a.tape[i+1].kind; kind != tokenObject && kind != tokenArray {
			continue
		}
		if a.value(i+1, a.member(typ, string(a.tape[i].text(a.line)))) {
			return true
		}
	}
	return false
}

// member returns the type of a member, or nil if R4 does not know it.
func (a *attachmentFinder) member(typ *fhir.Type, name string) *fhir.Type {
	if name == "extension" || name == "modifierExtension" {
		t, _ := a.r4.Lookup("Extension")
		return t
	}
	if typ == nil {
		if name == "contained" || name == "resource" {
			t, _ := a.r4.Lookup("Resource")
			return t
		}
		return nil
	}
	m, known := typ.Member(strings.TrimPrefix(name, "_")) // _x has the id and extensions of a primitive x
	if !known {
		return nil
	}
	return a.r4.TypeOf(m)
}
