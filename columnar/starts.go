package columnar

// starts tells the start of dates that came before: both are in dictionaries, by whose
// places it goes. So a date that comes again is neither read nor looked for.
type starts struct {
	places []uint32 // by a date's place: 1 more than its start's; 0 if that is not known
	epoch  int      // in which they are that
}

// of is the place of the start of the date that came last to c.
func (s *starts) of(epoch int, c *column) (at uint32, ok bool) {
	if c.plainly || s.epoch != epoch || int(c.dict.last) >= len(s.places) {
		return 0, false
	}
	at = s.places[c.dict.last]
	return at - 1, at > 0
}

// learn keeps the place of what came last to c's dates and to their starts.
func (s *starts) learn(epoch int, c, start *column) {
	if c.plainly || start.plainly {
		return
	}
	if s.epoch != epoch {
		s.places, s.epoch = s.places[:0], epoch
	}
	for len(s.places) <= int(c.dict.last) {
		push(&s.places, 0)
	}
	s.places[c.dict.last] = start.dict.last + 1
}
