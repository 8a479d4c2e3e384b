package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// aliasSteps is the maximum number of visited nodes beyond the file's size in bytes. Without
// aliases, a file has fewer nodes than bytes; with them, a few lines can stand for billions.
const aliasSteps = 100_000

// document parses data and returns the node of its only document, or nil after a problem.
func (d *decoder) document(data []byte) *yaml.Node {
	if !d.checkBytes(data) {
		return nil
	}
	d.steps = len(data) + aliasSteps
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.problem(position{1, 1}, "", "%v", err)
		return nil
	}
	var first, second yaml.Node
	switch err := loader.Load(&first); {
	case errors.Is(err, io.EOF):
		d.problem(position{1, 1}, "", "the file is empty; expected at least sources, feeds and sink")
		return nil
	case err != nil:
		d.syntax(err, data)
		return nil
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
		return first.Content[0]
	case err != nil:
		d.syntax(err, data)
	default:
		d.problem(posOf(&second), "", "a second document starts here; a config file holds only one")
	}
	return nil
}

// checkBytes finds bytes that YAML does not allow at all. The YAML library reports them without
// a position.
func (d *decoder) checkBytes(data []byte) bool {
	if len(data) > maxFileSize {
		d.problem(position{1, 1}, "", "the file is too large; the limit is %d MiB", maxFileSize>>20)
		return false
	}
	p := position{1, 1}
	for rest := data; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			d.problem(p, "", "not UTF-8; save the file as UTF-8")
			return false
		case unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' && r != '\u0085':
			d.problem(p, "", "has the control character %U; only text is allowed", r)
			return false
		}
		rest = rest[size:]
		p.column++
		if r == '\n' {
			p = position{p.line + 1, 1}
		}
	}
	return true
}

// syntax reports what the YAML library could not parse. Its message about an unknown anchor is
// the only one that quotes the document, and the quoted text may be a secret that begins with
// *, so that message is replaced by our own.
func (d *decoder) syntax(err error, data []byte) {
	le, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		d.problem(position{1, 1}, "", "not valid YAML; check quotes and indentation")
		return
	}
	lines := bytes.Split(data, []byte("\n"))
	p := position{max(le.Mark.Line, 1), max(le.Mark.Column, 1)}
	if p.line > len(lines) {
		p = position{len(lines), 1} // the library adds a final newline if there is none
	}
	if le.Stage == yaml.ComposerStage {
		d.problem(p, "", "no anchor with that name is defined above; quote a string that begins with *")
		return
	}
	hint := ""
	if line := lines[p.line-1]; bytes.ContainsRune(line[:len(line)-len(bytes.TrimLeft(line, " \t"))], '\t') {
		d.problem(p, "", "not valid YAML: the line starts with a tab; indent with spaces")
		return
	}
	if bytes.Contains(lines[p.line-1], []byte("${")) {
		hint = "; inside [ ] and { }, quote ${VAR}"
	}
	if le.ContextMsg != "" {
		d.problem(p, "", "not valid YAML: %s %s%s", le.ContextMsg, le.Message, hint)
		return
	}
	d.problem(p, "", "not valid YAML: %s%s", le.Message, hint)
}

// posOf returns the position of a node.
func posOf(n *yaml.Node) position { return position{n.Line, n.Column} }

// resolve follows an alias to its node.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// isNull reports whether a node is empty: a key without a value, ~ or null.
func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// found names the kind of a node, for messages about wrong types.
func found(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "no value"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a boolean"
	}
	return "a string"
}

// entry is one key of a mapping, with its value, which is never an alias.
type entry struct {
	key   string
	at    position // of the key
	value *yaml.Node
}

// mapping lists the entries of a mapping in the order of the file: first its own, then those
// that it gets from others by merge keys and does not have itself. No key comes twice. An empty
// node, left when everything under a key is commented out, is an empty mapping. Any other node
// is a problem, and not ok.
func (d *decoder) mapping(n *yaml.Node, path string) (entries []entry, ok bool) {
	if n == nil || isNull(n) {
		return nil, true
	}
	if n.Kind != yaml.MappingNode {
		d.problem(posOf(n), path, "found %s; expected a mapping (key: value)", found(n))
		return nil, false
	}
	d.collect(n, path, &entries, map[string]bool{}, map[*yaml.Node]bool{})
	return entries, true
}

// collect adds the entries of n whose keys are not in seen. merging holds the mappings that n is
// being merged into, so that a mapping that merges itself is detected.
func (d *decoder) collect(n *yaml.Node, path string, entries *[]entry, seen map[string]bool, merging map[*yaml.Node]bool) {
	merging[n] = true
	defer delete(merging, n)
	own := map[string]int{} // key to line
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content) && d.step(n); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		where := posOf(n.Content[i])
		switch {
		case key.Kind != yaml.ScalarNode:
			d.problem(where, path, "found %s as a key; expected a string", found(key))
		case key.ShortTag() == "!!merge":
			merges = append(merges, n.Content[i+1])
		case own[key.Value] > 0:
			d.problem(where, join(path, key.Value), "is a duplicate; the key is already on line %d", own[key.Value])
		default:
			own[key.Value] = where.line
			if !seen[key.Value] {
				seen[key.Value] = true
				*entries = append(*entries, entry{key.Value, where, value})
			}
		}
	}
	for _, m := range merges {
		from := []*yaml.Node{m}
		if list := resolve(m); list.Kind == yaml.SequenceNode {
			from = list.Content
		}
		for _, f := range from {
			where := posOf(f)
			f = resolve(f)
			switch {
			case !d.step(f):
				return
			case f.Kind != yaml.MappingNode:
				d.problem(where, path, "cannot merge %s; expected an alias of a mapping, or a list of them", found(f))
			case merging[f]:
				d.problem(where, path, "merges itself; expected another mapping")
			default:
				d.collect(f, path, entries, seen, merging)
			}
		}
	}
}

// step counts a visited node and reports whether to go on. It reports the problem once.
func (d *decoder) step(n *yaml.Node) bool {
	d.steps--
	if d.steps == 0 {
		d.problem(posOf(n), "", "the aliases up to here expand to too many values; use fewer")
	}
	return d.steps > 0
}

// join appends a key to a path. It quotes keys that would make the path ambiguous. Valid names
// stay whole, because paths tell sources and feeds apart.
func join(path, key string) string {
	odd := func(r rune) bool { return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	if len(key) > maxName || strings.ContainsFunc(key, odd) {
		key = clip(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// clip quotes and shortens a text from the file for a message.
func clip(s string) string {
	const maxRunes = 60
	if r := []rune(s); len(r) > maxRunes {
		s = string(r[:maxRunes]) + "..."
	}
	return fmt.Sprintf("%q", s)
}
