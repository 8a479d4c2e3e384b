package population

// A person is what does not change with a visit. Insurers and doctors are indexes in the
// directory.
type person struct {
	birth, death  day // death is 0 for the living
	female        bool
	given, middle string
	family        string
	nickname      string // in quotes, or empty
	race          int
	ethnicity     int
	language      int
	marital       int
	city          int
	house, street int
	streetForm    int
	zip, phone    int
	zone          zone
	ascii         bool // the person's lines escape everything outside of ASCII

	adultHeight int // mm
	bodyMass    int // BMI as an adult, in tenths
	smoking     int // index in smokingCodes
	doctor      int // primary care
	checkup     int // the month of the yearly visit to that doctor
	dentist     bool
	glasses     bool
}

// meet makes the person.
func (l *life) meet(w *World) {
	r := &l.roll
	r.throw(w.seed, streamPerson, l.patient, 0)
	l.person = person{}
	p := &l.person

	var years int
	switch r.weighted(70, 23, 7) {
	case 0:
		years = r.below(60)
	case 1:
		years = r.between(60, 79)
	default:
		years = r.between(80, 95)
	}
	p.birth = w.today - day(years*daysInYear+years/4+r.below(daysInYear)+1)
	if p.birth < w.today-day(95*daysInYear+95/4) {
		p.birth = w.today - day(95*daysInYear)
	}
	if r.chance([]int{1, 2, 12, 45, 110}[min(years/20, 4)]) {
		p.death = w.today - day(r.between(20, 2*daysInYear))
		if p.death <= p.birth {
			p.death = 0
		}
	}
	p.female = r.chance(510)
	givens := boys
	if p.female {
		givens = girls
	}
	p.given, p.middle = givens[r.below(len(givens))], givens[r.below(len(givens))]
	if !r.chance(650) {
		p.middle = ""
	}
	p.family = w.family(r)
	if r.chance(25) {
		p.nickname = nicknames[r.below(len(nicknames))]
	}
	p.race = r.weighted(620, 150, 90, 30, 10, 100)
	p.ethnicity = r.weighted(810, 190)
	p.language = r.weighted(860, 90, 20, 20, 10)
	p.marital = 0
	if years >= 20 {
		p.marital = r.weighted(40, 45, 12, 1+years/20)
	}

	p.city = r.below(len(cities))
	p.house, p.street = r.between(1, 9899), r.below(len(streets))
	p.streetForm = r.below(len(streetForms))
	p.zip, p.phone = r.between(1, 60), r.between(100, 199)
	p.zone = cities[p.city].zone
	switch r.weighted(60, 25, 15) {
	case 1:
		p.zone = 0
	case 2:
		p.zone = zulu
	}
	p.ascii = r.chance(90)

	p.adultHeight = r.around(1755, 130)
	if p.female {
		p.adultHeight = r.around(1625, 120)
	}
	p.bodyMass = r.around(265, 70)
	p.smoking = r.weighted(60, 25, 10, 5)
	p.doctor = p.city*doctorsPerCity + r.below(primaryCare)
	if years < 18 {
		p.smoking = 0
		p.doctor = p.city*doctorsPerCity + pediatrics
	}
	p.checkup = r.below(12)
	p.dentist = years >= 2 && r.chance(260)
	p.glasses = years >= 6 && r.chance(220)
}

// family draws a family name.
func (w *World) family(r *dice) string {
	if r.chance(250) {
		return rareFamilies[r.below(len(rareFamilies))]
	}
	return w.families[r.below(len(w.families))]
}

// heightAt returns the height in millimeters at an age in months. A child's is a rough line
// through the usual growth chart.
func (p *person) heightAt(months int) int {
	switch {
	case months >= 18*12:
		return p.adultHeight
	case months <= 12:
		return 500 + months*21
	case months <= 24:
		return 752 + (months-12)*10
	}
	return 872 + (p.adultHeight-872)*(months-24)/(18*12-24)
}

// weightAt returns the weight in grams at an age in months.
func (p *person) weightAt(months int) int {
	mass := p.bodyMass
	if months < 18*12 {
		mass = 160 + (p.bodyMass-160)*months/(18*12)
	}
	h := p.heightAt(months)
	return mass * h * h / 10_000
}

// addName adds the name as displayed.
func (d *doc) addName(p *person) {
	d.add(p.given)
	if p.nickname != "" {
		d.add(" ")
		d.add(p.nickname)
	}
	d.add(" ")
	d.add(p.family)
}

func (p *person) gender() string {
	if p.female {
		return "female"
	}
	return "male"
}
