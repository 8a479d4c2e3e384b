package config

import "strings"

// expand replaces ${VAR} and ${VAR:-default} in a value, and $$ with $. Any other $ stays as it
// is. The value of a variable is not expanded again. The default applies if the variable is
// unset or empty, as in a shell; it ends at the first }.
//
// unset names the variables that are missing. Each fault is a message for the user; it never
// quotes the value, which may be a secret.
func expand(value string, env func(string) (string, bool)) (expanded string, unset, faults []string) {
	var out strings.Builder
	for rest := value; ; {
		i := strings.IndexByte(rest, '$')
		if i < 0 || i+1 == len(rest) {
			out.WriteString(rest)
			return out.String(), unset, faults
		}
		out.WriteString(rest[:i])
		rest = rest[i+1:]
		switch rest[0] {
		case '$':
			out.WriteByte('$')
			rest = rest[1:]
		case '{':
			inner, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				return "", unset, append(faults, "has a ${ without a closing }; write $${ for a literal ${")
			}
			rest = after
			name, fallback, hasFallback := strings.Cut(inner, ":-")
			if !isVariable(name) {
				faults = append(faults, "has a ${...} that is neither ${VAR} nor ${VAR:-default}; VAR is letters, digits and _; write $${ for a literal ${")
				continue
			}
			text, set := env(name)
			switch {
			case hasFallback && text == "":
				out.WriteString(fallback)
			case !set:
				unset = append(unset, name)
			default:
				out.WriteString(text)
			}
		default:
			out.WriteByte('$')
		}
	}
}

// isVariable reports whether s can name an environment variable.
func isVariable(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		digit := '0' <= c && c <= '9'
		if !letter && (!digit || i == 0) {
			return false
		}
	}
	return s != ""
}
