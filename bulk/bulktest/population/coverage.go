package population

var relationships = [...]code{
	{hl7 + "subscriber-relationship", "self", "Self"},
	{hl7 + "subscriber-relationship", "child", "Child"},
	{hl7 + "subscriber-relationship", "spouse", "Spouse"},
}

func (s *scribe) writeCoverages(int) {
	for n := range s.life.covers {
		s.writeCoverage(n)
	}
}

func (s *scribe) writeCoverage(n int) {
	d, l := &s.doc, &s.life
	c := &l.covers[n]
	p := c.product()
	luck := d.resource(l.id(coverage, n))
	d.meta(luck, l.stamp(luck, max(c.start, l.today-historyYears*daysInYear).at(3, 0, zulu), c.insurer), c4bb+"C4BB-Coverage|2.1.0")
	d.arr("identifier")
	s.memberNumber(c.insurer)
	d.end()
	if c.open {
		d.str("status", "active")
	} else {
		d.str("status", "cancelled")
	}
	d.concept("type", p.typ)
	relation := 0
	switch {
	case l.birth.yearsTo(l.today) < 24:
		relation = 1
	case l.marital == 1 && l.patient%3 == 0:
		relation = 2
	}
	if relation == 0 {
		d.ref("policyHolder", l.id(patient, 0))
		d.ref("subscriber", l.id(patient, 0))
	}
	d.open("subscriberId")
	d.add(insurers[c.insurer].prefix)
	d.addInt(100_000_000 + l.patient - relation)
	d.shut()
	d.ref("beneficiary", l.id(patient, 0))
	d.open("dependent")
	d.addPadded(relation, 2)
	d.shut()
	d.concept("relationship", relationships[relation])
	d.obj("period")
	d.date("start", c.start)
	if !c.open {
		d.date("end", c.stop-1)
	}
	d.end()
	d.arr("payor")
	d.refItem(shared(organization, c.insurer))
	d.end()
	d.arr("class")
	d.class(code{hl7 + "coverage-class", "group", "Group"}, "Employer Group", "GRP-", 1000+l.patient%37)
	d.item()
	d.codes("type", code{hl7 + "coverage-class", "plan", "Plan"})
	d.str("value", p.code)
	d.str("name", p.name)
	d.end2()
	d.num("order", 1)
	d.str("network", p.typ.code+" network")
	if p.copay > 0 && luck.oneIn(41, 3) {
		d.costs(p)
	}
	if luck.oneIn(42, 9) {
		d.yes("subrogation", false)
	}
	d.done()
}

// memberNumber writes the identifier by which an insurer knows the person.
func (s *scribe) memberNumber(insurer int) {
	d, i := &s.doc, &insurers[insurer]
	d.item()
	d.codes("type", memberNumber)
	d.open("system")
	d.add(i.source)
	d.add("/members")
	d.shut()
	d.open("value")
	d.add(i.prefix)
	d.addInt(100_000_000 + s.life.patient)
	d.shut()
	d.end()
}

// product returns the cover's plan.
func (c *cover) product() *plan {
	if c.insurer == ownInsurer {
		return &plans[0][c.plan]
	}
	return &plans[1][c.plan]
}

func (d *doc) class(typ code, name, prefix string, number int) {
	d.item()
	d.codes("type", typ)
	d.open("value")
	d.add(prefix)
	d.addInt(number)
	d.shut()
	d.str("name", name)
	d.end()
}

func (d *doc) costs(p *plan) {
	d.arr("costToBeneficiary")
	d.item()
	d.codes("type", code{hl7 + "coverage-copay-type", "gpvisit", "GP Office Visit"})
	d.money("valueMoney", p.copay)
	d.end()
	d.item()
	d.codes("type", code{hl7 + "coverage-copay-type", "copaypct", "Copay Percentage"})
	d.quantity("valueQuantity", p.coinsurance*10, 1, percent)
	d.end2()
}
