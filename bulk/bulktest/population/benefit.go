package population

var (
	amountSubmitted   = code{hl7 + "adjudication", "submitted", "Submitted Amount"}
	amountEligible    = code{hl7 + "adjudication", "eligible", "Eligible Amount"}
	amountDeductible  = code{hl7 + "adjudication", "deductible", "Deductible"}
	amountCopay       = code{hl7 + "adjudication", "copay", "CoPay"}
	amountBenefit     = code{hl7 + "adjudication", "benefit", "Benefit Amount"}
	amountCoinsurance = code{carin + "C4BBAdjudication", "coinsurance", "Co-insurance"}
	amountNoncovered  = code{carin + "C4BBAdjudication", "noncovered", "Noncovered"}
	amountDiscount    = code{carin + "C4BBAdjudication", "discount", "Discount"}
	amountToProvider  = code{carin + "C4BBAdjudication", "paidtoprovider", "Paid to provider"}
	amountToPatient   = code{carin + "C4BBAdjudication", "paidtopatient", "Paid to patient"}
	amountOwed        = code{carin + "C4BBAdjudication", "memberliability", "Member liability"}

	inNetwork  = code{carin + "C4BBPayerAdjudicationStatus", "innetwork", "In Network"}
	outNetwork = code{carin + "C4BBPayerAdjudicationStatus", "outofnetwork", "Out Of Network"}
	contracted = code{carin + "C4BBPayerAdjudicationStatus", "contracted", "Contracted"}
)

func (s *scribe) writeBenefits(int) {
	for n := range s.life.bills {
		s.invoice.write(s.w, &s.life, n)
		if s.life.bills[n].preauth {
			s.writePreauth(n)
		} else {
			s.writeBenefit(n)
		}
	}
}

// writeBenefit answers a claim. Answers of another payer came in CARIN's Basis form, which has
// no amounts (CARIN IG for Blue Button 2.1).
func (s *scribe) writeBenefit(n int) {
	d, l, b := &s.doc, &s.life, &s.life.bills[n]
	insurer := l.covers[b.cover].insurer
	basis := insurer != ownInsurer
	profile := billTypes[b.form].profile
	if basis {
		profile = billTypes[b.form].basis
	}
	luck := d.resource(l.id(benefit, n))
	paid := min(l.filed(b)+day(2+luck.upTo(151, 12)), l.today-1)
	d.meta(luck, l.stamp(luck, paid.at(8, 0, zulu), insurer), profile)
	if luck.oneIn(152, 70) {
		d.str("language", "en-US")
	}
	d.arr("identifier")
	d.identifier(code{carin + "C4BBIdentifierType", "uc", "Unique Claim ID"}, exampleBase+"/claims", "", 1_000_000_000+l.patient*perPatient+n, 10)
	d.end()
	s.billHead(n)
	if b.form == pharmacyBill {
		d.ref("prescription", l.id(medicationRequest, b.order))
	}
	payeeType, paidTo := code{hl7 + "payeetype", "provider", "Provider"}, amountToProvider
	if luck.oneIn(153, 40) {
		payeeType, paidTo = code{hl7 + "payeetype", "subscriber", "Subscriber"}, amountToPatient
	}
	d.obj("payee")
	d.codes("type", payeeType)
	if paidTo == amountToPatient {
		d.ref("party", l.id(patient, 0))
	} else {
		d.ref("party", organizationOf(l.placeOf(b)))
	}
	d.end()
	if b.form != pharmacyBill {
		d.ref("facility", shared(location, l.visits[b.visit].place))
	}
	d.ref("claim", l.id(claim, n))
	d.str("outcome", "complete")
	if luck.oneIn(154, 10) {
		d.text("disposition", "Claim processed as \"clean\".\nNo further action.")
	}
	s.authorization(b)
	s.careTeam(b)
	s.supportingInfo(luck, n)
	s.diagnoses(b)
	s.billedProcedures(b)
	d.arr("insurance")
	d.item()
	d.yes("focal", true)
	d.ref("coverage", l.id(coverage, b.cover))
	d.end2()
	network := inNetwork
	if luck.oneIn(155, 15) {
		network = outNetwork
	}
	s.benefitItems(luck, b, network, basis)
	d.arr("adjudication")
	d.verdict("billingnetworkcontractingstatus", contracted)
	if b.form == professionalBill || b.form == oralBill {
		d.verdict("renderingnetworkcontractingstatus", contracted)
	}
	d.verdict("benefitpaymentstatus", network)
	d.end()
	if !basis {
		s.totals(paidTo)
		s.payment(paid)
	}
	if luck.oneIn(156, 30) {
		d.arr("processNote")
		d.item()
		d.num("number", 1)
		d.str("type", "display")
		d.text("text", "This is not a bill.\nKeep it with your records — café receipts are \"not\" proof.")
		d.codes("language", languages[0])
		d.end2()
	}
	if b.form == inpatientBill && !basis {
		s.benefitBalance(b)
	}
	d.done()
}

