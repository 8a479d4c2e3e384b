package columnar

// identity is a scanned resource's id and meta.versionId, nil where there is none that
// is a string. Of a member that comes twice the first counts. What it returns is of the
// line, or a copy where that has escapes.
func identity(line []byte, tape []token) (id, version []byte) {
	for i := uint32(1); i < tape[0].next; i = tape[i+1].next {
		value := &tape[i+1]
		switch key := line[tape[i].start:tape[i].end]; {
		case len(key) == 2 && id == nil && string(key) == "id":
			id = stringOf(line, value)
		case len(key) == 4 && version == nil && value.kind == tokenObject && string(key) == "meta":
			for m := i + 2; m < value.next; m = tape[m+1].next {
				if string(line[tape[m].start:tape[m].end]) == "versionId" {
					version = stringOf(line, &tape[m+1])
					break
				}
			}
		default:
			continue
		}
		if id != nil && version != nil {
			return id, version // they commonly are the first members
		}
	}
	return id, version
}

// stringOf is a string's text; nil of what is none.
func stringOf(line []byte, t *token) []byte {
	if t.kind != tokenString {
		return nil
	}
	text := line[t.start:t.end:t.end]
	if t.flags&flagEscaped != 0 {
		text = appendText(nil, text)
	}
	return text
}
