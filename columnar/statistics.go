package columnar

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// note widens a column's statistics by the open page's PLAIN values.
func (c *column) note(f *Field) {
	if !f.ordered() || !c.plainly {
		return
	}
	width := c.fixed
	for v := c.plain; len(v) > 0; v = v[width:] {
		if c.fixed == 0 {
			width = 4 + int(binary.LittleEndian.Uint32(v))
			c.noteValue(f, v[4:width])
			continue
		}
		c.noteValue(f, v[:width])
	}
}

// noteDictionary widens a column's statistics by its dictionary.
func (c *column) noteDictionary(f *Field) {
	if !f.ordered() {
		return
	}
	for i := range c.dict.ends {
		c.noteValue(f, c.dict.value(uint32(i)))
	}
}

// maxBound is how long a text may be that stands in statistics, which every reader of
// the file has to read.
const maxBound = 256

func (c *column) noteValue(f *Field, v []byte) {
	if c.unbounded = c.unbounded || len(v) > maxBound; c.unbounded {
		c.least, c.most = nil, nil
		return
	}
	if c.least == nil || f.compare(v, c.least) < 0 {
		c.least = slices.Clone(v)
	}
	if c.most == nil || f.compare(v, c.most) > 0 {
		c.most = slices.Clone(v)
	}
}

// ordered says whether a column has least and greatest value in its statistics.
// Numbers and times have; of texts only codes and the like, which are short and say
// nothing of a person. The others' bounds would stand in the footer, in the clear
// where columns are encrypted.
func (f *Field) ordered() bool {
	switch f.Type {
	case Int, Long, Timestamp, Decimal:
		return true
	case String:
		return f.FHIR == "code" || f.FHIR == "uri" || f.FHIR == "canonical"
	}
	return false
}

// compare orders two values as the column's type does.
func (f *Field) compare(a, b []byte) int {
	switch f.Type {
	case Int:
		return cmp.Compare(int32(binary.LittleEndian.Uint32(a)), int32(binary.LittleEndian.Uint32(b)))
	case Long, Timestamp:
		return cmp.Compare(int64(binary.LittleEndian.Uint64(a)), int64(binary.LittleEndian.Uint64(b)))
	case Decimal: // signed and big-endian
		if c := cmp.Compare(int8(a[0]), int8(b[0])); c != 0 {
			return c
		}
		return slices.Compare(a[1:], b[1:])
	}
	return slices.Compare(a, b)
}
