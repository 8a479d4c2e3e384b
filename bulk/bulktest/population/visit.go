package population

// historyYears is how far back the claims and the chart go.
const historyYears = 3

type visitKind uint8

const (
	checkup visitKind = iota
	followUp
	sickVisit
	urgentCare
	telehealth
	emergency
	inpatient
	imaging
	dental
	vision
)

// visitForms has the codes and the duration of each kind of visit.
var visitForms = [...]struct {
	class, typ code
	place      code // of service, on professional claims
	minutes    int
	at         int // which of the city's places
}{
	checkup:    {ambulatory, code{sysSNOMED, "185349003", "Encounter for check up"}, office, 30, clinic},
	followUp:   {ambulatory, code{sysSNOMED, "390906007", "Follow-up encounter"}, office, 20, clinic},
	sickVisit:  {ambulatory, code{sysSNOMED, "185345009", "Encounter for symptom"}, office, 15, clinic},
	urgentCare: {ambulatory, code{sysSNOMED, "702927004", "Urgent care clinic visit"}, code{sysPlace, "20", "Urgent Care Facility"}, 40, clinic},
	telehealth: {code{sysActCode, "VR", "virtual"}, code{sysSNOMED, "448337001", "Telemedicine consultation with patient"}, code{sysPlace, "10", "Telehealth Provided in Home"}, 15, clinic},
	emergency:  {code{sysActCode, "EMER", "emergency"}, code{sysSNOMED, "50849002", "Emergency room admission"}, code{sysPlace, "23", "Emergency Room - Hospital"}, 190, hospital},
	inpatient:  {code{sysActCode, "IMP", "inpatient encounter"}, code{sysSNOMED, "32485007", "Hospital admission"}, code{sysPlace, "21", "Inpatient Hospital"}, 0, hospital},
	imaging:    {ambulatory, code{sysSNOMED, "363679005", "Imaging visit"}, code{sysPlace, "22", "On Campus-Outpatient Hospital"}, 45, hospital},
	dental:     {ambulatory, code{sysSNOMED, "34043003", "Dental consultation and report"}, office, 45, dentalOffice},
	vision:     {ambulatory, code{sysSNOMED, "36228007", "Ophthalmic examination and evaluation"}, office, 25, opticalShop},
}

var (
	ambulatory = code{sysActCode, "AMB", "ambulatory"}
	office     = code{sysPlace, "11", "Office"}
)

// Once a patient has this many visits, later months are left out; once they have this many bills,
// later bills are. This keeps their numbers within perPatient.
const (
	maxVisits = 300
	maxBills  = perPatient - 20
)

// spend simulates the months of a cover. Others do not matter: a payer has no data from before,
// between or after covers.
func (l *life) spend(c int) {
	cv := l.covers[c]
	from := max(cv.start, l.today-day(historyYears*daysInYear))
	to := min(cv.stop, l.today)
	y, m, _ := from.civil()
	for {
		first := dayOf(y, m, 1)
		if first >= to || len(l.visits) >= maxVisits {
			return
		}
		l.month(c, first, m-1, from, to)
		if m++; m > 12 {
			y, m = y+1, 1
		}
	}
}

// month simulates what happens to a person in the month, 0 to 11, that begins at first.
func (l *life) month(c int, first day, month int, from, to day) {
	r := &l.roll
	on := first + day(r.below(28))
	if on < from || on >= to {
		return
	}
	years := l.birth.yearsTo(on)
	chronic := 0
	for _, a := range l.ailments {
		if a.chronic() && a.onset <= on {
			chronic++
		}
	}
	sinceCheckup := (month - l.checkup + 12) % 12

	switch {
	case years < 2 && sinceCheckup%3 == 0 || sinceCheckup == 0 && r.chance(checkupChance(years)):
		l.checkupVisit(c, on, years)
	case chronic > 0 && sinceCheckup == 6 && r.chance(700) || chronic > 3 && sinceCheckup%3 == 0:
		l.followUpVisit(c, on)
	}
	if l.dentist && sinceCheckup%6 == 2 && r.chance(560) {
		l.visit(visit{kind: dental, reason: -1}, c, min(on+day(r.below(3)), to-1), dentistry)
	}
	if l.glasses && sinceCheckup == 4 && r.chance(650) {
		l.visit(visit{kind: vision, reason: -1}, c, min(on+day(r.below(3)), to-1), optometry)
	}
	// One draw decides about everything unplanned.
	frailty := max(0, years-60)
	switch x := r.below(10_000); {
	case x < 160:
		l.sick(sickVisit, c, on, years)
	case x < 200:
		l.sick(urgentCare, c, on, years)
	case x < 240:
		l.sick(telehealth, c, on, years)
	case x < 270+frailty:
		l.sick(emergency, c, on, years)
	case x < 285+2*frailty:
		l.hospitalStay(c, on, years)
	case x < 300+2*frailty && years > 25:
		l.scan(c, on)
	}
}

