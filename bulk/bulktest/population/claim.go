package population

// billTypes has the codes of each form of bill and CARIN's profiles for it, with amounts and
// without (CARIN IG for Blue Button 2.1).
var billTypes = [...]struct {
	typ, subType   code
	profile, basis string
}{
	professionalBill: {typ: claimType("professional", "Professional"), profile: eob + "Professional-NonClinician|2.1.0", basis: eob + "Professional-NonClinician-Basis|2.1.0"},
	inpatientBill:    {claimType("institutional", "Institutional"), code{carin + "C4BBInstitutionalClaimSubType", "inpatient", "Inpatient"}, eob + "Inpatient-Institutional|2.1.0", eob + "Inpatient-Institutional-Basis|2.1.0"},
	outpatientBill:   {claimType("institutional", "Institutional"), code{carin + "C4BBInstitutionalClaimSubType", "outpatient", "Outpatient"}, eob + "Outpatient-Institutional|2.1.0", eob + "Outpatient-Institutional-Basis|2.1.0"},
	pharmacyBill:     {typ: claimType("pharmacy", "Pharmacy"), profile: eob + "Pharmacy|2.1.0", basis: eob + "Pharmacy-Basis|2.1.0"},
	oralBill:         {typ: claimType("oral", "Oral"), profile: eob + "Oral|2.1.0", basis: eob + "Oral-Basis|2.1.0"},
	visionBill:       {typ: claimType("vision", "Vision"), profile: eob + "Professional-NonClinician|2.1.0", basis: eob + "Professional-NonClinician-Basis|2.1.0"},
}

const eob = c4bb + "C4BB-ExplanationOfBenefit-"

func claimType(c, text string) code { return code{hl7 + "claim-type", c, text} }

func (s *scribe) writeClaims(int) {
	for n := range s.life.bills {
		s.invoice.write(s.w, &s.life, n)
		s.writeClaim(n)
	}
}

func (s *scribe) writeClaim(n int) {
	d, l, b := &s.doc, &s.life, &s.life.bills[n]
	luck := d.resource(l.id(claim, n))
	d.meta(luck, l.stamp(luck, l.filed(b).at(8, 0, zulu), l.covers[b.cover].insurer), "")
	d.arr("identifier")
	d.identifier(code{}, exampleBase+"/claim-control-numbers", "CCN", l.patient*perPatient+n, 10)
	d.end()
	s.billHead(n)
	d.codes("priority", code{hl7 + "processpriority", "normal", "Normal"})
	if b.form == pharmacyBill {
		d.ref("prescription", l.id(medicationRequest, b.order))
	}
	d.obj("payee")
	d.codes("type", code{hl7 + "payeetype", "provider", "Provider"})
	d.end()
	if b.form != pharmacyBill {
		d.ref("facility", shared(location, l.visits[b.visit].place))
	}
	s.careTeam(b)
	s.diagnoses(b)
	s.billedProcedures(b)
	d.arr("insurance")
	d.item()
	d.num("sequence", 1)
	d.yes("focal", true)
	d.ref("coverage", l.id(coverage, b.cover))
	s.authorization(b)
	d.end2()
	d.arr("item")
	for i := range s.invoice.lines {
		x := &s.invoice.lines[i]
		d.item()
		s.itemHead(b, i, x)
		d.quantity("quantity", x.quantity, 0, s.unitOf(b))
		d.money("unitPrice", x.unitPrice)
		d.money("net", x.submitted)
		s.itemEncounter(b)
		d.end()
	}
	d.end()
	d.money("total", s.invoice.sum.submitted)
	d.done()
}

// filed returns the day on which the provider sent the bill.
func (l *life) filed(b *bill) day {
	if b.preauth {
		return b.from
	}
	return min(b.to+day(1+(b.visit*7+l.patient)%9), l.today-1)
}

// billHead writes the start of a Claim and of its ExplanationOfBenefit.
func (s *scribe) billHead(n int) {
	d, l, b := &s.doc, &s.life, &s.life.bills[n]
	t := &billTypes[b.form]
	d.str("status", "active")
	d.concept("type", t.typ)
	if t.subType.code != "" {
		d.concept("subType", t.subType)
	}
	if b.preauth {
		d.str("use", "preauthorization")
	} else {
		d.str("use", "claim")
	}
	d.ref("patient", l.id(patient, 0))
	d.days("billablePeriod", b.from, b.to)
	d.dateTime("created", l.filed(b).at(7, 15, l.zone), l.zone)
	d.obj("insurer")
	d.reference(shared(organization, l.covers[b.cover].insurer))
	d.text("display", insurers[l.covers[b.cover].insurer].name)
	d.end()
	d.obj("provider")
	place := l.placeOf(b)
	d.reference(organizationOf(place))
	d.text("display", s.w.places[place])
	d.end()
}

// placeOf returns the place that sends the bill.
func (l *life) placeOf(b *bill) int {
	if b.form == pharmacyBill {
		return l.city*placesPerCity + pharmacy
	}
	return l.visits[b.visit].place
}

func (s *scribe) careTeam(b *bill) {
	d, l := &s.doc, &s.life
	v := &l.visits[b.visit]
	role := code{carin + "C4BBClaimCareTeamRole", "rendering", "Rendering provider"}
	switch b.form {
	case inpatientBill, outpatientBill:
		role.code, role.display = "attending", "Attending"
	case pharmacyBill:
		role.code, role.display = "prescribing", "Prescribing provider"
	}
	d.arr("careTeam")
	d.item()
	d.num("sequence", 1)
	d.doctor(s.w, "provider", v.doctor)
	if b.form != pharmacyBill {
		d.yes("responsible", true)
	}
	d.codes("role", role)
	d.codes("qualification", specialties[v.doctor%doctorsPerCity])
	d.end()
	if v.doctor != l.doctor && (b.form == inpatientBill || b.form == outpatientBill) {
		d.item()
		d.num("sequence", 2)
		d.doctor(s.w, "provider", l.doctor)
		d.codes("role", code{carin + "C4BBClaimCareTeamRole", "referring", "Referring"})
		d.end()
	}
	d.end()
}

