package population

// A code is a FHIR Coding. Displays are our own words, without characters that JSON escapes.
type code struct{ system, code, display string }

func (d *doc) coding(name string, c code) {
	d.obj(name)
	d.codingParts(c)
	d.end()
}

func (d *doc) codingItem(c code) {
	d.item()
	d.codingParts(c)
	d.end()
}

func (d *doc) codingParts(c code) {
	d.str("system", c.system)
	d.str("code", c.code)
	if c.display != "" {
		d.str("display", c.display)
	}
}

// concept writes a CodeableConcept that has the display also as its text; codes writes one
// without a text.
func (d *doc) concept(name string, c code) {
	d.obj(name)
	d.conceptParts(c)
	d.end()
}

func (d *doc) conceptItem(c code) {
	d.item()
	d.conceptParts(c)
	d.end()
}

func (d *doc) conceptParts(c code) {
	d.arr("coding")
	d.codingItem(c)
	d.end()
	if c.display != "" {
		d.str("text", c.display)
	}
}

func (d *doc) codes(name string, several ...code) {
	d.obj(name)
	d.codesParts(several...)
	d.end()
}

func (d *doc) codesItem(several ...code) {
	d.item()
	d.codesParts(several...)
	d.end()
}

func (d *doc) codesParts(several ...code) {
	d.arr("coding")
	for _, c := range several {
		d.codingItem(c)
	}
	d.end()
}

// money writes a Money in US dollars from cents.
func (d *doc) money(name string, cents int) {
	d.obj(name)
	d.dec("value", cents, 2)
	d.str("currency", "USD")
	d.end()
}

// A unit is a UCUM unit; shown is how people write it.
type unit struct{ ucum, shown string }

// quantity writes a Quantity of n units of 10 to the power of -places.
func (d *doc) quantity(name string, n, places int, u unit) {
	d.obj(name)
	d.quantityParts(n, places, u)
	d.end()
}

func (d *doc) quantityParts(n, places int, u unit) {
	d.dec("value", n, places)
	if u.ucum == "" {
		return
	}
	d.str("unit", u.shown)
	d.str("system", sysUCUM)
	d.str("code", u.ucum)
}

func (d *doc) date(name string, at day) { d.partialDate(name, at, toDay) }

func (d *doc) partialDate(name string, at day, p precision) {
	d.open(name)
	d.b = appendDate(d.b, at, p)
	d.shut()
}

func (d *doc) dateTime(name string, at moment, z zone) {
	d.open(name)
	d.b = appendTime(d.b, at, -1, z)
	d.shut()
}

func (d *doc) instant(name string, at moment, millis int, z zone) {
	d.open(name)
	d.b = appendTime(d.b, at, millis, z)
	d.shut()
}

func (d *doc) period(name string, start, end moment, z zone) {
	d.obj(name)
	d.dateTime("start", start, z)
	d.dateTime("end", end, z)
	d.end()
}

func (d *doc) days(name string, start, end day) {
	d.obj(name)
	d.date("start", start)
	d.date("end", end)
	d.end()
}

// identifier writes an Identifier inside an array, with a type if typ has a code. Its value is a
// prefix and a number.
func (d *doc) identifier(typ code, system, prefix string, number, width int) {
	d.item()
	if typ.code != "" {
		d.codes("type", typ)
	}
	d.str("system", system)
	d.open("value")
	d.add(prefix)
	d.addPadded(number, width)
	d.shut()
	d.end()
}

// extension starts an Extension inside an array. The caller writes its value or nested
// extensions, and ends it.
func (d *doc) extension(url string) {
	d.item()
	d.str("url", url)
}

// absent writes the value of a primitive's underscore property: an extension that says why the
// primitive has no value.
func (d *doc) absent(reason string) {
	d.arr("extension")
	d.extension("http://hl7.org/fhir/StructureDefinition/data-absent-reason")
	d.str("valueCode", reason)
	d.end2()
}

// narrative starts Resource.text. The caller adds to the div, whose text is XHTML inside JSON,
// and closes it with narrativeEnd.
func (d *doc) narrative() {
	d.obj("text")
	d.str("status", "generated")
	d.open("div")
	d.add(`<div xmlns="http://www.w3.org/1999/xhtml"><p>`)
}

func (d *doc) narrativeEnd() {
	d.add(`</p></div>`)
	d.shut()
	d.end()
}

// addXHTML adds text to a div, with XHTML's reserved characters as entities.
func (d *doc) addXHTML(s string) {
	from := 0
	for i := range len(s) {
		entity := ""
		switch s[i] {
		case '&':
			entity = "&amp;"
		case '<':
			entity = "&lt;"
		case '>':
			entity = "&gt;"
		default:
			continue
		}
		d.add(s[from:i])
		d.add(entity)
		from = i + 1
	}
	d.add(s[from:])
}
