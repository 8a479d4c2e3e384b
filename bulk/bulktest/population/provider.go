package population

// sharedStamp says when an entry of the directory was last updated.
func (s *scribe) sharedStamp(luck luck) stamp {
	at := s.w.end - dayLength - moment(luck.upTo(131, historyYears*daysInYear))*dayLength
	return stamp{at: at - moment(luck.upTo(132, int(dayLength))), version: 1 + luck.upTo(133, 4)}
}

func (s *scribe) writePractitioner(n int) {
	d, p := &s.doc, &s.w.doctors[n]
	at := n / doctorsPerCity
	luck := d.resource(shared(practitioner, n))
	d.meta(luck, s.sharedStamp(luck), usCore+"us-core-practitioner")
	d.arr("identifier")
	d.npi(p.npi)
	d.end()
	d.yes("active", true)
	d.arr("name")
	d.item()
	d.str("use", "official")
	d.text("family", p.family)
	d.arr("given")
	d.value(p.given)
	d.end()
	d.arr("prefix")
	d.value("Dr.")
	d.end3()
	d.arr("telecom")
	d.phone(at, p.phone, "work")
	d.end()
	d.arr("address")
	d.item()
	d.str("use", "work")
	d.streetAndCity(p.house, n%len(streets), n%len(streetForms), &cities[at], p.zip)
	d.end2()
	if p.female {
		d.str("gender", "female")
	} else {
		d.str("gender", "male")
	}
	d.arr("qualification")
	d.item()
	d.concept("code", specialties[n%doctorsPerCity])
	d.end2()
	d.done()
}

func (d *doc) npi(value string) {
	d.item()
	d.codes("type", code{hl7 + "v2-0203", "NPI", "National provider identifier"})
	d.str("system", sysNPI)
	d.str("value", value)
	d.end()
}

// writeRole writes where a practitioner works: a city's first ones at the clinic, the
// specialists at the hospital, the last three each at their own place.
func (s *scribe) writeRole(n int) {
	d, p := &s.doc, &s.w.doctors[n]
	at, slot := n/doctorsPerCity, n%doctorsPerCity
	place := at * placesPerCity
	switch {
	case slot <= 6:
		place += clinic
	case slot == dentistry:
		place += dentalOffice
	case slot == optometry:
		place += opticalShop
	case slot == pharmacist:
		place += pharmacy
	}
	luck := d.resource(shared(practitionerRole, n))
	d.meta(luck, s.sharedStamp(luck), usCore+"us-core-practitionerrole")
	d.yes("active", true)
	d.doctor(s.w, "practitioner", n)
	d.obj("organization")
	d.reference(organizationOf(place))
	d.str("display", s.w.places[place])
	d.end()
	d.arr("code")
	d.conceptItem(specialties[slot])
	d.end()
	d.arr("specialty")
	d.conceptItem(specialties[slot])
	d.end()
	d.arr("location")
	d.refItem(shared(location, place))
	d.end()
	d.arr("telecom")
	d.phone(at, p.phone, "work")
	d.end()
	d.arr("availableTime")
	d.item()
	d.arr("daysOfWeek")
	for _, weekday := range []string{"mon", "tue", "wed", "thu"} {
		d.value(weekday)
	}
	d.end()
	d.str("availableStartTime", "08:30:00")
	d.str("availableEndTime", "16:45:00")
	d.end2()
	d.done()
}

func (s *scribe) writeOrganization(n int) {
	d := &s.doc
	luck := d.resource(shared(organization, n))
	d.meta(luck, s.sharedStamp(luck), usCore+"us-core-organization")
	if n < len(insurers) {
		s.insurer(n)
	} else {
		s.provider(n - len(insurers))
	}
	d.done()
}

func (s *scribe) insurer(n int) {
	d, i := &s.doc, &insurers[n]
	d.narrative()
	d.addXHTML(i.name)
	d.narrativeEnd()
	d.arr("identifier")
	d.identifier(code{carin + "C4BBIdentifierType", "naiccode", "NAIC Code"}, "urn:oid:2.16.840.1.113883.6.300", "", i.naic, 5)
	d.end()
	d.yes("active", true)
	d.arr("type")
	d.conceptItem(code{hl7 + "organization-type", "pay", "Payer"})
	d.end()
	d.str("name", i.name)
	d.arr("telecom")
	d.phone(n, 150+n, "work")
	d.item()
	d.str("system", "url")
	d.str("value", i.source)
	d.end2()
	d.arr("address")
	d.item()
	d.streetAndCity(100+n, n, n, &cities[n], 1+n)
	d.end2()
}

func (s *scribe) provider(place int) {
	d := &s.doc
	at := place / placesPerCity
	d.arr("identifier")
	d.npi(npi(5000 + place))
	d.end()
	d.yes("active", true)
	d.arr("type")
	d.conceptItem(code{hl7 + "organization-type", "prov", "Healthcare Provider"})
	d.end()
	d.str("name", s.w.places[place])
	d.arr("telecom")
	d.phone(at, 100+place, "work")
	d.end()
	d.arr("address")
	d.item()
	d.streetAndCity(10+place, place%len(streets), place%len(streetForms), &cities[at], 1+place%50)
	d.end2()
}

func (s *scribe) writeLocation(n int) {
	d := &s.doc
	at := n / placesPerCity
	luck := d.resource(shared(location, n))
	d.meta(luck, s.sharedStamp(luck), usCore+"us-core-location")
	d.str("status", "active")
	d.str("name", s.w.places[n])
	d.str("mode", "instance")
	d.arr("type")
	d.conceptItem(placeForms[n%placesPerCity].typ)
	d.end()
	d.arr("telecom")
	d.phone(at, 100+n, "work")
	d.end()
	d.obj("address")
	d.streetAndCity(10+n, n%len(streets), n%len(streetForms), &cities[at], 1+n%50)
	d.end()
	d.obj("position")
	d.dec("longitude", cities[at].long+luck.upTo(134, 60_000)-30_000, 6)
	d.dec("latitude", cities[at].lat+luck.upTo(135, 60_000)-30_000, 6)
	d.end()
	d.ref("managingOrganization", organizationOf(n))
	d.done()
}
