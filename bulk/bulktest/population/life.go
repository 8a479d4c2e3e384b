package population

import "math/bits"

// A life is the skeleton of a patient: who they are, who insured them when, which illnesses they
// have, when they saw whom for what, and what was billed. All of it is computed from the seed
// and the patient's number in a few microseconds, so each resource type computes it again and
// renders its part. A life has what the parts must agree on and what is needed to count them.
type life struct {
	person
	patient   int
	covers    []cover
	ailments  []ailment
	visits    []visit
	orders    []order
	bills     []bill
	allergies [3]int
	counts    [kinds]int

	today day
	end   moment
	roll  dice
}

// A cover is a Coverage. stop is the day after its last; an open one has not ended yet.
type cover struct {
	insurer, plan int
	start, stop   day
	open          bool
}

// An ailment is a Condition: an illness that a person has or had.
type ailment struct {
	illness       int
	onset, healed day // healed is 0 while it lasts
	visit         int // index of the visit that found it, or -1 if that was long ago
}

func (a ailment) chronic() bool { return a.illness < acute }

// A visit is an Encounter with what was done at it.
type visit struct {
	kind       visitKind
	start, end moment
	doctor     int
	place      int
	cover      int
	reason     int // index of the ailment, or -1
	panels     panelSet
	procedures [3]int8 // indexes in procedures; the first nProcedures are used
	shots      [3]int8 // indexes in vaccines; the first nShots are used
	note       bool

	nProcedures, nShots int
	// The indexes of the visit's first resources among the patient's.
	observation, report, procedure, shot int
}

// An order is a MedicationRequest.
type order struct {
	drug, ailment, visit int
	repeats              int
}

// live makes the life of a patient of w.
func (l *life) live(w *World, patient int) {
	*l = life{
		patient: patient, today: w.today, end: w.end,
		covers: l.covers[:0], ailments: l.ailments[:0], visits: l.visits[:0],
		orders: l.orders[:0], bills: l.bills[:0],
	}
	l.meet(w)
	l.roll.throw(w.seed, streamLife, patient, 0)
	l.insure()
	l.fallIll()
	for c := range l.covers {
		l.spend(c)
	}
	l.count()
}

// insure decides who covers the person: only this payer, or another one before it, whose data
// was transferred. Plans change on the first of January.
func (l *life) insure() {
	r := &l.roll
	from := l.today - day(historyYears*daysInYear)
	switched := l.today - day(r.between(120, (historyYears-1)*daysInYear))
	start := max(l.birth, from-day(r.between(0, 4*daysInYear)))
	stop, open := l.today+1, true
	if l.death != 0 {
		stop, open = l.death+1, false
	}
	other := 1 + r.below(len(insurers)-1)
	plan := l.choosePlan(start)
	switch course := r.weighted(50, 30, 14, 6); {
	case course == 1 && start < switched-60 && switched < stop: // came from another payer
		gap := day(0)
		if r.chance(300) {
			gap = day(r.between(20, 120))
		}
		l.covers = append(l.covers, cover{other, l.choosePlan(start), start, switched - gap, false})
		start = switched
	case course == 2 && start < switched && switched < stop: // is new, without transferred data
		start = switched
	case course == 3 && l.death == 0 && start < switched: // has left
		stop, open = switched+day(r.below(90)), false
	}
	if y, _, _ := l.today.civil(); r.chance(300) {
		january := dayOf(y-r.below(2), 1, 1)
		if start < january-60 && january < stop {
			l.covers = append(l.covers, cover{ownInsurer, plan, start, january, false})
			plan, start = l.choosePlan(january), january
		}
	}
	l.covers = append(l.covers, cover{ownInsurer, plan, start, stop, open})
}

// choosePlan returns a plan that suits the age.
func (l *life) choosePlan(on day) int {
	if l.birth.yearsTo(on) >= 65 {
		return seniorPlan
	}
	return l.roll.weighted(45, 35, 0, 20)
}

// fallIll gives the person its chronic illnesses and allergies.
func (l *life) fallIll() {
	r := &l.roll
	until := l.today
	if l.death != 0 {
		until = l.death
	}
	years := l.birth.yearsTo(until)
	for i, ill := range illnesses[:acute] {
		if i == obesity && l.bodyMass < 300 {
			continue
		}
		if years < ill.since || !r.chance(ill.permille+ill.perDecade*(years-ill.since)/10) {
			continue
		}
		lived := until - l.birth - day(ill.since*daysInYear)
		onset := l.birth + day(ill.since*daysInYear) + day(r.below(int(lived)))
		l.ailments = append(l.ailments, ailment{illness: i, onset: onset, visit: -1})
	}
	if r.chance(180) {
		first := r.below(len(allergens))
		for i := range r.between(1, len(l.allergies)) {
			l.allergies[i] = (first + 7*i) % len(allergens)
			l.counts[allergy]++
		}
	}
}

func (l *life) has(illness int, on day) bool {
	for _, a := range l.ailments {
		if a.illness == illness && a.onset <= on {
			return true
		}
	}
	return false
}

// count computes the number of resources of each type.
func (l *life) count() {
	n := &l.counts
	n[patient] = 1
	n[coverage] = len(l.covers)
	n[claim] = len(l.bills)
	n[benefit] = len(l.bills)
	n[encounter] = len(l.visits)
	n[condition] = len(l.ailments)
	n[medicationRequest] = len(l.orders)
	n[provenance] = 1
	for _, c := range l.covers {
		if c.insurer != ownInsurer {
			n[provenance]++
		}
	}
	for i := range l.visits {
		v := &l.visits[i]
		v.observation, v.report = n[observation], n[diagnosticReport]
		v.procedure, v.shot = n[procedure], n[immunization]
		for set := v.panels; set != 0; set &= set - 1 {
			p := &panels[bits.TrailingZeros16(uint16(set))]
			n[observation] += len(p.measures)
			if p.report.code != "" {
				n[diagnosticReport]++
			}
		}
		n[procedure] += v.nProcedures
		n[immunization] += v.nShots
		if v.note {
			n[document]++
		}
	}
}

func (l *life) id(k kind, n int) id { return id{k, l.patient, n} }

// stamp says when a resource created at some moment reached the server: within days. Some
// changed again later.
func (l *life) stamp(luck luck, at moment, insurer int) stamp {
	s := stamp{at: min(at, l.end-1) + hour + moment(luck.upTo(11, int(5*dayLength))), version: 1}
	if luck.oneIn(12, 12) && s.at < l.end {
		s.at += moment(luck.upTo(13, int(l.end-s.at)))
		s.version = 2 + luck.upTo(14, 3)
	}
	if s.at >= l.end {
		s.at = l.end - 1 - moment(luck.upTo(15, int(hour)))
	}
	if insurer != ownInsurer {
		s.source = insurers[insurer].source
	}
	return s
}
