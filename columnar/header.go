package columnar

// isHeader reports whether a scanned Parameters is the header of a block in a file that is
// organized by resources: one with a parameter named header
// (https://hl7.org/fhir/uv/bulkdata/export.html#organizeoutputby).
func isHeader(line []byte, tape []token) bool {
	text := func(i uint32) string { return string(tape[i].text(line)) }
	// member calls found with the value of each member of that name in the object at i, until found
	// returns true.
	member := func(i uint32, name string, found func(value uint32) bool) bool {
		if tape[i].kind != tokenObject {
			return false
		}
		for end, i := tape[i].next, i+1; i < end; i = tape[i+1].next {
			if text(i) == name && found(i+1) {
				return true
			}
		}
		return false
	}
	return member(0, "parameter", func(list uint32) bool {
		if tape[list].kind != tokenArray {
			return false
		}
		for i := list + 1; i < tape[list].next; i = tape[i].next {
			if member(i, "name", func(v uint32) bool { return tape[v].kind == tokenString && text(v) == "header" }) {
				return true
			}
		}
		return false
	})
}
