package population

// groupSize is the maximum number of members of a group; some payers have such a limit.
const groupSize = 10_000

var attributed = code{pdexSystem + "PdexMemberAttributionCS", "pdexprovidergroup", "PDex Provider Group"}

// writeGroup writes the n-th part of the list of members attributed to the providers. Members
// who have left are still on it, as inactive.
func (s *scribe) writeGroup(n int) {
	d := &s.doc
	luck := d.resource(shared(group, n))
	d.meta(luck, stamp{at: s.w.end - hour, version: 30 + n}, pdex+"pdex-provider-group")
	d.arr("identifier")
	d.npi(npi(5000 + clinic))
	d.end()
	d.yes("active", true)
	d.str("type", "person")
	d.yes("actual", true)
	d.concept("code", attributed)
	d.open("name")
	d.add("Attributed members, list ")
	d.addInt(n + 1)
	d.shut()
	from, to := n*groupSize, min((n+1)*groupSize, s.w.patients)
	d.num("quantity", to-from)
	d.ref("managingEntity", shared(organization, ownInsurer))
	d.arr("characteristic")
	d.item()
	d.concept("code", attributed)
	d.ref("valueReference", organizationOf(clinic))
	d.yes("exclude", false)
	d.obj("period")
	d.date("start", s.w.today-historyYears*daysInYear)
	d.end3()
	d.arr("member")
	for p := from; p < to; p++ {
		s.member(p)
	}
	d.end()
	d.done()
}

func (s *scribe) member(p int) {
	d, l := &s.doc, &s.life
	l.live(s.w, p)
	last := l.covers[len(l.covers)-1]
	d.item()
	d.ref("entity", l.id(patient, 0))
	d.obj("period")
	d.date("start", last.start)
	if !last.open {
		d.date("end", last.stop-1)
	}
	d.end()
	if !last.open {
		d.yes("inactive", true)
	}
	d.end()
}
