package population

import "math/bits"

// A billForm is a kind of claim, as distinguished by CARIN's profiles.
type billForm uint8

const (
	professionalBill billForm = iota
	inpatientBill
	outpatientBill
	pharmacyBill
	oralBill
	visionBill
)

// A bill is a Claim and the ExplanationOfBenefit that answers it, or a request for prior
// authorization and the payer's decision.
type bill struct {
	form      billForm
	preauth   bool
	verdict   verdict
	cover     int
	visit     int
	order     int // of a pharmacy's bill
	fill      int // from 0
	authority int // index of the bill that authorized this one, plus 1; 0 means none
	from, to  day
}

type verdict uint8

const (
	certified verdict = iota
	certifiedInPart
	refused
	pended
)

func (l *life) addBill(b bill) {
	if len(l.bills) < maxBills {
		l.bills = append(l.bills, b)
	}
}

// billVisit adds what a visit costs the payer.
func (l *life) billVisit(c, at int) {
	v := &l.visits[at]
	local := cities[l.city].zone
	b := bill{cover: c, visit: at, from: v.start.dateIn(local), to: v.end.dateIn(local)}
	switch v.kind {
	case dental:
		b.form = oralBill
	case vision:
		b.form = visionBill
	case inpatient:
		hospital := b
		hospital.form = inpatientBill
		l.addBill(hospital)
	case emergency, imaging:
		hospital := b
		hospital.form = outpatientBill
		l.addBill(hospital)
	}
	l.addBill(b)
}

// askFirst adds the request for authorization of a planned visit. If it was granted, the
// hospital's bill refers to it.
func (l *life) askFirst(c, at int, asked day) {
	r := &l.roll
	v := &l.visits[at]
	asked = max(asked, l.covers[c].start)
	b := bill{form: inpatientBill, preauth: true, cover: c, visit: at, from: asked, to: asked + day(r.between(30, 90))}
	if v.kind != inpatient {
		b.form = professionalBill
	}
	b.verdict = verdict(r.weighted(82, 10, 8))
	switch {
	case l.today-v.start.date() < 30:
		b.verdict = pended
	case v.kind == imaging && b.verdict == certifiedInPart: // a single image has no parts
		b.verdict = certified
	}
	l.addBill(b)
	if b.verdict >= refused {
		return
	}
	for i := range l.bills {
		if x := &l.bills[i]; x.visit == at && !x.preauth && x.form != professionalBill {
			x.authority = len(l.bills)
			break
		}
	}
}

// A line is an item of a bill with what became of its money, in cents:
//
//	submitted = eligible + discount + noncovered
//	eligible  = deductible + copay + coinsurance + benefit
type line struct {
	what, revenue, place code
	site                 code // the tooth
	quantity, unitPrice  int
	denied               bool

	submitted, eligible, discount, noncovered, deductible, copay, coinsurance, benefit int
}

// owed returns the member's share.
func (n *line) owed() int { return n.deductible + n.copay + n.coinsurance + n.noncovered }

func (n *line) add(m *line) {
	n.submitted += m.submitted
	n.eligible += m.eligible
	n.discount += m.discount
	n.noncovered += m.noncovered
	n.deductible += m.deductible
	n.copay += m.copay
	n.coinsurance += m.coinsurance
	n.benefit += m.benefit
}

// An invoice is a bill with its lines. Claim and ExplanationOfBenefit each render it in their
// own way.
type invoice struct {
	lines []line
	sum   line
	dice  dice
}

// write makes the invoice of the n-th bill of l. It restarts the dice, so that both resource
// types get the same invoice.
func (v *invoice) write(w *World, l *life, n int) {
	b := &l.bills[n]
	v.lines = v.lines[:0]
	v.sum = line{}
	v.dice.throw(w.seed, streamBill, l.patient, n)
	switch b.form {
	case inpatientBill, outpatientBill:
		v.writeHospital(l, b)
	case pharmacyBill:
		dr := &drugs[l.orders[b.order].drug]
		v.add(dr.ndc, dr.perDose*dr.perDay*dr.days, dr.cents)
	case oralBill:
		v.writeOral()
	case visionBill:
		v.writeVision()
	default:
		v.writeProfessional(l, b)
	}
	for i := range v.lines {
		v.adjudicate(&v.lines[i], l, b)
		v.sum.add(&v.lines[i])
	}
}