func (s *scribe) benefitItems(luck luck, b *bill, network code, basis bool) {
	d := &s.doc
	d.arr("item")
	for i := range s.invoice.lines {
		x := &s.invoice.lines[i]
		d.item()
		if luck.oneIn(157, 60) {
			d.open("id")
			d.add("line-")
			d.addInt(i + 1)
			d.shut()
		}
		s.itemHead(b, i, x)
		d.quantity("quantity", x.quantity, 0, s.unitOf(b))
		if !basis {
			d.money("unitPrice", x.unitPrice)
			d.money("net", x.submitted)
		}
		s.itemEncounter(b)
		d.arr("adjudication")
		if basis {
			d.verdict("benefitpaymentstatus", network)
		} else {
			d.amounts(x)
		}
		if x.denied {
			d.verdict("denialreason", code{"https://x12.org/codes/claim-adjustment-reason-codes", "96", "Charge is not covered"})
		}
		d.end2()
	}
	d.end()
}

// amounts writes what became of the money: always the amounts submitted and paid, and those of
// the rest that are not zero.
func (d *doc) amounts(x *line) {
	d.amount(amountSubmitted, x.submitted)
	d.amount(amountEligible, x.eligible)
	for _, a := range [...]struct {
		category code
		cents    int
	}{
		{amountDiscount, x.discount}, {amountNoncovered, x.noncovered}, {amountDeductible, x.deductible},
		{amountCopay, x.copay}, {amountCoinsurance, x.coinsurance},
	} {
		if a.cents != 0 {
			d.amount(a.category, a.cents)
		}
	}
	d.amount(amountBenefit, x.benefit)
}

func (d *doc) amount(category code, cents int) {
	d.item()
	d.codes("category", category)
	d.money("amount", cents)
	d.end()
}

func (d *doc) verdict(discriminator string, reason code) {
	d.item()
	d.codes("category", code{system: carin + "C4BBAdjudicationDiscriminator", code: discriminator})
	d.codes("reason", reason)
	d.end()
}

func (s *scribe) totals(paidTo code) {
	d, sum := &s.doc, &s.invoice.sum
	d.arr("total")
	d.amounts(sum)
	d.amount(paidTo, sum.benefit)
	d.amount(amountOwed, sum.owed())
	d.end()
}

func (s *scribe) payment(paid day) {
	d, sum := &s.doc, &s.invoice.sum
	status := code{carin + "C4BBPayerAdjudicationStatus", "paid", "Paid"}
	switch {
	case sum.benefit == 0:
		status.code, status.display = "denied", "Denied"
	case sum.noncovered > 0:
		status.code, status.display = "partiallypaid", "Partially Paid"
	}
	d.obj("payment")
	d.codes("type", status)
	d.date("date", paid)
	d.money("amount", sum.benefit)
	d.end()
}

// benefitBalance writes how much of a year's allowance for hospital stays was used.
func (s *scribe) benefitBalance(b *bill) {
	d := &s.doc
	y, _, _ := b.from.civil()
	d.days("benefitPeriod", dayOf(y, 1, 1), dayOf(y, 12, 31))
	d.arr("benefitBalance")
	d.item()
	d.codes("category", code{hl7 + "ex-benefitcategory", "48", "Hospital - Inpatient"})
	d.yes("excluded", false)
	d.codes("unit", code{hl7 + "benefit-unit", "individual", "Individual"})
	d.arr("financial")
	d.item()
	d.codes("type", code{hl7 + "benefit-type", "benefit", "Benefit"})
	d.money("allowedMoney", 250_000_00)
	d.money("usedMoney", min(s.invoice.sum.benefit, 250_000_00))
	d.end2()
	d.end2()
}
