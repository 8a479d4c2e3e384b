package columnar

// list reads the array at i. An element of the wrong kind goes to __residual and leaves a null
// slot; a null element is only a null slot.
func (s *shredder) list(f *Field, i int) int {
	line := s.line
	if i = skipSpace(line, i+1); at(line, i) == ']' {
		s.rows.emptyList(f)
		return i + 1
	}
	s.depth++
	for n := 0; ; n++ {
		if f.role == roleStruct && at(line, i) == '{' {
			s.rows.element(f, n == 0, false)
			s.path = append(s.path, step{f.Name, n})
			i = s.nested(f, i)
			s.path = s.path[:len(s.path)-1]
		} else {
			i = s.element(f, n, i)
		}
		if i < 0 {
			return invalid
		}
		if at(line, i) <= ' ' {
			i = skipSpace(line, i)
		}
		switch at(line, i) {
		case ',':
			i = skipSpace(line, i+1)
		case ']':
			s.depth--
			return i + 1
		default:
			return invalid
		}
	}
}

// element reads the n-th element, at i, of a list of leaves, or an element of another kind than
// its list.
func (s *shredder) element(f *Field, n, i int) int {
	if end := s.value(f, n, i); end != 0 {
		return end
	}
	end := s.scan(i)
	if end < 0 {
		return invalid
	}
	for _, alike := range [...]*Field{f, f.start, f.lexeme} {
		if alike != nil {
			s.rows.element(alike, n == 0, true)
		}
	}
	if s.tape[0].kind != tokenNull {
		s.keep(f.Name, n, 0)
	}
	return end
}
