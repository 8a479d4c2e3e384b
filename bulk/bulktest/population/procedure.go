package population

// Indexes of procedures.
const (
	reconciliation = iota
	depressionScreening
	colonoscopy
	mammography
	footExam
	spirometry
	electrocardiogram
	echocardiogram
	chestXray
	throatCulture
	suture
	immobilization
	appendectomy
	kneeReplacement
	coronaryIntervention
	delivery
	spineMRI
	sleepStudy
)

// procedures has the code of each procedure, and its code on the claim if hospitals put it there.
var procedures = [...]struct {
	chart, claim code
	minutes      int
	cents        int  // the amount billed
	surgical     bool // done in an operating room
}{
	reconciliation:       {chart: code{sysSNOMED, "430193006", "Medication reconciliation"}, minutes: 10, cents: 4200},
	depressionScreening:  {chart: code{sysSNOMED, "171207006", "Depression screening"}, minutes: 10, cents: 2900},
	colonoscopy:          {chart: code{sysSNOMED, "73761001", "Colonoscopy"}, minutes: 45, cents: 148_000},
	mammography:          {chart: code{sysSNOMED, "71651007", "Mammography"}, minutes: 20, cents: 31_500},
	footExam:             {chart: code{sysSNOMED, "401191002", "Diabetic foot examination"}, minutes: 10, cents: 5400},
	spirometry:           {chart: code{sysSNOMED, "127783003", "Spirometry"}, minutes: 15, cents: 9800},
	electrocardiogram:    {chart: code{sysSNOMED, "29303009", "Electrocardiographic procedure"}, minutes: 10, cents: 7600},
	echocardiogram:       {chart: code{sysSNOMED, "40701008", "Echocardiography"}, claim: code{sysICD10PCS, "B245ZZZ", "Ultrasonography of left heart"}, minutes: 40, cents: 86_000},
	chestXray:            {chart: code{sysSNOMED, "399208008", "Plain chest X-ray"}, claim: code{sysICD10PCS, "BW03ZZZ", "Plain radiography of chest"}, minutes: 15, cents: 11_200},
	throatCulture:        {chart: code{sysSNOMED, "117015009", "Throat culture"}, minutes: 5, cents: 3600},
	suture:               {chart: code{sysSNOMED, "288086009", "Suture of open wound"}, minutes: 25, cents: 27_400},
	immobilization:       {chart: code{sysSNOMED, "274474001", "Bone immobilization"}, minutes: 30, cents: 33_900},
	appendectomy:         {chart: code{sysSNOMED, "80146002", "Appendectomy"}, claim: code{sysICD10PCS, "0DTJ4ZZ", "Resection of appendix, percutaneous endoscopic approach"}, minutes: 70, cents: 412_000, surgical: true},
	kneeReplacement:      {chart: code{sysSNOMED, "609588000", "Total knee replacement"}, claim: code{sysICD10PCS, "0SRC0J9", "Replacement of right knee joint, cemented"}, minutes: 120, cents: 1_185_000, surgical: true},
	coronaryIntervention: {chart: code{sysSNOMED, "415070008", "Percutaneous coronary intervention"}, claim: code{sysICD10PCS, "027034Z", "Dilation of one coronary artery with drug-eluting stent"}, minutes: 90, cents: 964_000, surgical: true},
	delivery:             {chart: code{sysSNOMED, "177184002", "Normal delivery procedure"}, claim: code{sysICD10PCS, "10E0XZZ", "Delivery of products of conception"}, minutes: 240, cents: 385_000, surgical: true},
	spineMRI:             {chart: code{sysSNOMED, "113091000", "Magnetic resonance imaging"}, minutes: 40, cents: 124_000},
	sleepStudy:           {chart: code{sysSNOMED, "60554003", "Polysomnography"}, minutes: 420, cents: 138_500},
}

func (s *scribe) writeProcedures(int) {
	for i := range s.life.visits {
		v := &s.life.visits[i]
		for j, which := range v.procedures[:v.nProcedures] {
			s.writeProcedure(i, v.procedure+j, int(which))
		}
	}
}

func (s *scribe) writeProcedure(at, n, which int) {
	d, l := &s.doc, &s.life
	v, p := &l.visits[at], &procedures[which]
	luck := d.resource(l.id(procedure, n))
	d.meta(luck, l.stamp(luck, v.end, l.covers[v.cover].insurer), usCore+"us-core-procedure")
	d.str("status", "completed")
	d.obj("code")
	if p.claim.code != "" && v.kind == inpatient {
		d.codesParts(p.chart, p.claim)
	} else {
		d.codesParts(p.chart)
	}
	d.str("text", p.chart.display)
	d.end()
	d.ref("subject", l.id(patient, 0))
	d.ref("encounter", l.id(encounter, at))
	begin := v.start + 300
	switch {
	case luck.oneIn(91, 12):
		d.date("performedDateTime", begin.date())
	case luck.oneIn(92, 3):
		d.dateTime("performedDateTime", begin, l.zone)
	default:
		d.period("performedPeriod", begin, begin+moment(p.minutes)*60, l.zone)
	}
	d.arr("performer")
	d.item()
	d.doctor(s.w, "actor", v.doctor)
	d.end2()
	d.ref("location", shared(location, v.place))
	if v.reason >= 0 {
		d.arr("reasonReference")
		d.refItem(l.id(condition, v.reason))
		d.end()
	}
	if which == kneeReplacement || which == suture || which == immobilization {
		d.arr("bodySite")
		d.conceptItem([]code{
			{sysSNOMED, "72696002", "Knee region"}, {sysSNOMED, "14975008", "Forearm"},
		}[min(1, which^kneeReplacement)])
		d.end()
	}
	if which == coronaryIntervention {
		d.arr("complication")
		d.conceptItem(code{sysSNOMED, "131148009", "Bleeding"})
		d.end()
	}
	d.done()
}
