package population

// writeProvenances writes where a patient's record comes from. The first Provenance says that
// this payer sends it, the others from which earlier payer each part was received.
func (s *scribe) writeProvenances(int) {
	s.writeProvenance(0, -1)
	n := 1
	for c, cv := range s.life.covers {
		if cv.insurer != ownInsurer {
			s.writeProvenance(n, c)
			n++
		}
	}
}

func (s *scribe) writeProvenance(n, from int) {
	d, l := &s.doc, &s.life
	luck := d.resource(l.id(provenance, n))
	at, insurer := l.today-day(1+luck.upTo(141, 300)), ownInsurer
	if from >= 0 {
		insurer = l.covers[from].insurer
		at = min(l.covers[from].stop+day(luck.upTo(142, 60)), l.today-1)
	}
	st := l.stamp(luck, at.at(1, 0, zulu), ownInsurer)
	d.meta(luck, st, pdex+"pdex-provenance")
	d.arr("target")
	d.refItem(l.id(patient, 0))
	for c := range l.covers {
		if from < 0 || c == from {
			d.refItem(l.id(coverage, c))
		}
	}
	if from >= 0 {
		for i, b := range l.bills {
			if b.cover == from {
				d.refItem(l.id(benefit, i))
			}
		}
	}
	d.end()
	if from >= 0 {
		d.obj("occurredPeriod")
		d.date("start", l.covers[from].start)
		d.date("end", max(l.covers[from].start, l.covers[from].stop-1))
		d.end()
	}
	d.instant("recorded", st.at, luck.upTo(143, 1000), l.zone)
	d.concept("activity", code{hl7 + "v3-DataOperation", "UPDATE", "revise"})
	d.arr("agent")
	d.agent(code{hl7 + "provenance-participant-type", "author", "Author"}, insurer)
	d.agent(code{"http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type", "transmitter", "Transmitter"}, insurer)
	d.end()
	if from >= 0 {
		d.arr("entity")
		d.item()
		d.arr("extension")
		d.extension(pdex + "ProvenanceSourceFrom")
		d.concept("valueCodeableConcept", code{pdexSystem + "ProvenancePayerDataSource", "hl7fhirr4", "FHIR R4"})
		d.end2()
		d.str("role", "source")
		d.obj("what")
		d.open("reference")
		d.add(insurers[insurer].source)
		d.add("/Patient/")
		d.addUUID(mix(uint64(luck)))
		d.shut()
		d.end()
		d.end2()
	}
	d.done()
}

func (d *doc) agent(typ code, insurer int) {
	d.item()
	d.concept("type", typ)
	d.obj("who")
	d.reference(shared(organization, insurer))
	d.str("display", insurers[insurer].name)
	d.end2()
}
