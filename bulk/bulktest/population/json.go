package population

import (
	"strconv"
	"unicode/utf8"
)

// A doc writes one resource as compact JSON. It only appends to one reused buffer, and keeps no
// tree: a separator is needed wherever the last byte does not open an object or an array, and
// end knows from its stack which bracket to close.
type doc struct {
	b    []byte
	ends []byte
	seed uint64

	// ascii escapes everything outside of ASCII, like the servers of some payers.
	ascii bool
}

func (d *doc) separate() {
	if c := d.b[len(d.b)-1]; c != '{' && c != '[' {
		d.b = append(d.b, ',')
	}
}

func (d *doc) key(name string) {
	d.separate()
	d.b = append(d.b, '"')
	d.b = append(d.b, name...)
	d.b = append(d.b, '"', ':')
}

// obj opens an object under a key, arr an array under a key, and item an object inside an array.
// end closes the innermost one.
func (d *doc) obj(name string) {
	d.key(name)
	d.b = append(d.b, '{')
	d.ends = append(d.ends, '}')
}

func (d *doc) arr(name string) {
	d.key(name)
	d.b = append(d.b, '[')
	d.ends = append(d.ends, ']')
}

func (d *doc) item() {
	d.separate()
	d.b = append(d.b, '{')
	d.ends = append(d.ends, '}')
}

func (d *doc) end() {
	last := len(d.ends) - 1
	d.b = append(d.b, d.ends[last])
	d.ends = d.ends[:last]
}

// end2 and end3 close two and three levels, at the end of deep but narrow structures.
func (d *doc) end2() { d.end(); d.end() }
func (d *doc) end3() { d.end(); d.end(); d.end() }

// str writes a string that needs no escaping: a literal of this package, or made of literals.
func (d *doc) str(name, value string) {
	d.key(name)
	d.b = append(d.b, '"')
	d.b = append(d.b, value...)
	d.b = append(d.b, '"')
}

// text writes any string.
func (d *doc) text(name, value string) {
	d.open(name)
	d.add(value)
	d.shut()
}

// value writes a string inside an array, escaped.
func (d *doc) value(s string) {
	d.separate()
	d.b = append(d.b, '"')
	d.add(s)
	d.shut()
}

// null writes null in an array of primitives, for an element that only has extensions.
func (d *doc) null() {
	d.separate()
	d.b = append(d.b, "null"...)
}

// open starts a string made of parts; add and addInt append to it, and shut ends it.
func (d *doc) open(name string) {
	d.key(name)
	d.b = append(d.b, '"')
}

func (d *doc) add(s string) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf && d.ascii {
			d.escape(s)
			return
		}
	}
	d.b = append(d.b, s...)
}

func (d *doc) addInt(n int) { d.b = strconv.AppendInt(d.b, int64(n), 10) }

// addPadded adds n with leading zeros up to a width.
func (d *doc) addPadded(n, width int) { d.b = appendPadded(d.b, n, width) }

func (d *doc) shut() { d.b = append(d.b, '"') }

func (d *doc) escape(s string) {
	const hex = "0123456789abcdef"
	unit := func(u rune) {
		d.b = append(d.b, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
	}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			d.b = append(d.b, '\\', byte(r))
		case r == '\n':
			d.b = append(d.b, '\\', 'n')
		case r == '\t':
			d.b = append(d.b, '\\', 't')
		case r < ' ':
			unit(r)
		case r < utf8.RuneSelf || !d.ascii:
			d.b = utf8.AppendRune(d.b, r)
		case r < 0x10000:
			unit(r)
		default:
			unit(0xd800 + (r-0x10000)>>10)
			unit(0xdc00 + (r-0x10000)&0x3ff)
		}
	}
}

func (d *doc) num(name string, n int) {
	d.key(name)
	d.b = strconv.AppendInt(d.b, int64(n), 10)
}

// dec writes n units of 10 to the power of -places, with all its places: 150 with two places is
// 1.50, since FHIR's decimals keep their precision.
func (d *doc) dec(name string, n, places int) {
	d.key(name)
	d.b = appendDecimal(d.b, n, places)
}

func (d *doc) yes(name string, b bool) {
	d.key(name)
	d.b = strconv.AppendBool(d.b, b)
}

func appendDecimal(b []byte, n, places int) []byte {
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	unit := 1
	for range places {
		unit *= 10
	}
	b = strconv.AppendInt(b, int64(n/unit), 10)
	if places == 0 {
		return b
	}
	return appendPadded(append(b, '.'), n%unit, places)
}

func appendPadded(b []byte, n, width int) []byte {
	for unit := 10; width > 1; width, unit = width-1, unit*10 {
		if n < unit {
			b = append(b, '0')
		}
	}
	return strconv.AppendInt(b, int64(n), 10)
}
