package population

import "math/bits"

func (s *scribe) writeObservations(int) {
	for i := range s.life.visits {
		v := &s.life.visits[i]
		s.life.roll.throw(s.w.seed, streamMeasures, s.life.patient, i)
		n := v.observation
		for set := v.panels; set != 0; set &= set - 1 {
			p := &panels[bits.TrailingZeros16(uint16(set))]
			for m := range p.measures {
				s.writeObservation(i, n, p, &p.measures[m])
				n++
			}
		}
	}
}

func (s *scribe) writeObservation(at, n int, p *panel, m *measure) {
	d, l := &s.doc, &s.life
	v := &l.visits[at]
	luck := d.resource(l.id(observation, n))
	d.meta(luck, l.stamp(luck, v.end, l.covers[v.cover].insurer), profileOf(p, m))
	if luck.oneIn(71, 400) {
		d.arr("modifierExtension")
		d.extension(exampleBase + "/StructureDefinition/estimated")
		d.yes("valueBoolean", true)
		d.end2()
	}
	switch {
	case luck.oneIn(72, 50):
		d.str("status", "amended")
	default:
		d.str("status", "final")
	}
	d.arr("category")
	d.codesItem(p.category)
	d.end()
	d.concept("code", m.code)
	d.ref("subject", l.id(patient, 0))
	d.ref("encounter", l.id(encounter, at))
	s.effective(luck, v, p)
	d.instant("issued", min(v.end+moment(luck.upTo(74, 7200)), l.end-1), luck.upTo(75, 1000), l.zone)
	if luck.oneIn(76, 3) {
		d.arr("performer")
		d.refItem(shared(practitioner, v.doctor))
		d.end()
	}
	if luck.oneIn(77, 90) && m.form == aQuantity {
		d.codes("dataAbsentReason", code{hl7 + "data-absent-reason", "not-performed", "Not Performed"})
	} else {
		s.result(v, m)
	}
	d.done()
}

func profileOf(p *panel, m *measure) string {
	switch {
	case p.report.code != "":
		return usCore + "us-core-observation-lab"
	case m.form == aSmokingStatus:
		return usCore + "us-core-smokingstatus"
	case m.form == aBloodPressure:
		return usCore + "us-core-blood-pressure"
	case p.category == vitalSigns:
		return usCore + "us-core-vital-signs"
	}
	return ""
}

// effective writes when it was measured: a period for what a laboratory measures over time, and
// now and then only the day.
func (s *scribe) effective(luck luck, v *visit, p *panel) {
	d := &s.doc
	switch {
	case luck.oneIn(78, 40):
		d.date("effectiveDateTime", v.start.date())
	case luck.oneIn(79, 70) && p.report.code != "":
		d.period("effectivePeriod", v.start, v.end, s.life.zone)
	default:
		d.dateTime("effectiveDateTime", v.start, s.life.zone)
	}
}

// result writes the value and its interpretation.
func (s *scribe) result(v *visit, m *measure) {
	d, l, r := &s.doc, &s.life, &s.life.roll
	months := int(v.start.date()-l.birth) * 12 / daysInYear
	// The same for all measures of a visit, so that BMI follows from the others.
	weight := l.weightAt(months) / 100 * (990 + int(v.start/hour)%21) / 1000 // in units of 0.1 kg
	height := l.heightAt(months)                                             // in units of 0.1 cm
	switch m.form {
	case aHeight:
		d.quantity("valueQuantity", height, m.places, m.unit)
	case aWeight:
		d.quantity("valueQuantity", weight, m.places, m.unit)
	case aBodyMass:
		mass := int(int64(weight) * 10_000_000 / int64(height*height))
		d.quantity("valueQuantity", mass, m.places, m.unit)
		d.interpretation(mass, 1850, 2500)
	case aBloodPressure:
		s.bloodPressure(v)
	case aSmokingStatus:
		d.concept("valueCodeableConcept", smokingCodes[l.smoking])
	case aScore:
		d.num("valueInteger", max(0, r.around(m.mean, m.spread)))
	case aString:
		d.str("valueString", []string{"Yellow", "Pale yellow", "Amber", "Straw, slightly cloudy"}[r.below(4)])
	case aConcept:
		d.concept("valueCodeableConcept", []code{
			{sysSNOMED, "260385009", "Negative"}, {sysSNOMED, "10828004", "Positive"},
		}[r.weighted(3, 1)])
	default:
		value := max(0, r.around(m.mean+l.shift(m, v.start.date()), m.spread))
		if m.unit == percent && m.places == 0 {
			value = min(value, 100)
		}
		d.quantity("valueQuantity", value, m.places, m.unit)
		d.interpretation(value, m.low, m.high)
		d.arr("referenceRange")
		d.item()
		d.quantity("low", m.low, m.places, m.unit)
		d.quantity("high", m.high, m.places, m.unit)
		d.end2()
	}
}

// shift returns how far chronic illnesses move the mean of a measure.
func (l *life) shift(m *measure, on day) int {
	switch m.code.code {
	case "2339-0": // glucose
		if l.has(diabetes, on) {
			return 480
		}
	case "38483-4": // creatinine
		if l.has(kidneyDisease, on) {
			return 70
		}
	case "33914-3": // filtration rate
		if l.has(kidneyDisease, on) {
			return -440
		}
	case "18262-6", "2093-3": // LDL and total cholesterol
		if l.has(hyperlipidemia, on) {
			return 350
		}
	case "59408-5": // oxygen saturation
		if l.has(copd, on) {
			return -4
		}
	}
	return 0
}

func (s *scribe) bloodPressure(v *visit) {
	d, l, r := &s.doc, &s.life, &s.life.roll
	years := l.birth.yearsTo(v.start.date())
	systolic := r.around(98+min(years, 60)/2, 12)
	diastolic := r.around(62+min(years, 60)/4, 9)
	if l.has(hypertension, v.start.date()) {
		systolic, diastolic = systolic+16, diastolic+9
	}
	d.arr("component")
	d.item()
	d.concept("code", loinc("8480-6", "Systolic blood pressure"))
	d.quantity("valueQuantity", systolic, 0, mmHg)
	d.interpretation(systolic, 90, 130)
	d.end()
	d.item()
	d.concept("code", loinc("8462-4", "Diastolic blood pressure"))
	d.quantity("valueQuantity", diastolic, 0, mmHg)
	d.interpretation(diastolic, 60, 85)
	d.end2()
}

func (d *doc) interpretation(value, low, high int) {
	c := code{hl7 + "v3-ObservationInterpretation", "N", "Normal"}
	switch {
	case value < low:
		c.code, c.display = "L", "Low"
	case value > high:
		c.code, c.display = "H", "High"
	}
	d.arr("interpretation")
	d.codesItem(c)
	d.end()
}
