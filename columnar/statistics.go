package columnar

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go/bloom/xxhash"
)

// bounds are the min and max of some values, for statistics.
type bounds struct {
	min, max  []byte // nil before the first value, and once a value was too long
	unbounded bool   // a value was too long
}

// maxBound is the maximum length of a text in statistics, which every reader of the file has to
// read.
const maxBound = 256

// widen extends the bounds to a value of f, which it copies.
func (b *bounds) widen(f *Field, v []byte) {
	if b.unbounded = b.unbounded || len(v) > maxBound; b.unbounded {
		b.min, b.max = nil, nil
		return
	}
	switch {
	case b.min == nil:
		b.min = slices.Clone(v)
		b.max = b.min
	case f.compare(v, b.max) > 0:
		b.max = slices.Clone(v)
	case f.compare(v, b.min) < 0:
		b.min = slices.Clone(v)
	}
}

// merge extends the bounds to other bounds of f.
func (b *bounds) merge(f *Field, other bounds) {
	if b.unbounded = b.unbounded || other.unbounded; b.unbounded {
		b.min, b.max = nil, nil
	} else if other.min != nil {
		b.widen(f, other.min)
		b.widen(f, other.max)
	}
}

// widenByIndices extends the bounds to the values of a dictionary that have these indices. used is
// scratch space, which it returns.
func (b *bounds) widenByIndices(f *Field, d *dictionary, index []int32, used []bool) []bool {
	used = slices.Grow(used[:0], len(d.values))[:len(d.values)]
	clear(used)
	for _, i := range index {
		used[i] = true
	}
	for i, u := range used {
		if u {
			b.widen(f, d.value(uint32(i)))
		}
	}
	return used
}

// sumUp returns the bounds of a column's open page, for the page index. Values in the page itself
// also go to the chunk's statistics; values in the dictionary go there once, by sumUpDictionary. A
// chunk's only page has no bounds of its own if its values are in the dictionary: they are the
// chunk's.
func (e *pageEncoder) sumUp(f *Field, c *column, alone bool) (b bounds) {
	switch {
	case c.open.values == 0:
	case c.isPlain():
		if c.bounded {
			c.plainValues(func(v []byte) { b.widen(f, v) })
			c.chunk.bounds.merge(f, b)
		}
		if c.bloom {
			c.plainValues(func(v []byte) { c.chunk.hashes = append(c.chunk.hashes, xxhash.Sum64(v)) })
		}
	case c.bounded && !alone:
		e.used = b.widenByIndices(f, c.dict, c.open.index, e.used)
	}
	return b
}

// sumUpDictionary adds the dictionary's values to the chunk's statistics and its bloom filter.
func (c *column) sumUpDictionary(f *Field) {
	for i := range c.dict.values {
		v := c.dict.value(uint32(i))
		if c.bounded {
			c.chunk.bounds.widen(f, v)
		}
		if c.bloom {
			c.chunk.hashes = append(c.chunk.hashes, xxhash.Sum64(v))
		}
	}
}

// plainValues calls each with the PLAIN-encoded values of the open page.
func (c *column) plainValues(each func(v []byte)) {
	width := c.fixed
	for v := c.open.plain; len(v) > 0; v = v[width:] {
		if c.fixed == 0 {
			width = 4 + int(binary.LittleEndian.Uint32(v))
			each(v[4:width])
			continue
		}
		each(v[:width])
	}
}

// bounded reports whether a column has min and max in its statistics. Numbers and times do. Of the
// texts, only codes and the like do, which are short and say nothing about a person: bounds stand
// in the footer, in the clear even where columns are encrypted. Columns that identify people have
// none unless identifying is set; then all of those do, texts too.
func (f *Field) bounded(identifying bool) bool {
	if f.identifies() {
		return identifying && f.Type != Boolean
	}
	switch f.Type {
	case Int, Long, Timestamp, Decimal:
		return true
	case String:
		return f.FHIR == "code" || f.FHIR == "uri" || f.FHIR == "canonical" || f.Required
	}
	return false
}

// identifies reports whether a column identifies people: names, addresses, telecom, identifiers,
// where a place is, when somebody was born and died and how old they were, with every type of
// these choices; and in a Bundle the URLs, which contain ids and searches.
func (f *Field) identifies() bool {
	for ; f.parent != nil; f = f.parent {
		switch f.FHIR {
		case "HumanName", "Address", "ContactPoint", "Identifier", "Location.position":
			return true
		case "uri":
			if strings.HasPrefix(f.parent.FHIR, "Bundle.") { // of a link or an entry
				return true
			}
		}
		switch name := strings.TrimPrefix(f.Name, "__"); {
		case strings.HasPrefix(name, "birthDate"), strings.HasPrefix(name, "born"), strings.HasPrefix(name, "deceased"),
			name == "ageAge", name == "ageRange":
			return true
		}
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
		if c := cmp.Compare(int64(binary.BigEndian.Uint64(a)), int64(binary.BigEndian.Uint64(b))); c != 0 {
			return c
		}
		return cmp.Compare(binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(b[8:]))
	}
	return bytes.Compare(a, b)
}
