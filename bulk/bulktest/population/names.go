package population

// Names are random combinations from these lists, and belong to nobody. Like real names, some
// need escaping in JSON or XHTML, or are not ASCII.
var (
	girls = []string{
		"Ada", "Alma", "Ana", "Beryl", "Bianca", "Carys", "Cleo", "Corinne", "Dalia", "Delphine",
		"Edda", "Elif", "Esme", "Farah", "Flora", "Greta", "Hana", "Hazel", "Imani", "Inés",
		"Ivy", "Jada", "Juno", "Kalina", "Keiko", "Lena", "Liv", "Lucía", "Mabel", "Maren",
		"Mei", "Mira", "Nadia", "Nell", "Noor", "Odette", "Opal", "Petra", "Priya", "Renée",
		"Rosa", "Ruth", "Saoirse", "Selma", "Siân", "Talia", "Thea", "Uma", "Vera", "Wilma",
		"Ximena", "Yara", "Zadie", "Zoë",
	}
	boys = []string{
		"Abel", "Amos", "Anton", "Bo", "Boris", "Caleb", "Cyrus", "Dario", "Desmond", "Dmitri",
		"Edgar", "Elias", "Emre", "Felix", "Finn", "Gideon", "Hank", "Hugo", "Idris", "Ira",
		"Ivo", "Jarek", "Jonas", "José", "Kofi", "Lars", "Leon", "Linus", "Malik", "Marco",
		"Milo", "Nico", "Niels", "Omar", "Orson", "Otis", "Pavel", "Quinn", "Rafael", "Ravi",
		"Reed", "Rhys", "Rohan", "Søren", "Silas", "Taro", "Theo", "Tomás", "Ugo", "Victor",
		"Wes", "Xavi", "Yusuf", "Zeke",
	}
	familyStarts = []string{
		"Ald", "Ash", "Barr", "Bel", "Birk", "Bram", "Calv", "Carr", "Cors", "Dal", "Dunn",
		"Eld", "Fal", "Farr", "Gil", "Grav", "Hal", "Hart", "Hol", "Jarr", "Kel", "Kirk",
		"Lang", "Lor", "Mal", "Marl", "Mor", "Nor", "Oak", "Penn", "Quar", "Rav", "Ros",
		"Sand", "Stav", "Tal", "Thorn", "Ul", "Vand", "Wal", "Wend", "Yar",
	}
	familyEnds = []string{
		"aby", "ado", "amore", "aster", "bury", "by", "den", "der", "endahl", "enko", "er",
		"field", "ford", "gren", "holt", "ido", "ingham", "isch", "ley", "low", "man", "mere",
		"noff", "ova", "ovic", "ridge", "ro", "sen", "stead", "ston", "vale", "wick",
	}
	// rareFamilies are the family names of a quarter of the people.
	rareFamilies = []string{
		"Ibáñez-Roa", "Núñez", "Þórsdal", "Šedová", "Øverli", "Gönül", "Nguyễn", "O'Dunn",
		"D'Alba", "Żurawik", "van der Holt", "王", "Kealoha", "Itō", "St. Marl", "Amarasinghe",
	}
	// nicknames are in quotes, which JSON has to escape.
	nicknames = []string{`"Ace"`, `"Birdie"`, `"Doc"`, `"Red"`, `"Skip"`, `"Tex"`}

	streets      = []string{"Alder", "Birch", "Canal", "Depot", "Elm", "Foundry", "Garnet", "Harbor", "Juniper", "Lark", "Mill", "Orchard", "Prairie", "Quarry", "Sorrel", "Union"}
	streetForms  = []string{"Ave", "Blvd", "Ct", "Dr", "Ln", "Rd", "St", "Way"}
	maritalCodes = []code{
		{sysMarital, "S", "Never Married"}, {sysMarital, "M", "Married"},
		{sysMarital, "D", "Divorced"}, {sysMarital, "W", "Widowed"},
	}
	races = []code{
		{sysRace, "2106-3", "White"}, {sysRace, "2054-5", "Black or African American"},
		{sysRace, "2028-9", "Asian"}, {sysRace, "1002-5", "American Indian or Alaska Native"},
		{sysRace, "2076-8", "Native Hawaiian or Other Pacific Islander"},
	}
	ethnicities = []code{
		{sysRace, "2186-5", "Not Hispanic or Latino"}, {sysRace, "2135-2", "Hispanic or Latino"},
	}
	languages = []code{
		{sysLanguage, "en-US", "English (United States)"}, {sysLanguage, "es", "Spanish"},
		{sysLanguage, "vi", "Vietnamese"}, {sysLanguage, "zh", "Chinese"}, {sysLanguage, "ar", "Arabic"},
	}
)

// A city is where people live and see doctors. Cities are real, with their real ZIP and phone
// prefixes, so that a map of the data makes sense.
type city struct {
	name, state, county string
	zip3, areaCode      string
	zone                zone
	lat, long           int // in millionths of a degree
}

var cities = [...]city{
	{"Omaha", "NE", "Douglas", "681", "402", -360, 41_256_500, -95_934_500},
	{"Boise", "ID", "Ada", "837", "208", -420, 43_615_000, -116_202_300},
	{"Duluth", "MN", "St. Louis", "558", "218", -360, 46_786_700, -92_100_500},
	{"Macon", "GA", "Bibb", "312", "478", -300, 32_840_700, -83_632_400},
	{"Albany", "NY", "Albany", "122", "518", -300, 42_652_600, -73_756_200},
	{"Tucson", "AZ", "Pima", "857", "520", -420, 32_222_600, -110_974_700},
	{"Fresno", "CA", "Fresno", "937", "559", -480, 36_737_800, -119_787_100},
	{"Toledo", "OH", "Lucas", "436", "419", -300, 41_652_800, -83_537_900},
	{"Mobile", "AL", "Mobile", "366", "251", -360, 30_695_400, -88_039_900},
	{"Provo", "UT", "Utah", "846", "385", -420, 40_233_800, -111_658_500},
	{"Bangor", "ME", "Penobscot", "044", "207", -300, 44_801_600, -68_771_200},
	{"Laredo", "TX", "Webb", "780", "956", -360, 27_503_600, -99_507_600},
}
