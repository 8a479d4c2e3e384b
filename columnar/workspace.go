package columnar

import (
	"cmp"
	"slices"
	"unsafe"
)

// workspace is what a Writer's first lane works with and leaves to that of its next parts, by
// [Writer.Reset]: memory that was used before need not be mapped, cleared and collected again.
// Of a day's mix, whose types have parts of their own, that was a twentieth of the time.
type workspace struct {
	scanner scanner
	encoder *pageEncoder
	memory  []byte         // of a block, between two of them
	columns []columnMemory // of row groups that are written, the one with the least first
}

// What is kept is bounded, in bytes, of a workspace without its columns, of each column and
// of all columns: a very long line makes them large, which shall not last until the end.
const (
	mostKept        = 16 << 20
	mostKeptColumns = 64 << 20
)

func (s *workspace) bytes() int {
	e := s.encoder
	return cap(s.memory) + cap(e.raw) + cap(e.packed) + cap(e.other) + int(unsafe.Sizeof(token{}))*cap(s.scanner.tape)
}

// columnMemory is the memory of a column that had a dictionary.
type columnMemory struct {
	dict  *dictionary
	index []int32
	plain []byte
}

func (m columnMemory) bytes() int {
	return cap(m.dict.plain) + int(unsafe.Sizeof(dictionaryValue{}))*cap(m.dict.values) + 4*cap(m.dict.table) + 4*cap(m.index) + cap(m.plain)
}

// beginColumn readies a column for its first value. What comes first in a type comes often, so it
// gets the most.
func (s *workspace) beginColumn(c *column, growth int) {
	last := len(s.columns) - 1
	if last < 0 {
		c.dict = newDictionary(c.fixed, growth)
		return
	}
	m := s.columns[last]
	s.columns = s.columns[:last]
	m.dict.renew(c.fixed, growth)
	c.dict, c.open.index, c.open.plain = m.dict, m.index[:0], m.plain[:0]
}

// keep takes the memory of a row group that is written and done with.
func (s *workspace) keep(g *rowGroup) {
	all := 0
	for _, m := range s.columns {
		all += m.bytes()
	}
	for i := range g.columns {
		c := &g.columns[i]
		m := columnMemory{c.dict, c.open.index, c.open.plain}
		if m.dict == nil || m.bytes() > min(mostKept, mostKeptColumns-all) {
			continue
		}
		all += m.bytes()
		s.columns = append(s.columns, m)
	}
	slices.SortFunc(s.columns, func(a, b columnMemory) int { return cmp.Compare(a.bytes(), b.bytes()) })
}