func (v *invoice) add(what code, quantity, cents int) *line {
	if v.dice.chance(300) {
		cents = max(1, cents*v.dice.between(85, 130)/100)
	}
	v.lines = append(v.lines, line{what: what, quantity: quantity, unitPrice: cents, submitted: quantity * cents})
	return &v.lines[len(v.lines)-1]
}

// maxLines bounds the items of a professional's bill: further tests of the visit are not billed.
const maxLines = 4

func (v *invoice) writeProfessional(l *life, b *bill) {
	vis := &l.visits[b.visit]
	place := visitForms[vis.kind].place
	if !b.preauth {
		s := &visitServices[vis.kind]
		if vis.kind == checkup && l.birth.yearsTo(b.from) >= 65 {
			s = &wellnessService
		}
		v.add(s.code, 1, s.cents)
	}
	for set := vis.panels; set != 0 && vis.kind <= telehealth; set &= set - 1 {
		if p := &panels[bits.TrailingZeros16(uint16(set))]; p.cents > 0 && len(v.lines) < maxLines {
			v.add(p.billed(), 1, p.cents)
		}
	}
	for _, p := range vis.procedures[:vis.nProcedures] {
		v.add(procedures[p].chart, 1, procedures[p].cents)
	}
	for _, s := range vis.shots[:vis.nShots] {
		v.add(vaccines[s].cvx, 1, vaccines[s].cents)
	}
	if vis.nShots > 0 {
		v.add(shotService.code, vis.nShots, shotService.cents)
	}
	for i := range v.lines {
		v.lines[i].place = place
	}
}

func (v *invoice) writeHospital(l *life, b *bill) {
	vis := &l.visits[b.visit]
	charge := func(r revenue, quantity int) {
		v.add(notApplicable, quantity, r.cents).revenue = r.code
	}
	nights := max(1, int(b.to-b.from))
	if b.preauth {
		nights = 3
	}
	switch {
	case b.form == inpatientBill:
		charge(roomAndBoard, nights)
		if vis.nProcedures > 0 && procedures[vis.procedures[0]].surgical {
			charge(operatingRoom, 1)
		}
		charge(supplies, nights)
	case vis.kind == emergency:
		v.add(emergencyService.code, 1, emergencyService.cents).revenue = emergencyRoom.code
	default:
		charge(radiologyRoom, 1)
	}
	if b.preauth {
		return
	}
	if vis.panels&(bloodCount|metabolic) != 0 {
		charge(laboratory, bits.OnesCount16(uint16(vis.panels)))
	}
	if vis.kind != imaging {
		charge(hospitalPharmacy, v.dice.between(1, 4*nights))
	}
}

func (v *invoice) writeOral() {
	v.add(oralExam.code, 1, oralExam.cents)
	v.add(oralCleaning.code, 1, oralCleaning.cents)
	if v.dice.chance(450) {
		v.add(oralXray.code, 1, oralXray.cents)
	}
	if v.dice.chance(220) {
		x := v.add(oralFilling.code, 1, oralFilling.cents)
		x.site = teeth[v.dice.below(len(teeth))]
	}
	for i := range v.lines {
		v.lines[i].place = office
	}
}

func (v *invoice) writeVision() {
	v.add(eyeExam.code, 1, eyeExam.cents)
	if v.dice.chance(600) {
		v.add(frames.code, 1, frames.cents)
		v.add(lenses.code, 2, lenses.cents)
	} else if v.dice.chance(400) {
		v.add(contactLenses.code, 2, contactLenses.cents)
	}
	for i := range v.lines {
		v.lines[i].place = office
	}
}

// adjudicate splits a line's money.
func (v *invoice) adjudicate(n *line, l *life, b *bill) {
	r := &v.dice
	p := l.covers[b.cover].product()
	if n.denied = !b.preauth && r.chance(35) || b.preauth && b.verdict == refused; n.denied {
		n.noncovered = n.submitted
		return
	}
	n.discount = n.submitted * r.between(15, 55) / 100
	n.eligible = n.submitted - n.discount
	rest := n.eligible
	if _, month, _ := b.from.civil(); month <= p.deductibleMonths && r.chance(600) {
		n.deductible = min(rest, r.between(1, 40)*250)
		rest -= n.deductible
	}
	if n == &v.lines[0] {
		n.copay = min(rest, p.copay)
		rest -= n.copay
	}
	n.coinsurance = rest * p.coinsurance / 100
	n.benefit = rest - n.coinsurance
}
