package population

func (s *scribe) writeEncounters(int) {
	for n := range s.life.visits {
		s.writeEncounter(n)
	}
}

func (s *scribe) writeEncounter(n int) {
	d, l := &s.doc, &s.life
	v := &l.visits[n]
	form := &visitForms[v.kind]
	luck := d.resource(l.id(encounter, n))
	d.meta(luck, l.stamp(luck, v.end, l.covers[v.cover].insurer), usCore+"us-core-encounter")
	d.arr("identifier")
	d.item()
	d.str("use", "official")
	d.str("system", exampleBase+"/visits")
	d.open("value")
	d.add("V")
	d.addInt(l.patient*perPatient + n)
	d.shut()
	d.end2()
	d.str("status", "finished")
	d.coding("class", form.class)
	d.arr("type")
	d.conceptItem(form.typ)
	d.end()
	d.obj("subject")
	d.reference(l.id(patient, 0))
	d.open("display")
	d.addName(&l.person)
	d.shut()
	d.end()
	d.arr("participant")
	d.item()
	d.arr("type")
	d.conceptItem(code{hl7 + "v3-ParticipationType", "PPRF", "primary performer"})
	d.end()
	d.period("period", v.start, v.end, l.zone)
	d.doctor(s.w, "individual", v.doctor)
	d.end2()
	d.period("period", v.start, v.end, l.zone)
	if v.kind != inpatient && luck.oneIn(51, 3) {
		d.quantity("length", int(v.end-v.start)/60, 0, unit{"min", "min"})
	}
	if v.reason >= 0 {
		d.arr("reasonCode")
		d.conceptItem(illnesses[l.ailments[v.reason].illness].chart)
		d.end()
		d.arr("diagnosis")
		d.item()
		d.ref("condition", l.id(condition, v.reason))
		use := code{hl7 + "diagnosis-role", "billing", "Billing"}
		if v.kind == inpatient {
			use.code, use.display = "DD", "Discharge diagnosis"
		}
		d.codes("use", use)
		d.num("rank", 1)
		d.end2()
	}
	if v.kind == inpatient {
		d.obj("hospitalization")
		if luck.oneIn(52, 2) {
			d.concept("admitSource", code{hl7 + "admit-source", "emd", "From accident/emergency department"})
		}
		d.concept("dischargeDisposition", code{hl7 + "discharge-disposition", "home", "Home"})
		d.end()
	}
	d.arr("location")
	d.item()
	d.obj("location")
	d.reference(shared(location, v.place))
	d.str("display", s.w.places[v.place])
	d.end()
	if v.kind == inpatient {
		d.str("status", "completed")
	}
	d.end2()
	d.ref("serviceProvider", organizationOf(v.place))
	d.done()
}

// doctor writes a reference to a doctor, with the name as its display.
func (d *doc) doctor(w *World, name string, n int) {
	d.obj(name)
	d.doctorParts(w, n)
	d.end()
}

func (d *doc) doctorItem(w *World, n int) {
	d.item()
	d.doctorParts(w, n)
	d.end()
}

func (d *doc) doctorParts(w *World, n int) {
	d.reference(shared(practitioner, n))
	d.text("display", w.doctors[n].display)
}
