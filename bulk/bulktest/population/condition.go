package population

func (s *scribe) writeConditions(int) {
	for n := range s.life.ailments {
		s.writeCondition(n)
	}
}

func (s *scribe) writeCondition(n int) {
	d, l := &s.doc, &s.life
	a := &l.ailments[n]
	luck := d.resource(l.id(condition, n))
	recorded := min(a.onset+4, l.today-1)
	at, insurer := max(a.onset, l.today-historyYears*daysInYear).at(15, 0, zulu), ownInsurer
	if a.visit >= 0 {
		recorded = l.visits[a.visit].start.date()
		at, insurer = l.visits[a.visit].end, l.covers[l.visits[a.visit].cover].insurer
	}
	text := illnesses[a.illness].chart.display
	d.meta(luck, l.stamp(luck, at, insurer), usCore+"us-core-condition")
	if luck.oneIn(61, 15) {
		d.narrative()
		d.addXHTML(text)
		d.addXHTML(" (severity < 3 & stable)")
		d.narrativeEnd()
	}
	status := code{hl7 + "condition-clinical", "active", "Active"}
	if a.healed != 0 {
		status = code{hl7 + "condition-clinical", "resolved", "Resolved"}
	}
	d.codes("clinicalStatus", status)
	d.codes("verificationStatus", code{hl7 + "condition-ver-status", "confirmed", "Confirmed"})
	d.arr("category")
	if a.chronic() {
		d.conceptItem(code{hl7 + "condition-category", "problem-list-item", "Problem List Item"})
	} else {
		d.conceptItem(code{hl7 + "condition-category", "encounter-diagnosis", "Encounter Diagnosis"})
	}
	d.end()
	if luck.oneIn(62, 6) {
		d.concept("severity", code{sysSNOMED, "6736007", "Moderate"})
	}
	d.obj("code")
	d.codesParts(illnesses[a.illness].chart, illnesses[a.illness].claim)
	d.str("text", text)
	d.end()
	d.ref("subject", l.id(patient, 0))
	if a.visit >= 0 {
		d.ref("encounter", l.id(encounter, a.visit))
	}
	switch {
	case a.visit >= 0:
		d.dateTime("onsetDateTime", a.onset.at(9, 0, l.zone), l.zone)
	case luck.oneIn(63, 9):
		d.quantity("onsetAge", l.birth.yearsTo(a.onset), 0, unit{"a", "years"})
	case luck.oneIn(64, 20):
		d.text("onsetString", `"years ago", date not known`)
	default:
		d.partialDate("onsetDateTime", a.onset, precision(luck.upTo(65, 3)))
	}
	if a.healed != 0 {
		d.partialDate("abatementDateTime", a.healed, precision(luck.upTo(66, 5)/4))
	}
	d.date("recordedDate", recorded)
	if luck.oneIn(67, 3) {
		d.ref("recorder", shared(practitioner, l.doctor))
	}
	if luck.oneIn(68, 25) {
		d.arr("note")
		d.item()
		d.dateTime("time", recorded.at(16, 0, l.zone), l.zone)
		d.text("text", "Patient says:\n\t\"comes and goes\".\nReview in 3 months.")
		d.end2()
	}
	d.done()
}
