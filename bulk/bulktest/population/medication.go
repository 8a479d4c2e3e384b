package population

func (s *scribe) writeOrders(int) {
	for n := range s.life.orders {
		s.writeOrder(n)
	}
}

func (s *scribe) writeOrder(n int) {
	d, l := &s.doc, &s.life
	o := &l.orders[n]
	v, dr := &l.visits[o.visit], &drugs[o.drug]
	luck := d.resource(l.id(medicationRequest, n))
	d.meta(luck, l.stamp(luck, v.end, l.covers[v.cover].insurer), usCore+"us-core-medicationrequest")
	contained := luck.oneIn(111, 18)
	if contained {
		d.arr("contained")
		d.item()
		d.str("resourceType", "Medication")
		d.str("id", "med")
		d.codes("code", dr.rxnorm, dr.ndc)
		d.str("status", "active")
		d.obj("form")
		d.str("text", dr.form.shown)
		d.end()
		d.arr("ingredient")
		d.item()
		d.concept("itemCodeableConcept", dr.rxnorm)
		d.obj("strength")
		d.quantity("numerator", 1, 0, unit{"{dose}", "dose"})
		d.quantity("denominator", dr.perDose, 0, dr.form)
		d.end()
		d.end2()
		d.end2()
	}
	if luck.oneIn(112, 60) {
		d.arr("modifierExtension")
		d.extension(exampleBase + "/StructureDefinition/do-not-refill-early")
		d.yes("valueBoolean", true)
		d.end2()
	}
	d.arr("identifier")
	d.identifier(code{}, exampleBase+"/prescriptions", "", 7_000_000+l.patient*perPatient+n, 10)
	d.end()
	last := v.start.date() + day(dr.days*(o.repeats+1))
	if last < l.today {
		d.str("status", "completed")
	} else {
		d.str("status", "active")
	}
	d.str("intent", "order")
	d.arr("category")
	d.conceptItem(code{hl7 + "medicationrequest-category", "community", "Community"})
	d.end()
	if contained {
		d.obj("medicationReference")
		d.str("reference", "#med")
		d.end()
	} else {
		d.concept("medicationCodeableConcept", dr.rxnorm)
	}
	d.ref("subject", l.id(patient, 0))
	d.ref("encounter", l.id(encounter, o.visit))
	d.dateTime("authoredOn", v.start+600, l.zone)
	d.doctor(s.w, "requester", v.doctor)
	d.arr("reasonReference")
	d.refItem(l.id(condition, o.ailment))
	d.end()
	s.dosage(luck, dr)
	d.obj("dispenseRequest")
	d.days("validityPeriod", v.start.date(), last)
	d.num("numberOfRepeatsAllowed", o.repeats)
	d.quantity("quantity", dr.perDose*dr.perDay*dr.days, 0, dr.form)
	d.quantity("expectedSupplyDuration", dr.days, 0, unit{"d", "days"})
	d.ref("performer", organizationOf(l.city*placesPerCity+pharmacy))
	d.end()
	d.obj("substitution")
	d.yes("allowedBoolean", !dr.brand)
	d.end()
	d.done()
}

func (s *scribe) dosage(luck luck, dr *drug) {
	d := &s.doc
	d.arr("dosageInstruction")
	d.item()
	d.num("sequence", 1)
	d.str("text", dr.dosage)
	d.obj("timing")
	d.obj("repeat")
	if luck.oneIn(113, 5) {
		d.obj("boundsDuration")
		d.quantityParts(dr.days, 0, unit{"d", "days"})
		d.end()
	}
	d.num("frequency", dr.perDay)
	d.dec("period", 10, 1)
	d.str("periodUnit", "d")
	d.end2()
	d.yes("asNeededBoolean", dr.perDay > 2)
	d.arr("doseAndRate")
	d.item()
	d.codes("type", code{hl7 + "dose-rate-type", "ordered", "Ordered"})
	if luck.oneIn(114, 12) {
		d.obj("doseRange")
		d.quantity("low", dr.perDose*10/2, 1, dr.form)
		d.quantity("high", dr.perDose*10, 1, dr.form)
		d.end()
	} else {
		d.quantity("doseQuantity", dr.perDose*10, 1, dr.form)
	}
	d.end2()
	d.end2()
}
