package population

// A service is something billed, at a list price in cents. The texts of the HCPCS codes are ours.
type service struct {
	code  code
	cents int
}

var (
	// visitServices are what professionals bill for the visit itself.
	visitServices = [...]service{
		checkup:    {code{sysHCPCS, "T1015", "Clinic visit, all-inclusive"}, 19_500},
		followUp:   {code{sysHCPCS, "T1015", "Clinic visit, all-inclusive"}, 14_800},
		sickVisit:  {code{sysHCPCS, "T1015", "Clinic visit, all-inclusive"}, 13_200},
		urgentCare: {code{sysHCPCS, "S9083", "Urgent care center, global fee"}, 18_900},
		telehealth: {code{sysHCPCS, "G2012", "Brief technology-based check-in"}, 6400},
		emergency:  {code{sysHCPCS, "G0383", "Emergency visit, moderate to high level"}, 41_700},
		inpatient:  {code{sysHCPCS, "G0316", "Prolonged hospital care"}, 23_800},
		imaging:    {code{sysHCPCS, "R0070", "Portable imaging equipment, transport"}, 9100},
		dental:     {code{sysSNOMED, "34043003", "Dental consultation and report"}, 9200},
		vision:     {code{sysHCPCS, "S0621", "Routine eye examination, established patient"}, 11_300},
	}
	wellnessService  = service{code{sysHCPCS, "G0439", "Annual wellness visit, subsequent"}, 21_600}
	shotService      = service{code{sysHCPCS, "G0008", "Administration of a vaccine"}, 2700}
	emergencyService = service{code{sysHCPCS, "G0382", "Emergency visit, moderate level"}, 128_400}
	eyeExam          = service{code{sysHCPCS, "S0621", "Routine eye examination, established patient"}, 11_300}
	frames           = service{code{sysHCPCS, "V2020", "Frames"}, 16_900}
	lenses           = service{code{sysHCPCS, "V2100", "Single vision lens, sphere"}, 5450}
	contactLenses    = service{code{sysHCPCS, "V2520", "Contact lens, hydrophilic, spherical"}, 8725}
	oralExam         = service{code{sysSNOMED, "34043003", "Dental consultation and report"}, 6800}
	oralCleaning     = service{code{sysSNOMED, "234696006", "Removal of plaque and calculus from all teeth"}, 11_900}
	oralXray         = service{code{sysSNOMED, "241046008", "Dental plain X-ray bitewing"}, 5800}
	oralFilling      = service{code{sysSNOMED, "225362009", "Dental care"}, 21_500}
)

// A revenue is a line of a hospital's bill, by NUBC's revenue codes.
type revenue struct {
	code  code
	cents int
}

var (
	roomAndBoard     = revenue{code{nubc + "RevenueCodes", "0120", "Room and board, semi-private"}, 218_000}
	operatingRoom    = revenue{code{nubc + "RevenueCodes", "0360", "Operating room services"}, 684_000}
	supplies         = revenue{code{nubc + "RevenueCodes", "0270", "Medical and surgical supplies"}, 41_200}
	emergencyRoom    = revenue{code{nubc + "RevenueCodes", "0450", "Emergency room"}, 128_400}
	laboratory       = revenue{code{nubc + "RevenueCodes", "0300", "Laboratory"}, 9650}
	hospitalPharmacy = revenue{code{nubc + "RevenueCodes", "0250", "Pharmacy"}, 3875}
	radiologyRoom    = revenue{code{nubc + "RevenueCodes", "0320", "Diagnostic radiology"}, 97_300}
)

var teeth = [...]code{
	{hl7 + "ADAUniversalToothDesignationSystem", "3", "Upper right first molar"},
	{hl7 + "ADAUniversalToothDesignationSystem", "12", "Upper left first premolar"},
	{hl7 + "ADAUniversalToothDesignationSystem", "19", "Lower left first molar"},
	{hl7 + "ADAUniversalToothDesignationSystem", "30", "Lower right first molar"},
}

// A plan is a product of an insurer.
type plan struct {
	name, code       string
	typ              code // of the Coverage
	copay            int  // cents
	coinsurance      int  // percent
	deductibleMonths int  // months in which the deductible is usually not yet met
}

var (
	hmo    = code{sysActCode, "HMO", "health maintenance organization policy"}
	ppo    = code{sysActCode, "PPO", "preferred provider organization policy"}
	pos    = code{sysActCode, "POS", "point of service policy"}
	public = code{sysActCode, "PUBLICPOL", "public healthcare"}
)

// seniorPlan is the index of the plan for people aged 65 and over.
const seniorPlan = 2

// plans are those of this payer, and those of every other payer, equal in number.
var plans = [2][4]plan{
	{
		{"Prairie Gold PPO", "PG-2500", ppo, 3000, 20, 5},
		{"Prairie Silver HMO", "PS-4000", hmo, 2500, 10, 6},
		{"Plains Medicare Advantage", "MA-0100", pos, 1500, 5, 2},
		{"Community Care", "CC-0001", public, 0, 0, 0},
	},
	{
		{"Select PPO", "SEL-1500", ppo, 3500, 20, 4},
		{"Value HMO", "VAL-3000", hmo, 2000, 15, 6},
		{"Senior Choice", "SNR-0200", pos, 1000, 5, 2},
		{"Open Access", "OA-5000", pos, 4000, 25, 8},
	},
}
