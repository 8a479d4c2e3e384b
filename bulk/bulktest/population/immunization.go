package population

// A vaccine is given from one age, in months, up to another.
type vaccine struct {
	cvx        code
	from, upTo int
	permille   int // share of the check-ups at that age
	cents      int
}

var vaccines = [...]vaccine{
	{code{sysCVX, "08", "Hep B, adolescent or pediatric"}, 0, 9, 800, 4100},
	{code{sysCVX, "20", "DTaP"}, 2, 20, 700, 5200},
	{code{sysCVX, "10", "IPV"}, 2, 20, 600, 5900},
	{code{sysCVX, "133", "Pneumococcal conjugate PCV 13"}, 2, 16, 600, 24_800},
	{code{sysCVX, "03", "MMR"}, 12, 72, 400, 9700},
	{code{sysCVX, "21", "Varicella"}, 12, 72, 400, 16_300},
	{code{sysCVX, "115", "Tdap"}, 128, 160, 500, 5600},
	{code{sysCVX, "165", "HPV9"}, 130, 180, 400, 28_700},
	{code{sysCVX, "114", "Meningococcal MCV4P"}, 130, 210, 250, 15_100},
	{code{sysCVX, "113", "Td (adult) preservative free"}, 240, 1200, 80, 4400},
	{code{sysCVX, "187", "Zoster recombinant"}, 600, 1200, 140, 21_900},
	{code{sysCVX, "33", "Pneumococcal polysaccharide PPV23"}, 780, 1200, 120, 13_800},
	{code{sysCVX, "208", "COVID-19, mRNA, 30 mcg/0.3 mL dose"}, 150, 1200, 200, 12_900},
	{code{sysCVX, "140", "Influenza, seasonal, injectable, preservative free"}, 6, 1200, 480, 3300},
}

func (l *life) vaccinate(v *visit, years int) {
	months := years*12 + 5
	for i := range vaccines {
		vac := &vaccines[i]
		if months < vac.from || months >= vac.upTo || v.nShots == len(v.shots) {
			continue
		}
		if l.roll.chance(vac.permille) {
			v.shots[v.nShots] = int8(i)
			v.nShots++
		}
	}
}

func (s *scribe) writeShots(int) {
	for i := range s.life.visits {
		v := &s.life.visits[i]
		for j, which := range v.shots[:v.nShots] {
			s.writeShot(i, v.shot+j, int(which))
		}
	}
}

func (s *scribe) writeShot(at, n, which int) {
	d, l := &s.doc, &s.life
	v, vac := &l.visits[at], &vaccines[which]
	luck := d.resource(l.id(immunization, n))
	d.meta(luck, l.stamp(luck, v.end, l.covers[v.cover].insurer), usCore+"us-core-immunization")
	refused := luck.oneIn(93, 30)
	if refused {
		d.str("status", "not-done")
		d.codes("statusReason", code{hl7 + "v3-ActReason", "PATOBJ", "patient objection"})
	} else {
		d.str("status", "completed")
	}
	d.concept("vaccineCode", vac.cvx)
	d.ref("patient", l.id(patient, 0))
	d.ref("encounter", l.id(encounter, at))
	if luck.oneIn(94, 30) {
		d.text("occurrenceString", "at the visit, time not noted")
	} else {
		d.dateTime("occurrenceDateTime", v.start+420, l.zone)
	}
	d.yes("primarySource", !luck.oneIn(95, 10))
	d.ref("location", shared(location, v.place))
	if !refused {
		d.open("lotNumber")
		d.add("L")
		d.addPadded(luck.upTo(96, 99_999), 5)
		d.shut()
		d.date("expirationDate", v.start.date()+day(100+luck.upTo(97, 300)))
		d.concept("site", code{hl7 + "v3-ActSite", "LA", "left arm"})
		d.concept("route", code{hl7 + "v3-RouteOfAdministration", "IM", "Injection, intramuscular"})
		d.quantity("doseQuantity", []int{5, 50, 25}[luck.upTo(98, 3)], 1+luck.upTo(99, 2), unit{"mL", "mL"})
	}
	d.arr("performer")
	d.item()
	d.ref("actor", shared(practitioner, v.doctor))
	d.end2()
	if vac.upTo < 30 {
		d.arr("protocolApplied")
		d.item()
		d.num("doseNumberPositiveInt", 1+n%4)
		d.end2()
	}
	d.done()
}
