package population

// An illness has two codes, for the chart and for the claim, and the drugs that treat it, as
// indexes in the list of drugs.
type illness struct {
	chart, claim code
	drugs        []int
	// since is the age from which it occurs. At that age permille of the people have it,
	// and perDecade more with every ten years. For an acute illness since is the same, and
	// permille is only a weight.
	since, permille, perDecade int
}

func ill(snomed, text, icd10, claimText string, since, permille, perDecade int, drugs ...int) illness {
	return illness{
		chart: code{sysSNOMED, snomed, text}, claim: code{sysICD10, icd10, claimText},
		since: since, permille: permille, perDecade: perDecade, drugs: drugs,
	}
}

// Indexes of illnesses that the course of a life depends on.
const (
	hypertension = iota
	diabetes
	hyperlipidemia
	asthma
	copd
	kidneyDisease
	obesity
	depression
	anxiety
	hypothyroidism
	arthrosis
	reflux
	coronaryDisease
	heartFailure
	fibrillation
	sleepApnea
	acute // the first one that is not chronic
)

// The acute illnesses.
const (
	backPain = iota + acute
	pneumonia
	appendicitis
	childbirth
	forearmFracture
	respiratoryInfection
	strepThroat
	bronchitis
	earInfection
	urinaryInfection
	sinusitis
	ankleSprain
	laceration
	gastroenteritis
	covid
	dermatitis
	conjunctivitis
	chestPain
	concussion
)

var illnesses = [...]illness{
	hypertension:    ill("59621000", "Essential hypertension", "I10", "Essential (primary) hypertension", 30, 40, 70, lisinopril, amlodipine),
	diabetes:        ill("44054006", "Type 2 diabetes mellitus", "E11.9", "Type 2 diabetes mellitus without complications", 35, 30, 26, metformin),
	hyperlipidemia:  ill("55822004", "Hyperlipidemia", "E78.5", "Hyperlipidemia, unspecified", 35, 40, 45, atorvastatin),
	asthma:          ill("195967001", "Asthma", "J45.909", "Unspecified asthma, uncomplicated", 5, 45, 0, albuterol, montelukast),
	copd:            ill("13645005", "Chronic obstructive lung disease", "J44.9", "Chronic obstructive pulmonary disease, unspecified", 50, 20, 14, albuterol),
	kidneyDisease:   ill("433144002", "Chronic kidney disease stage 3", "N18.30", "Chronic kidney disease, stage 3 unspecified", 55, 25, 35),
	obesity:         ill("414916001", "Obesity", "E66.9", "Obesity, unspecified", 12, 800, 0),
	depression:      ill("35489007", "Depressive disorder", "F32.A", "Depression, unspecified", 16, 35, 3, sertraline),
	anxiety:         ill("197480006", "Anxiety disorder", "F41.9", "Anxiety disorder, unspecified", 14, 35, 0, escitalopram),
	hypothyroidism:  ill("40930008", "Hypothyroidism", "E03.9", "Hypothyroidism, unspecified", 30, 12, 8, levothyroxine),
	arthrosis:       ill("396275006", "Osteoarthritis", "M19.90", "Unspecified osteoarthritis, unspecified site", 45, 30, 40, naproxen),
	reflux:          ill("235595009", "Gastroesophageal reflux disease", "K21.9", "Gastro-esophageal reflux disease without esophagitis", 25, 25, 8, omeprazole),
	coronaryDisease: ill("53741008", "Coronary arteriosclerosis", "I25.10", "Atherosclerotic heart disease of native coronary artery", 50, 20, 28, clopidogrel),
	heartFailure:    ill("84114007", "Heart failure", "I50.9", "Heart failure, unspecified", 60, 10, 18, furosemide, carvedilol),
	fibrillation:    ill("49436004", "Atrial fibrillation", "I48.91", "Unspecified atrial fibrillation", 55, 10, 16, apixaban),
	sleepApnea:      ill("78275009", "Obstructive sleep apnea", "G47.33", "Obstructive sleep apnea (adult) (pediatric)", 30, 25, 6),

	backPain:        ill("279039007", "Low back pain", "M54.50", "Low back pain, unspecified", 18, 30, 0, naproxen),
	pneumonia:       ill("233604007", "Pneumonia", "J18.9", "Pneumonia, unspecified organism", 0, 8, 0, azithromycin),
	appendicitis:    ill("74400008", "Appendicitis", "K35.80", "Unspecified acute appendicitis", 5, 2, 0),
	childbirth:      ill("72892002", "Normal pregnancy", "O80", "Encounter for full-term uncomplicated delivery", 18, 0, 0),
	forearmFracture: ill("65966004", "Fracture of forearm", "S52.90XA", "Unspecified fracture of forearm, initial encounter", 5, 8, 0, acetaminophen),

	respiratoryInfection: ill("54150009", "Upper respiratory infection", "J06.9", "Acute upper respiratory infection, unspecified", 0, 60, 0),
	strepThroat:          ill("43878008", "Streptococcal sore throat", "J02.0", "Streptococcal pharyngitis", 3, 25, 0, amoxicillin),
	bronchitis:           ill("10509002", "Acute bronchitis", "J20.9", "Acute bronchitis, unspecified", 5, 30, 0, albuterol),
	earInfection:         ill("65363002", "Otitis media", "H66.90", "Otitis media, unspecified, unspecified ear", 0, 25, 0, amoxicillin),
	urinaryInfection:     ill("68566005", "Urinary tract infection", "N39.0", "Urinary tract infection, site not specified", 4, 25, 0, ciprofloxacin),
	sinusitis:            ill("15805002", "Acute sinusitis", "J01.90", "Acute sinusitis, unspecified", 5, 25, 0, azithromycin),
	ankleSprain:          ill("44465007", "Sprain of ankle", "S93.401A", "Sprain of ligament of right ankle, initial encounter", 6, 20, 0, naproxen),
	laceration:           ill("283371005", "Laceration of forearm", "S51.819A", "Laceration of forearm, initial encounter", 2, 12, 0),
	gastroenteritis:      ill("25374005", "Gastroenteritis", "K52.9", "Noninfective gastroenteritis and colitis, unspecified", 0, 25, 0),
	covid:                ill("840539006", "COVID-19", "U07.1", "COVID-19", 0, 30, 0),
	dermatitis:           ill("40275004", "Contact dermatitis", "L25.9", "Unspecified contact dermatitis, unspecified cause", 1, 15, 0, prednisone),
	conjunctivitis:       ill("9826008", "Conjunctivitis", "H10.9", "Unspecified conjunctivitis", 0, 15, 0),
	chestPain:            ill("29857009", "Chest pain", "R07.9", "Chest pain, unspecified", 30, 12, 0),
	concussion:           ill("110030002", "Concussion", "S06.0X0A", "Concussion without loss of consciousness, initial encounter", 6, 6, 0),
}
