package columnar

import (
	"cmp"
	"slices"
	"unsafe"
)

// workspace is the memory that a Writer's first lane works in and that [Writer.Reset] hands to the
// first lane of its next parts: memory that was used before need not be mapped, cleared and
// collected again. That was a twentieth of the time for a day's mix, whose types have parts of
// their own.
type workspace struct {
	scanner scanner
	encoder *pageEncoder
	memory  []byte         // of a block, between two blocks
	columns []columnMemory // of row groups that are written, smallest first
}

// Limits of what is kept, in bytes: maxKept for a workspace without its columns, and for each
// column; maxKeptColumns for all columns. A very long line makes these large, and that memory must
// not stay until the end.
const (
	maxKept        = 16 << 20
	maxKeptColumns = 64 << 20
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

// beginColumn readies a column for its first value. Columns that come first in a type come often,
// so they get the largest memory.
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

// keep takes over the memory of a row group that is written and no longer in use.
func (s *workspace) keep(g *rowGroup) {
	all := 0
	for _, m := range s.columns {
		all += m.bytes()
	}
	for i := range g.columns {
		c := &g.columns[i]
		m := columnMemory{c.dict, c.open.index, c.open.plain}
		if m.dict == nil || m.bytes() > min(maxKept, maxKeptColumns-all) {
			continue
		}
		all += m.bytes()
		s.columns = append(s.columns, m)
	}
	slices.SortFunc(s.columns, func(a, b columnMemory) int { return cmp.Compare(a.bytes(), b.bytes()) })
}
