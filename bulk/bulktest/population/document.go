package population

import "encoding/base64"

var (
	dischargeNote = loinc("18842-5", "Discharge summary")
	progressNote  = loinc("11506-3", "Progress note")
	emergencyNote = loinc("34111-5", "Emergency department note")
)

func (s *scribe) writeDocuments(int) {
	n := 0
	for i := range s.life.visits {
		if s.life.visits[i].note {
			s.writeDocument(i, n)
			n++
		}
	}
}

func (s *scribe) writeDocument(at, n int) {
	d, l := &s.doc, &s.life
	v := &l.visits[at]
	typ := progressNote
	switch v.kind {
	case inpatient:
		typ = dischargeNote
	case emergency:
		typ = emergencyNote
	}
	l.roll.throw(s.w.seed, streamNotes, l.patient, at)
	s.compose(typ.display, v)
	luck := d.resource(l.id(document, n))
	d.meta(luck, l.stamp(luck, v.end, l.covers[v.cover].insurer), usCore+"us-core-documentreference")
	d.arr("identifier")
	d.item()
	d.str("system", "urn:ietf:rfc:3986")
	d.open("value")
	d.add("urn:uuid:")
	d.addUUID(mix(uint64(luck)))
	d.shut()
	d.end2()
	d.str("status", "current")
	d.concept("type", typ)
	d.arr("category")
	d.conceptItem(code{"http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "clinical-note", "Clinical Note"})
	d.end()
	d.ref("subject", l.id(patient, 0))
	d.instant("date", min(v.end+1800, l.end-1), luck.upTo(121, 1000), l.zone)
	d.arr("author")
	d.doctorItem(s.w, v.doctor)
	d.end()
	d.ref("custodian", organizationOf(v.place))
	d.arr("content")
	d.item()
	d.obj("attachment")
	d.str("contentType", "text/plain; charset=utf-8")
	if luck.oneIn(122, 2) {
		d.str("language", "en-US")
	}
	d.open("data")
	d.b = base64.StdEncoding.AppendEncode(d.b, s.note)
	d.shut()
	d.num("size", len(s.note))
	d.str("title", typ.display)
	d.dateTime("creation", v.end, l.zone)
	d.end()
	d.coding("format", code{"http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem", "urn:ihe:iti:xds:2017:mimeTypeSufficient", "mimeType Sufficient"})
	d.end2()
	d.obj("context")
	d.arr("encounter")
	d.refItem(l.id(encounter, at))
	d.end()
	d.period("period", v.start, v.end, l.zone)
	d.end()
	d.done()
}

var sentences = [...]string{
	"The patient is well known to this practice and was in no distress.",
	"Vital signs were reviewed and are recorded in the chart.",
	"No chest pain, no shortness of breath, no fever or chills were reported.",
	"Medications were reviewed; the patient takes them as prescribed.",
	"Heart sounds regular, lungs clear, abdomen soft and not tender.",
	"Laboratory results were discussed; they will be repeated in three months.",
	"Diet, exercise and sleep were discussed at some length.",
	"The patient asked about side effects, which were explained.",
	"Follow up with the care team, earlier if symptoms get worse.",
	"Family history is unchanged since the last visit.",
	"Imaging shows nothing that needs action today.",
	"The plan was agreed with the patient, who repeated it in own words.",
	"Pain is 2 of 10 at rest and 4 of 10 with movement.",
	"Immunizations are up to date but for the yearly influenza shot.",
}

// compose makes the text of a note: mostly one page, sometimes the dozens of copied-forward
// pages that charts are known for.
func (s *scribe) compose(title string, v *visit) {
	l, r := &s.life, &s.life.roll
	size := r.between(800, 3200)
	switch x := r.below(1000); {
	case x < 4:
		size = r.between(120_000, 160_000)
	case x < 50:
		size = r.between(8000, 30_000)
	}
	b := append(s.note[:0], title...)
	b = append(b, "\nDate: "...)
	b = appendDate(b, v.start.date(), toDay)
	b = append(b, "\nPatient: "...)
	b = append(b, l.given...)
	b = append(b, ' ')
	b = append(b, l.family...)
	b = append(b, "\nAuthor: "...)
	b = append(b, s.w.doctors[v.doctor].display...)
	if v.reason >= 0 {
		b = append(b, "\nReason: "...)
		b = append(b, illnesses[l.ailments[v.reason].illness].chart.display...)
	}
	b = append(b, "\n\n"...)
	for i := 0; len(b) < size; {
		i = (i + r.between(1, len(sentences)-1)) % len(sentences) // never the same twice in a row
		b = append(b, sentences[i]...)
		if r.chance(200) {
			b = append(b, "\n\n"...)
		} else {
			b = append(b, ' ')
		}
	}
	s.note = b
}
