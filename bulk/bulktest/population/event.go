package population

// sick adds a visit for a new illness.
func (l *life) sick(kind visitKind, c int, on day, years int) {
	r := &l.roll
	which := respiratoryInfection
	for range 12 {
		i := r.between(acute, len(illnesses)-1)
		if ill := &illnesses[i]; years >= ill.since && r.below(60) < ill.permille {
			which = i
			break
		}
	}
	v := visit{kind: kind, panels: triage, reason: l.fall(which, on)}
	doctor := -1
	switch kind {
	case telehealth:
		v.panels = 0
	case emergency:
		doctor = emergencyDoctor
		v.panels |= bloodCount
		if r.chance(400) {
			v.panels |= metabolic
		}
		v.note = r.chance(250)
	}
	if kind != telehealth {
		v.workUp(which)
	}
	at := l.visit(v, c, on, doctor)
	if list := illnesses[which].drugs; len(list) > 0 && r.chance(800) {
		l.prescribe(list[0], v.reason, at, on, 0)
	}
}

// workUp adds what is done about an acute illness during the visit.
func (v *visit) workUp(illness int) {
	switch illness {
	case forearmFracture:
		v.do(immobilization)
	case laceration:
		v.do(suture)
	case strepThroat:
		v.do(throatCulture)
	case chestPain:
		v.do(electrocardiogram)
	case pneumonia, bronchitis:
		v.do(chestXray)
	case urinaryInfection:
		v.panels |= urine
	}
}

// hospitalStay adds an admission for one of a few reasons. A planned one needs prior
// authorization.
func (l *life) hospitalStay(c int, on day, years int) {
	r := &l.roll
	v := visit{kind: inpatient, panels: vitals | triage | bloodCount | metabolic, note: true}
	doctor, planned := hospitalist, false
	switch {
	case l.female && years >= 19 && years < 44 && r.chance(550):
		v.reason, doctor = l.fall(childbirth, on), obstetrics
		v.do(delivery)
	case l.has(arthrosis, on) && r.chance(500):
		v.reason, doctor, planned = l.with(arthrosis), orthopedics, true
		v.do(kneeReplacement)
	case l.has(heartFailure, on):
		v.reason, doctor = l.with(heartFailure), cardiology
		v.do(echocardiogram)
	case l.has(coronaryDisease, on):
		v.reason, doctor = l.with(coronaryDisease), cardiology
		v.do(coronaryIntervention)
	case years < 50 && years >= 5 && r.chance(500):
		v.reason, doctor = l.fall(appendicitis, on), surgery
		v.do(appendectomy)
	default:
		v.reason = l.fall(pneumonia, on)
		v.do(chestXray)
	}
	at := l.visit(v, c, on, doctor)
	if planned {
		l.askFirst(c, at, on-day(r.between(6, 30)))
	}
}

// scan adds an image that needs the payer's prior authorization, which is sometimes refused.
func (l *life) scan(c int, on day) {
	v := visit{kind: imaging}
	if l.has(sleepApnea, on) {
		v.reason = l.with(sleepApnea)
		v.do(sleepStudy)
	} else {
		v.reason = l.fall(backPain, on)
		v.do(spineMRI)
	}
	at := l.visit(v, c, on, radiology)
	l.askFirst(c, at, on-day(l.roll.between(4, 20)))
}

// fall adds an illness that began about now and returns its index.
func (l *life) fall(illness int, on day) int {
	r := &l.roll
	a := ailment{illness: illness, onset: max(l.birth, on-day(r.below(5))), visit: len(l.visits)}
	if r.chance(900) {
		if a.healed = on + day(r.between(5, 60)); a.healed >= l.today || l.death != 0 && a.healed > l.death {
			a.healed = 0
		}
	}
	l.ailments = append(l.ailments, a)
	return len(l.ailments) - 1
}

// with returns the index of the ailment with this illness, or -1.
func (l *life) with(illness int) int {
	for i, a := range l.ailments {
		if a.illness == illness {
			return i
		}
	}
	return -1
}