var (
	adultExam   = code{sysICD10, "Z00.00", "Encounter for general adult medical examination"}
	childExam   = code{sysICD10, "Z00.129", "Encounter for routine child health examination"}
	dentalCheck = code{sysICD10, "Z01.20", "Encounter for dental examination and cleaning"}
	visionCheck = code{sysICD10, "Z01.00", "Encounter for examination of eyes and vision"}

	principal = code{hl7 + "ex-diagnosistype", "principal", "Principal Diagnosis"}
	secondary = code{carin + "C4BBClaimDiagnosisType", "secondary", "Secondary"}
	other     = code{carin + "C4BBClaimDiagnosisType", "other", "Other"}
)

const maxDiagnoses = 4

// diagnoses writes the reason for the visit and the person's other illnesses. Pharmacies send
// none.
func (s *scribe) diagnoses(b *bill) {
	if b.form == pharmacyBill {
		return
	}
	d, l := &s.doc, &s.life
	v := &l.visits[b.visit]
	reason := adultExam
	switch {
	case v.reason >= 0:
		reason = illnesses[l.ailments[v.reason].illness].claim
	case b.form == oralBill:
		reason = dentalCheck
	case b.form == visionBill:
		reason = visionCheck
	case l.birth.yearsTo(b.from) < 18:
		reason = childExam
	}
	d.arr("diagnosis")
	d.diagnosis(1, reason, principal, b.form == inpatientBill)
	beside := secondary
	if b.form == inpatientBill || b.form == outpatientBill {
		beside = other
	}
	sequence := 1
	for i, a := range l.ailments {
		if sequence == maxDiagnoses || b.form == oralBill || b.form == visionBill {
			break
		}
		if a.chronic() && i != v.reason && a.onset <= b.from {
			sequence++
			d.diagnosis(sequence, illnesses[a.illness].claim, beside, b.form == inpatientBill)
		}
	}
	d.end()
}

func (d *doc) diagnosis(sequence int, c, typ code, admitted bool) {
	d.item()
	d.num("sequence", sequence)
	d.concept("diagnosisCodeableConcept", c)
	d.arr("type")
	d.codesItem(typ)
	d.end()
	if admitted {
		d.codes("onAdmission", code{"https://www.cms.gov/Medicare/Medicare-Fee-for-Service-Payment/HospitalAcqCond/Coding", "Y", "Present at the time of admission"})
	}
	d.end()
}

// billedProcedures writes the procedures that hospitals code for an admission.
func (s *scribe) billedProcedures(b *bill) {
	d, l := &s.doc, &s.life
	v := &l.visits[b.visit]
	if b.form != inpatientBill || b.preauth || v.nProcedures == 0 || procedures[v.procedures[0]].claim.code == "" {
		return
	}
	d.arr("procedure")
	d.item()
	d.num("sequence", 1)
	d.arr("type")
	d.codesItem(code{carin + "C4BBClaimProcedureType", "principal", "Principal"})
	d.end()
	d.dateTime("date", v.start+dayLength/2, l.zone)
	d.concept("procedureCodeableConcept", procedures[v.procedures[0]].claim)
	d.end2()
}

// authorization writes the reference to the payer's prior authorization.
func (s *scribe) authorization(b *bill) {
	if b.authority == 0 {
		return
	}
	d := &s.doc
	d.arr("preAuthRef")
	d.separate()
	d.b = append(d.b, '"')
	s.authorizationNumber(b.authority - 1)
	d.shut()
	d.end()
}

func (s *scribe) authorizationNumber(n int) {
	s.doc.add("AUTH")
	s.doc.addPadded(s.life.patient*perPatient+n, 10)
}

// itemHead writes what the items of a Claim and of its ExplanationOfBenefit share.
func (s *scribe) itemHead(b *bill, i int, x *line) {
	d, l := &s.doc, &s.life
	d.num("sequence", i+1)
	if b.form != pharmacyBill {
		d.arr("careTeamSequence")
		d.separate()
		d.addInt(1)
		d.end()
		d.arr("diagnosisSequence")
		d.separate()
		d.addInt(1)
		d.end()
	}
	if x.revenue.code != "" {
		d.concept("revenue", x.revenue)
	}
	d.codes("productOrService", x.what)
	if b.form == inpatientBill {
		d.days("servicedPeriod", b.from, b.to)
	} else {
		d.date("servicedDate", b.from)
	}
	if x.place.code != "" {
		d.codes("locationCodeableConcept", x.place)
	} else if b.form != pharmacyBill {
		d.ref("locationReference", shared(location, l.visits[b.visit].place))
	}
	if x.site.code != "" {
		d.concept("bodySite", x.site)
		d.arr("subSite")
		d.codesItem(code{carin + "C4BBSurfaceCodes", "O", "Occlusal"})
		d.end()
	}
}

func (s *scribe) unitOf(b *bill) unit {
	if b.form == pharmacyBill {
		return drugs[s.life.orders[b.order].drug].form
	}
	return unit{}
}

// itemEncounter writes the item's visit, which is unknown for drugs and future visits.
func (s *scribe) itemEncounter(b *bill) {
	if b.form == pharmacyBill || b.preauth {
		return
	}
	s.doc.arr("encounter")
	s.doc.refItem(s.life.id(encounter, b.visit))
	s.doc.end()
}
