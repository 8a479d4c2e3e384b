package columnar

// starts remembers the starts of dates that came before, as indices into the two columns'
// dictionaries. A date that comes again is not parsed, and its start is not looked up.
type starts struct {
	indices []uint32 // by a date's index: 1 + the index of its start; 0 if that is not known
	epoch   int      // of the row group, in which the indices are valid
}

// knownStart returns the dictionary index of the start of the date that was just added to c.
func (c *column) knownStart(epoch int) (at uint32, ok bool) {
	s := &c.starts
	if c.isPlain() || s.epoch != epoch || int(c.dict.last) >= len(s.indices) {
		return 0, false
	}
	at = s.indices[c.dict.last]
	return at - 1, at > 0
}

// learnStart remembers what was just added to start as the start of the date that was just added
// to c.
func (c *column) learnStart(epoch int, start *column) {
	if c.isPlain() || start.isPlain() {
		return
	}
	s := &c.starts
	if s.epoch != epoch {
		s.indices, s.epoch = s.indices[:0], epoch
	}
	if n := int(c.dict.last) + 1 - len(s.indices); n > 0 {
		s.indices = append(s.indices, make([]uint32, n)...)
	}
	s.indices[c.dict.last] = start.dict.last + 1
}
