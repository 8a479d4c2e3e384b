package population

// A panelSet says which panels were measured at a visit.
type panelSet uint16

const (
	vitals panelSet = 1 << iota
	triage
	tobacco
	mood
	lipids
	metabolic
	bloodCount
	sugar
	thyroid
	breathing
	urine
)

// A panel is a group of measures taken together. One with a report is a laboratory's, and has a
// DiagnosticReport with its results.
type panel struct {
	report   code
	billing  code // if it has no report but is billed
	cents    int  // 0 means not billed separately
	category code
	measures []measure
}

func (p *panel) billed() code {
	if p.report.code != "" {
		return p.report
	}
	return p.billing
}

// A measure is one Observation of a panel.
type measure struct {
	code   code
	unit   unit
	places int // decimal places
	// The value is at most spread away from mean. low to high is the normal range. All are
	// in units of the last decimal place.
	mean, spread, low, high int
	form                    measureForm
}

type measureForm uint8

const (
	aQuantity measureForm = iota
	aHeight
	aWeight
	aBodyMass
	aBloodPressure
	aSmokingStatus
	aScore  // valueInteger
	aString // valueString
	aConcept
)

var (
	vitalSigns    = code{hl7 + "observation-category", "vital-signs", "Vital Signs"}
	labResults    = code{hl7 + "observation-category", "laboratory", "Laboratory"}
	socialHistory = code{hl7 + "observation-category", "social-history", "Social History"}
	survey        = code{hl7 + "observation-category", "survey", "Survey"}

	mgdL    = unit{"mg/dL", "mg/dL"}
	mmolL   = unit{"mmol/L", "mmol/L"}
	percent = unit{"%", "%"}
	mmHg    = unit{"mm[Hg]", "mmHg"}
)

func loinc(number, text string) code { return code{sysLOINC, number, text} }

