package population

import "math/bits"

// writeReports writes the reports that laboratories send for panels.
func (s *scribe) writeReports(int) {
	for i := range s.life.visits {
		v := &s.life.visits[i]
		n, result := v.report, v.observation
		for set := v.panels; set != 0; set &= set - 1 {
			p := &panels[bits.TrailingZeros16(uint16(set))]
			if p.report.code != "" {
				s.writeReport(i, n, result, p)
				n++
			}
			result += len(p.measures)
		}
	}
}

func (s *scribe) writeReport(at, n, result int, p *panel) {
	d, l := &s.doc, &s.life
	v := &l.visits[at]
	luck := d.resource(l.id(diagnosticReport, n))
	d.meta(luck, l.stamp(luck, v.end, l.covers[v.cover].insurer), usCore+"us-core-diagnosticreport-lab")
	d.arr("identifier")
	d.identifier(code{}, exampleBase+"/accessions", "A", l.patient*perPatient+n, 8)
	d.end()
	d.str("status", "final")
	d.arr("category")
	d.conceptItem(code{hl7 + "v2-0074", "LAB", "Laboratory"})
	d.end()
	d.concept("code", p.report)
	d.ref("subject", l.id(patient, 0))
	d.ref("encounter", l.id(encounter, at))
	d.dateTime("effectiveDateTime", v.start, l.zone)
	d.instant("issued", min(v.end+moment(luck.upTo(81, 40_000)), l.end-1), luck.upTo(82, 1000), l.zone)
	d.arr("performer")
	d.refItem(organizationOf(l.city*placesPerCity + hospital))
	d.end()
	d.arr("result")
	for i, m := range p.measures {
		d.item()
		d.reference(l.id(observation, result+i))
		d.str("display", m.code.display)
		d.end()
	}
	d.end()
	if luck.oneIn(83, 6) {
		d.text("conclusion", "Results reviewed.\nNo change of treatment; repeat as scheduled.")
	}
	d.done()
}
