package population

// An allergen is a substance with the body's reaction to it.
type allergen struct {
	substance, manifestation code
	category                 string
}

var allergens = [...]allergen{
	{code{sysRxNorm, "7980", "penicillin G"}, hives, "medication"},
	{code{sysRxNorm, "1191", "aspirin"}, hives, "medication"},
	{code{sysRxNorm, "5640", "ibuprofen"}, rash, "medication"},
	{code{sysSNOMED, "762952008", "Peanut"}, anaphylaxis, "food"},
	{code{sysSNOMED, "735029006", "Shellfish"}, anaphylaxis, "food"},
	{code{sysSNOMED, "102263004", "Eggs"}, hives, "food"},
	{code{sysSNOMED, "3718001", "Cow's milk"}, rash, "food"},
	{code{sysSNOMED, "256277009", "Grass pollen"}, sneezing, "environment"},
	{code{sysSNOMED, "260147004", "House dust mite"}, sneezing, "environment"},
	{code{sysSNOMED, "264287008", "Animal dander"}, sneezing, "environment"},
	{code{sysSNOMED, "288328004", "Bee venom"}, anaphylaxis, "environment"},
	{code{sysSNOMED, "111088007", "Latex"}, rash, "environment"},
}

var (
	hives       = code{sysSNOMED, "126485001", "Urticaria"}
	rash        = code{sysSNOMED, "271807003", "Eruption of skin"}
	anaphylaxis = code{sysSNOMED, "39579001", "Anaphylaxis"}
	sneezing    = code{sysSNOMED, "76067001", "Sneezing"}
)

func (s *scribe) writeAllergies(int) {
	for n := range s.life.counts[allergy] {
		s.writeAllergy(n)
	}
}

func (s *scribe) writeAllergy(n int) {
	d, l := &s.doc, &s.life
	a := &allergens[l.allergies[n]]
	luck := d.resource(l.id(allergy, n))
	d.meta(luck, s.personStamp(luck), usCore+"us-core-allergyintolerance")
	d.codes("clinicalStatus", code{hl7 + "allergyintolerance-clinical", "active", "Active"})
	d.codes("verificationStatus", code{hl7 + "allergyintolerance-verification", "confirmed", "Confirmed"})
	d.str("type", "allergy")
	d.arr("category")
	d.value(a.category)
	d.end()
	d.str("criticality", []string{"low", "high", "unable-to-assess"}[luck.upTo(101, 3)])
	d.concept("code", a.substance)
	d.ref("patient", l.id(patient, 0))
	noticed := l.birth + day(luck.upTo(102, int(l.today-l.birth)))
	d.partialDate("onsetDateTime", noticed, toMonth+precision(luck.upTo(103, 2)))
	d.date("recordedDate", min(noticed+30, l.today-1))
	d.arr("reaction")
	d.item()
	d.arr("manifestation")
	d.conceptItem(a.manifestation)
	d.end()
	if luck.oneIn(104, 2) {
		d.str("severity", []string{"mild", "moderate", "severe"}[luck.upTo(105, 3)])
	}
	d.end2()
	d.done()
}
