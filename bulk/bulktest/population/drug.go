package population

// A drug is a drug as prescribed and dispensed. The NDCs are made up, with an unassigned labeler.
type drug struct {
	rxnorm, ndc code
	dosage      string
	form        unit
	perDose     int // in units of the form
	perDay      int // doses
	days        int // how long a fill lasts
	cents       int // billed by the pharmacy for one unit
	brand       bool
}

// Indexes of drugs.
const (
	lisinopril = iota
	amlodipine
	metformin
	atorvastatin
	albuterol
	montelukast
	sertraline
	escitalopram
	levothyroxine
	naproxen
	omeprazole
	clopidogrel
	furosemide
	carvedilol
	apixaban
	azithromycin
	acetaminophen
	amoxicillin
	ciprofloxacin
	prednisone
)

func pill(rxnorm, text, ndc string, perDose, perDay, days, cents int, dosage string) drug {
	return drug{
		rxnorm: code{sysRxNorm, rxnorm, text}, ndc: code{sysNDC, ndc, text}, dosage: dosage,
		form: unit{"{tbl}", "tablet"}, perDose: perDose, perDay: perDay, days: days, cents: cents,
	}
}

var drugs = [...]drug{
	lisinopril:   pill("314076", "lisinopril 10 MG Oral Tablet", "99901-0101-90", 1, 1, 90, 14, "Take 1 tablet by mouth once daily"),
	amlodipine:   pill("197361", "amlodipine 5 MG Oral Tablet", "99901-0102-90", 1, 1, 90, 17, "Take 1 tablet by mouth once daily"),
	metformin:    pill("861007", "metformin hydrochloride 500 MG Oral Tablet", "99901-0103-18", 1, 2, 90, 9, "Take 1 tablet by mouth twice daily with meals"),
	atorvastatin: pill("617310", "atorvastatin 20 MG Oral Tablet", "99901-0104-90", 1, 1, 90, 23, "Take 1 tablet by mouth at bedtime"),
	albuterol: {
		rxnorm: code{sysRxNorm, "745679", "albuterol 0.09 MG/ACTUAT Metered Dose Inhaler"},
		ndc:    code{sysNDC, "99907-0220-01", "albuterol 0.09 MG/ACTUAT Metered Dose Inhaler"},
		dosage: "Inhale 2 puffs every 4 to 6 hours as needed", form: unit{"{actuat}", "actuation"},
		perDose: 2, perDay: 4, days: 25, cents: 31, brand: true,
	},
	montelukast:   pill("200224", "montelukast 10 MG Oral Tablet", "99901-0106-90", 1, 1, 90, 29, "Take 1 tablet by mouth in the evening"),
	sertraline:    pill("312941", "sertraline 50 MG Oral Tablet", "99901-0107-90", 1, 1, 90, 19, "Take 1 tablet by mouth once daily"),
	escitalopram:  pill("349332", "escitalopram 10 MG Oral Tablet", "99901-0108-90", 1, 1, 90, 21, "Take 1 tablet by mouth once daily"),
	levothyroxine: pill("966222", "levothyroxine sodium 0.075 MG Oral Tablet", "99901-0109-90", 1, 1, 90, 26, "Take 1 tablet by mouth on an empty stomach"),
	naproxen:      pill("849574", "naproxen sodium 220 MG Oral Tablet", "99901-0110-60", 1, 2, 30, 18, "Take 1 tablet by mouth twice daily as needed for pain"),
	omeprazole:    pill("198051", "omeprazole 20 MG Delayed Release Oral Capsule", "99901-0111-90", 1, 1, 90, 33, "Take 1 capsule by mouth before breakfast"),
	clopidogrel:   pill("309362", "clopidogrel 75 MG Oral Tablet", "99901-0112-90", 1, 1, 90, 38, "Take 1 tablet by mouth once daily"),
	furosemide:    pill("313988", "furosemide 40 MG Oral Tablet", "99901-0113-90", 1, 1, 90, 11, "Take 1 tablet by mouth every morning"),
	carvedilol:    pill("200033", "carvedilol 25 MG Oral Tablet", "99901-0114-18", 1, 2, 90, 13, "Take 1 tablet by mouth twice daily with food"),
	apixaban: {
		rxnorm: code{sysRxNorm, "1364445", "apixaban 5 MG Oral Tablet"},
		ndc:    code{sysNDC, "99907-0894-21", "apixaban 5 MG Oral Tablet"},
		dosage: "Take 1 tablet by mouth twice daily", form: unit{"{tbl}", "tablet"},
		perDose: 1, perDay: 2, days: 30, cents: 947, brand: true,
	},
	azithromycin:  pill("308460", "azithromycin 250 MG Oral Tablet", "99901-0116-06", 1, 1, 5, 210, "Take 2 tablets on day 1, then 1 tablet daily"),
	acetaminophen: pill("313782", "acetaminophen 325 MG Oral Tablet", "99901-0117-30", 2, 3, 5, 6, "Take 2 tablets every 8 hours as needed"),
	amoxicillin:   pill("308191", "amoxicillin 500 MG Oral Capsule", "99901-0118-20", 1, 2, 10, 34, "Take 1 capsule by mouth twice daily until finished"),
	ciprofloxacin: pill("309309", "ciprofloxacin 500 MG Oral Tablet", "99901-0119-14", 1, 2, 7, 58, "Take 1 tablet by mouth twice daily"),
	prednisone:    pill("312615", "prednisone 20 MG Oral Tablet", "99901-0120-10", 1, 1, 10, 41, "Take 1 tablet by mouth every morning"),
}

// renew prescribes the drugs for the chronic illnesses, at the check-up and the follow-up half a
// year later.
func (l *life) renew(at int, on day) {
	for i, a := range l.ailments {
		if !a.chronic() || a.onset > on {
			continue
		}
		list := illnesses[a.illness].drugs
		if len(list) == 0 {
			continue
		}
		if l.visits[at].kind == checkup || l.roll.chance(450) {
			// The choice among several drugs depends on the person, not the visit.
			l.prescribe(list[(l.patient+i)%len(list)], i, at, on, 1)
		}
	}
}

// prescribe adds an order, and a pharmacy's bill for each fill while the same cover lasted.
func (l *life) prescribe(which, ailment, at int, on day, repeats int) {
	r := &l.roll
	c := l.visits[at].cover
	for fill := range repeats + 1 {
		filled := on + day(fill*drugs[which].days) + day(r.below(4))
		if filled >= min(l.covers[c].stop, l.today) || !r.chance(560) {
			continue
		}
		l.addBill(bill{form: pharmacyBill, cover: c, visit: at, order: len(l.orders), fill: fill, from: filled, to: filled})
	}
	l.orders = append(l.orders, order{drug: which, ailment: ailment, visit: at, repeats: repeats})
}