// panels has the order of panelSet's bits.
var panels = [...]panel{
	{category: vitalSigns, measures: []measure{
		{code: loinc("8302-2", "Body height"), unit: unit{"cm", "cm"}, places: 1, form: aHeight},
		{code: loinc("29463-7", "Body weight"), unit: unit{"kg", "kg"}, places: 1, form: aWeight},
		{code: loinc("39156-5", "Body mass index (BMI) [Ratio]"), unit: unit{"kg/m2", "kg/m2"}, places: 2, form: aBodyMass},
		{code: loinc("85354-9", "Blood pressure panel with all children optional"), form: aBloodPressure},
		{code: loinc("8867-4", "Heart rate"), unit: unit{"/min", "/min"}, mean: 74, spread: 22, low: 60, high: 100},
	}},
	{category: vitalSigns, measures: []measure{
		{code: loinc("8310-5", "Body temperature"), unit: unit{"Cel", "Cel"}, places: 1, mean: 372, spread: 14, low: 361, high: 378},
		{code: loinc("9279-1", "Respiratory rate"), unit: unit{"/min", "/min"}, mean: 16, spread: 5, low: 12, high: 20},
		{code: loinc("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"), unit: percent, mean: 97, spread: 3, low: 94, high: 100},
	}},
	{category: socialHistory, measures: []measure{
		{code: loinc("72166-2", "Tobacco smoking status"), form: aSmokingStatus},
	}},
	{category: survey, measures: []measure{
		{code: loinc("55758-7", "Patient Health Questionnaire 2 item (PHQ-2) total score"), mean: 1, spread: 2, high: 3, form: aScore},
	}},
	{report: loinc("57698-3", "Lipid panel with direct LDL - Serum or Plasma"), cents: 5200, category: labResults, measures: []measure{
		{code: loinc("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma"), unit: mgdL, places: 1, mean: 1870, spread: 600, low: 1000, high: 2000},
		{code: loinc("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma"), unit: mgdL, places: 1, mean: 1320, spread: 700, low: 300, high: 1500},
		{code: loinc("18262-6", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by Direct assay"), unit: mgdL, places: 1, mean: 1090, spread: 500, low: 300, high: 1300},
		{code: loinc("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma"), unit: mgdL, places: 1, mean: 540, spread: 200, low: 400, high: 900},
	}},
	{report: loinc("51990-0", "Basic metabolic panel - Blood"), cents: 4800, category: labResults, measures: []measure{
		{code: loinc("2339-0", "Glucose [Mass/volume] in Blood"), unit: mgdL, places: 1, mean: 940, spread: 240, low: 650, high: 990},
		{code: loinc("6299-2", "Urea nitrogen [Mass/volume] in Blood"), unit: mgdL, places: 1, mean: 140, spread: 70, low: 70, high: 200},
		{code: loinc("38483-4", "Creatinine [Mass/volume] in Blood"), unit: mgdL, places: 2, mean: 95, spread: 40, low: 60, high: 120},
		{code: loinc("2947-0", "Sodium [Moles/volume] in Blood"), unit: mmolL, places: 1, mean: 1400, spread: 50, low: 1350, high: 1450},
		{code: loinc("6298-4", "Potassium [Moles/volume] in Blood"), unit: mmolL, places: 2, mean: 430, spread: 80, low: 350, high: 510},
		{code: loinc("33914-3", "Glomerular filtration rate/1.73 sq M.predicted"), unit: unit{"mL/min/{1.73_m2}", "mL/min/1.73m2"}, places: 1, mean: 880, spread: 250, low: 600, high: 1300},
	}},
	{report: loinc("58410-2", "CBC panel - Blood by Automated count"), cents: 3900, category: labResults, measures: []measure{
		{code: loinc("6690-2", "Leukocytes [#/volume] in Blood by Automated count"), unit: unit{"10*3/uL", "10*3/uL"}, places: 2, mean: 720, spread: 380, low: 450, high: 1100},
		{code: loinc("718-7", "Hemoglobin [Mass/volume] in Blood"), unit: unit{"g/dL", "g/dL"}, places: 1, mean: 141, spread: 25, low: 120, high: 175},
		{code: loinc("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count"), unit: percent, places: 1, mean: 421, spread: 60, low: 360, high: 500},
		{code: loinc("777-3", "Platelets [#/volume] in Blood by Automated count"), unit: unit{"10*3/uL", "10*3/uL"}, mean: 255, spread: 110, low: 150, high: 450},
	}},
	{report: loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"), cents: 2700, category: labResults, measures: []measure{
		{code: loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"), unit: percent, places: 2, mean: 720, spread: 160, low: 400, high: 560},
	}},
	{report: loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"), cents: 4100, category: labResults, measures: []measure{
		{code: loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"), unit: unit{"m[IU]/L", "mIU/L"}, places: 3, mean: 2950, spread: 2600, low: 400, high: 4500},
	}},
	{category: labResults, measures: []measure{
		{code: loinc("19926-5", "FEV1/FVC"), unit: percent, mean: 71, spread: 16, low: 70, high: 95},
	}},
	{report: loinc("24356-8", "Urinalysis complete panel - Urine"), cents: 2300, category: labResults, measures: []measure{
		{code: loinc("5778-6", "Color of Urine"), form: aString},
		{code: loinc("5799-2", "Leukocyte esterase [Presence] in Urine by Test strip"), form: aConcept},
		{code: loinc("2756-5", "pH of Urine"), unit: unit{"[pH]", "pH"}, places: 1, mean: 62, spread: 14, low: 50, high: 80},
	}},
}

var smokingCodes = [...]code{
	{sysSNOMED, "266919005", "Never smoked tobacco"},
	{sysSNOMED, "8517006", "Ex-smoker"},
	{sysSNOMED, "449868002", "Smokes tobacco daily"},
	{sysSNOMED, "428041000124106", "Occasional tobacco smoker"},
}
