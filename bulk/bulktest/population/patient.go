package population

const exampleBase = "https://fhir.bisonplains.example"

func (s *scribe) writePatient(n int) {
	d, l := &s.doc, &s.life
	p := &l.person
	luck := d.resource(id{patient, n, 0})
	d.meta(luck, s.personStamp(luck), usCore+"us-core-patient")
	if luck.oneIn(21, 8) {
		d.narrative()
		d.add("Member: ")
		d.addName(p)
		d.addXHTML(" <")
		d.add(p.gender())
		d.addXHTML("> & born ")
		d.b = appendDate(d.b, p.birth, toDay)
		d.narrativeEnd()
	}
	s.patientExtensions(luck)
	d.arr("identifier")
	s.memberNumber(ownInsurer)
	if !luck.oneIn(22, 3) {
		place := p.city * placesPerCity
		d.identifier(recordNumber, exampleBase+"/charts", "", place*1_000_000+n, 8)
	}
	d.end()
	if !luck.oneIn(23, 20) {
		d.yes("active", p.death == 0)
	}
	s.patientNames(luck)
	s.patientContacts(luck)
	d.str("gender", p.gender())
	d.date("birthDate", p.birth)
	if l.birth.yearsTo(l.today) < 10 && luck.oneIn(24, 4) {
		d.obj("_birthDate")
		d.arr("extension")
		d.extension("http://hl7.org/fhir/StructureDefinition/patient-birthTime")
		d.dateTime("valueDateTime", p.birth.at(6, 31, cities[p.city].zone), cities[p.city].zone)
		d.end3()
	}
	switch {
	case p.death != 0 && luck.oneIn(25, 4):
		d.yes("deceasedBoolean", true)
	case p.death != 0:
		d.dateTime("deceasedDateTime", p.death.at(4, 18, p.zone), p.zone)
	}
	s.address(p.house, p.street, p.streetForm, p.city, p.zip, luck)
	d.concept("maritalStatus", maritalCodes[p.marital])
	switch {
	case luck.oneIn(26, 40):
		d.num("multipleBirthInteger", 1+luck.upTo(27, 2))
	case luck.oneIn(28, 2):
		d.yes("multipleBirthBoolean", false)
	}
	d.arr("communication")
	d.item()
	d.concept("language", languages[p.language])
	d.yes("preferred", true)
	d.end2()
	d.arr("generalPractitioner")
	d.refItem(shared(practitioner, p.doctor))
	d.end()
	d.ref("managingOrganization", shared(organization, ownInsurer))
	d.done()
}

// personStamp says when something about the person last changed: on any day.
func (s *scribe) personStamp(luck luck) stamp {
	span := day(historyYears*daysInYear - 10)
	return s.life.stamp(luck, (s.life.today-span+day(luck.upTo(20, int(span)))).at(2, 0, zulu), ownInsurer)
}

func (s *scribe) patientExtensions(luck luck) {
	d, p := &s.doc, &s.life.person
	d.arr("extension")
	d.extension(usCore + "us-core-race")
	d.arr("extension")
	text := "Other"
	if p.race < len(races) {
		text = races[p.race].display
		d.extension("ombCategory")
		d.coding("valueCoding", races[p.race])
		d.end()
	} else {
		d.extension("ombCategory")
		d.coding("valueCoding", code{hl7 + "v3-NullFlavor", "UNK", "Unknown"})
		d.end()
	}
	d.extension("text")
	d.str("valueString", text)
	d.end3()

	d.extension(usCore + "us-core-ethnicity")
	d.arr("extension")
	d.extension("ombCategory")
	d.coding("valueCoding", ethnicities[p.ethnicity])
	d.end()
	d.extension("text")
	d.str("valueString", ethnicities[p.ethnicity].display)
	d.end3()

	d.extension(usCore + "us-core-birthsex")
	if p.female {
		d.str("valueCode", "F")
	} else {
		d.str("valueCode", "M")
	}
	d.end()
	if luck.oneIn(29, 5) {
		d.extension("http://hl7.org/fhir/StructureDefinition/patient-birthPlace")
		c := &cities[(p.city+luck.upTo(30, 3))%len(cities)]
		d.obj("valueAddress")
		d.str("city", c.name)
		d.str("state", c.state)
		d.str("country", "US")
		d.end2()
	}
	d.end()
}

func (s *scribe) patientNames(luck luck) {
	d, p := &s.doc, &s.life.person
	d.arr("name")
	d.item()
	if luck.oneIn(31, 30) {
		d.str("id", "legal-name")
	}
	d.str("use", "official")
	d.text("family", p.family)
	d.arr("given")
	d.value(p.given)
	if p.middle == "" && luck.oneIn(32, 12) {
		d.null()
		d.end()
		d.arr("_given")
		d.null()
		d.item()
		d.absent("asked-declined")
		d.end2()
	} else {
		if p.middle != "" {
			d.value(p.middle)
		}
		d.end()
	}
	if luck.oneIn(33, 6) {
		d.arr("prefix")
		d.value([]string{"Mx.", "Dr.", "Rev."}[luck.upTo(34, 3)])
		d.end()
	}
	d.end()
	if p.nickname != "" {
		d.item()
		d.str("use", "nickname")
		d.open("text")
		d.addName(p)
		d.shut()
		d.end()
	}
	if p.marital > 0 && luck.oneIn(35, 14) {
		d.item()
		d.str("use", "maiden")
		d.obj("_family")
		d.absent("unknown")
		d.end()
		d.arr("given")
		d.value(p.given)
		d.end2()
	}
	d.end()
}

func (s *scribe) patientContacts(luck luck) {
	d, p := &s.doc, &s.life.person
	d.arr("telecom")
	d.phone(p.city, p.phone, []string{"home", "mobile"}[luck.upTo(36, 2)])
	if luck.oneIn(37, 2) {
		d.item()
		d.str("system", "email")
		d.open("value")
		d.add("member")
		d.addInt(s.life.patient)
		d.add("@mail.example")
		d.shut()
		d.num("rank", 2)
		d.end()
	}
	d.end()
}

// phone writes a ContactPoint in an array. 555-0100 to 0199 are reserved for fiction.
func (d *doc) phone(city, number int, use string) {
	d.item()
	d.str("system", "phone")
	d.open("value")
	d.add(cities[city].areaCode)
	d.add("-555-0")
	d.addInt(number)
	d.shut()
	d.str("use", use)
	d.end()
}

func (s *scribe) address(house, street, form, at, zip int, luck luck) {
	d, c := &s.doc, &cities[at]
	d.arr("address")
	d.item()
	if luck.oneIn(38, 4) {
		d.str("use", "home")
	}
	d.streetAndCity(house, street, form, c, zip)
	if luck.oneIn(39, 5) {
		d.obj("period")
		d.partialDate("start", s.life.birth, toYear+precision(luck.upTo(40, 2))-1)
		d.end()
	}
	d.end2()
}

func (d *doc) streetAndCity(house, street, form int, c *city, zip int) {
	d.arr("line")
	d.separate()
	d.b = append(d.b, '"')
	d.addInt(house)
	d.add(" ")
	d.add(streets[street])
	d.add(" ")
	d.add(streetForms[form])
	d.shut()
	d.end()
	d.str("city", c.name)
	d.str("district", c.county)
	d.str("state", c.state)
	d.open("postalCode")
	d.add(c.zip3)
	d.addPadded(zip, 2)
	d.shut()
	d.str("country", "US")
}
