package population

var reviewActions = [...]code{
	certified:       {"https://codesystem.x12.org/005010/306", "A1", "Certified in total"},
	certifiedInPart: {"https://codesystem.x12.org/005010/306", "A2", "Certified in part"},
	refused:         {"https://codesystem.x12.org/005010/306", "A3", "Not certified"},
	pended:          {"https://codesystem.x12.org/005010/306", "A4", "Pended"},
}

// writePreauth answers a request for prior authorization, in the profile PDex Prior
// Authorization (PDex 2.1).
func (s *scribe) writePreauth(n int) {
	d, l, b := &s.doc, &s.life, &s.life.bills[n]
	luck := d.resource(l.id(benefit, n))
	decided := min(b.from+day(luck.upTo(171, 6)), l.today-1)
	d.meta(luck, l.stamp(luck, decided.at(8, 0, zulu), l.covers[b.cover].insurer), pdex+"pdex-priorauthorization")
	d.arr("extension")
	d.extension(pdex + "extension-levelOfServiceCode")
	d.concept("valueCodeableConcept", []code{
		{"https://codesystem.x12.org/005010/1338", "E", "Elective"}, {"https://codesystem.x12.org/005010/1338", "U", "Urgent"},
	}[luck.upTo(172, 2)])
	d.end2()
	d.arr("identifier")
	d.identifier(code{}, exampleBase+"/authorizations", "AUTH", l.patient*perPatient+n, 10)
	d.end()
	s.billHead(n)
	d.codes("priority", code{hl7 + "processpriority", "normal", "Normal"})
	d.codes("fundsReserveRequested", code{hl7 + "fundsreserve", "provider", "Provider"})
	d.ref("facility", shared(location, l.visits[b.visit].place))
	d.ref("claim", l.id(claim, n))
	if b.verdict == pended {
		d.str("outcome", "queued")
	} else {
		d.str("outcome", "complete")
	}
	if b.verdict < refused {
		d.arr("preAuthRef")
		d.separate()
		d.b = append(d.b, '"')
		s.authorizationNumber(n)
		d.shut()
		d.end()
		d.arr("preAuthRefPeriod")
		d.item()
		d.date("start", decided)
		d.date("end", b.to)
		d.end2()
	}
	s.careTeam(b)
	s.diagnoses(b)
	d.arr("insurance")
	d.item()
	d.yes("focal", true)
	d.ref("coverage", l.id(coverage, b.cover))
	d.end2()
	s.preauthItems(n, decided)
	s.preauthTotal(b)
	d.done()
}

func (s *scribe) preauthItems(n int, decided day) {
	d, b := &s.doc, &s.life.bills[n]
	d.arr("item")
	for i := range s.invoice.lines {
		x := &s.invoice.lines[i]
		d.item()
		if b.verdict != pended {
			d.arr("extension")
			d.extension("http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-itemPreAuthIssueDate")
			d.date("valueDate", decided)
			d.end()
			d.extension("http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-itemPreAuthPeriod")
			d.days("valuePeriod", decided, b.to)
			d.end2()
		}
		s.itemHead(b, i, x)
		d.quantity("quantity", x.quantity, 0, unit{})
		d.money("unitPrice", x.unitPrice)
		d.money("net", x.submitted)
		d.arr("adjudication")
		d.item()
		s.reviewAction(n, decided)
		d.codes("category", amountSubmitted)
		d.money("amount", x.submitted)
		d.end()
		d.item()
		d.codes("category", code{pdexSystem + "PDexAdjudicationDiscriminator", "allowedunits", "Allowed Units"})
		d.dec("value", allowedUnits(b, x)*10, 1)
		d.end()
		if b.verdict == refused {
			d.item()
			d.codes("category", code{pdexSystem + "PDexAdjudicationDiscriminator", "denialreason", "Denial Reason"})
			d.codes("reason", code{"https://x12.org/codes/claim-adjustment-reason-codes", "50", "Not deemed a medical necessity"})
			d.end()
		}
		d.end2()
	}
	d.end()
}

func allowedUnits(b *bill, x *line) int {
	switch b.verdict {
	case certified:
		return x.quantity
	case certifiedInPart:
		return (x.quantity + 1) / 2
	}
	return 0
}

// reviewAction writes the decision about a line, and when it was made.
func (s *scribe) reviewAction(n int, decided day) {
	d, b := &s.doc, &s.life.bills[n]
	d.arr("extension")
	d.extension(pdex + "extension-reviewAction")
	d.arr("extension")
	d.extension("number")
	d.open("valueString")
	s.authorizationNumber(n)
	d.shut()
	d.end()
	d.extension(pdex + "extension-reviewActionCode")
	d.concept("valueCodeableConcept", reviewActions[b.verdict])
	d.end3()
	d.extension(pdex + "base-ext-when-adjudicated")
	d.dateTime("valueDateTime", decided.at(10, 30, s.life.zone), s.life.zone)
	d.end2()
}

func (s *scribe) preauthTotal(b *bill) {
	d := &s.doc
	eligible, used := 0, 0
	for i := range s.invoice.lines {
		x := &s.invoice.lines[i]
		eligible += allowedUnits(b, x) * x.unitPrice
		used += allowedUnits(b, x)
	}
	d.arr("total")
	d.item()
	d.arr("extension")
	d.extension(pdex + "PriorAuthorizationUtilization")
	d.quantity("valueQuantity", used, 0, unit{})
	d.end2()
	d.codes("category", code{pdexSystem + "PriorAuthorizationValueCodes", "eligible", "Eligible"})
	d.money("amount", eligible)
	d.end()
	d.item()
	d.codes("category", amountSubmitted)
	d.money("amount", s.invoice.sum.submitted)
	d.end2()
}
