package columnar

// starts tells the start of dates that came before: both are in dictionaries, by whose
// places it goes. So a date that comes again is not parsed, nor its start looked for.
type starts struct {
	places []uint32 // by a date's place: 1 more than its start's; 0 if that is not known
	epoch  int      // of the row group, for which places hold
}

// knownStart is the place of the start of the date that was just added to c.
func (c *column) knownStart(epoch int) (at uint32, ok bool) {
	s := &c.starts
	if c.plainly() || s.epoch != epoch || int(c.dict.last) >= len(s.places) {
		return 0, false
	}
	at = s.places[c.dict.last]
	return at - 1, at > 0
}

// learnStart keeps the place of what was just added to start, the start of what was just
// added to c.
func (c *column) learnStart(epoch int, start *column) {
	if c.plainly() || start.plainly() {
		return
	}
	s := &c.starts
	if s.epoch != epoch {
		s.places, s.epoch = s.places[:0], epoch
	}
	if n := int(c.dict.last) + 1 - len(s.places); n > 0 {
		s.places = append(s.places, make([]uint32, n)...)
	}
	s.places[c.dict.last] = start.dict.last + 1
}