func checkupChance(years int) int {
	switch {
	case years < 6, years >= 65:
		return 560
	case years < 18:
		return 420
	}
	return 260
}

func (l *life) checkupVisit(c int, on day, years int) {
	r := &l.roll
	v := visit{kind: checkup, reason: -1, panels: vitals}
	if years >= 13 {
		v.panels |= tobacco
	}
	if years >= 18 && r.chance(450) {
		v.panels |= mood
	}
	if years >= 21 && r.chance(550) {
		v.panels |= lipids
	}
	if years >= 40 && r.chance(500) {
		v.panels |= metabolic
	}
	if years >= 50 && r.chance(250) {
		v.panels |= bloodCount
	}
	l.testForIllness(&v, on)
	l.vaccinate(&v, years)
	if years >= 45 && r.chance(60) {
		v.do(colonoscopy)
	}
	if l.female && years >= 40 && r.chance(250) {
		v.do(mammography)
	}
	if years >= 18 && r.chance(350) {
		v.do(depressionScreening)
	}
	v.note = r.chance(160)
	l.renew(l.visit(v, c, on, -1), on)
}

func (l *life) followUpVisit(c int, on day) {
	v := visit{kind: followUp, reason: -1, panels: vitals}
	for i, a := range l.ailments {
		if a.chronic() && a.onset <= on && (v.reason < 0 || l.roll.chance(400)) {
			v.reason = i
		}
	}
	l.testForIllness(&v, on)
	if l.roll.chance(300) {
		v.do(reconciliation)
	}
	v.note = l.roll.chance(130)
	doctor := -1
	if l.has(coronaryDisease, on) || l.has(heartFailure, on) {
		doctor = cardiology
	}
	l.renew(l.visit(v, c, on, doctor), on)
}

// testForIllness adds the measurements that chronic illnesses require.
func (l *life) testForIllness(v *visit, on day) {
	for _, a := range l.ailments {
		if !a.chronic() || a.onset > on {
			continue
		}
		switch a.illness {
		case diabetes:
			v.panels |= sugar
			v.do(footExam)
		case hyperlipidemia, coronaryDisease:
			if l.roll.chance(600) {
				v.panels |= lipids
			}
		case kidneyDisease, heartFailure:
			v.panels |= metabolic
		case hypothyroidism:
			v.panels |= thyroid
		case asthma, copd:
			if l.roll.chance(350) {
				v.do(spirometry)
			}
			v.panels |= breathing
		case depression, anxiety:
			v.panels |= mood
		}
	}
}

// visit adds a visit on a day and bills it. A negative doctor means the person's own.
func (l *life) visit(v visit, c int, on day, doctor int) int {
	r := &l.roll
	form := &visitForms[v.kind]
	local := cities[l.city].zone
	v.start = on.at(r.between(8, 16), 5*r.below(12), local)
	if v.kind == emergency || v.kind == inpatient {
		v.start = on.at(r.below(24), r.below(60), local)
	}
	v.end = v.start + moment(form.minutes+r.below(10))*60
	if v.kind == inpatient {
		v.end = v.start + moment(r.between(2, 7))*dayLength + moment(r.below(300))*60
	}
	v.end = min(v.end, l.end)
	v.cover = c
	v.place = l.city*placesPerCity + form.at
	if v.doctor = l.doctor; doctor >= 0 {
		v.doctor = l.city*doctorsPerCity + doctor
	}
	l.visits = append(l.visits, v)
	l.billVisit(c, len(l.visits)-1)
	return len(l.visits) - 1
}

func (v *visit) do(procedure int8) {
	if v.nProcedures < len(v.procedures) {
		v.procedures[v.nProcedures] = procedure
		v.nProcedures++
	}
}
