package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
)

// wider returns a mix of the goal types with everything that real servers add to resources: many
// extensions, modifier extensions, extensions of primitives and within data types, contained
// resources, elements that FHIR does not know, long narratives.
func (b *bench) wider(ctx context.Context) (*input, error) {
	folder := filepath.Join(b.madeIn, fmt.Sprintf("wider-%d", b.mb))
	var files []inputFile
	for i, t := range goalTypes {
		file := inputFile{t, filepath.Join(folder, t+".ndjson")}
		err := b.make(ctx, file.path, func(w io.Writer) error {
			size := int64(b.mb) * 1e6 / int64(len(goalTypes))
			add := &adder{w: w, left: size, rand: rand.New(rand.NewPCG(seed, uint64(i)))}
			plain, made := io.Pipe()
			defer func() { _ = plain.Close() }()
			go func() { _ = made.CloseWithError(generate(made, t, size)) }()
			return add.lines(plain)
		})
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return newInput(ctx, mixName+", wider", files, nil)
}

// adder adds members to resources. What it adds depends only on its seed.
type adder struct {
	w    io.Writer
	left int64 // bytes still wanted
	rand *rand.Rand
	line []byte
}

// lines copies resources with added members until there are enough bytes.
func (a *adder) lines(r io.Reader) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	for s.Scan() && a.left > 0 {
		if err := a.resource(s.Bytes()); err != nil {
			return err
		}
		n, err := a.w.Write(append(a.line, '\n'))
		if err != nil {
			return err
		}
		a.left -= int64(n)
	}
	return s.Err()
}

// resource sets a.line to a resource with added members. It does not add those that it has.
func (a *adder) resource(line []byte) error {
	var has map[string]json.RawMessage
	if err := json.Unmarshal(line, &has); err != nil {
		return err
	}
	const coding = `"coding":[{"system"`
	line = bytes.Replace(line, []byte(coding), fmt.Appendf(nil, `"coding":[{"extension":[%s],"system"`, a.extension(0)), 1)
	a.line = append(a.line[:0], line[:len(line)-1]...)
	for _, m := range []struct {
		name  string
		of    int // of 100 resources
		value func() string
	}{
		{"text", 60, a.narrative},
		{"extension", 100, func() string { return a.list(3+a.rand.IntN(10), func() string { return a.extension(0) }) }},
		{"modifierExtension", 20, func() string { return a.list(1, func() string { return a.extension(1) }) }},
		{"_status", 20, func() string { return fmt.Sprintf(`{"extension":[%s]}`, a.extension(1)) }},
		{"contained", 50, func() string { return a.list(1+a.rand.IntN(3), a.contained) }},
		{"vendorBatch", 50, func() string {
			return fmt.Sprintf(`{"id":%q,"score":%.4f,"flags":[%q,null]}`, a.hex(), a.rand.Float64(), a.word())
		}},
		{"vendorNote", 20, func() string { return fmt.Sprintf("%q", a.words(3+a.rand.IntN(20))) }},
		{"implicitRules", 10, func() string { return fmt.Sprintf(`[%d]`, a.rand.IntN(1000)) }}, // not FHIR's type
	} {
		if _, there := has[m.name]; !there && a.rand.IntN(100) < m.of {
			a.line = fmt.Appendf(a.line, ",%q:%s", m.name, m.value())
		}
	}
	a.line = append(a.line, '}')
	return nil
}

func (a *adder) list(n int, each func() string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = each()
	}
	return "[" + strings.Join(all, ",") + "]"
}

// extension returns an extension with one of forty urls. The url determines the type of value;
// some have nested extensions.
func (a *adder) extension(depth int) string {
	n := a.rand.IntN(40)
	url := fmt.Sprintf("http://vendor.example/fhir/StructureDefinition/extension-%02d", n)
	var value string
	switch n % 8 {
	case 0:
		value = fmt.Sprintf(`"valueString":%q`, a.words(1+a.rand.IntN(8)))
	case 1:
		value = fmt.Sprintf(`"valueDecimal":%.2f`, a.rand.Float64()*1000)
	case 2:
		value = fmt.Sprintf(`"valueCoding":{"system":"http://vendor.example/codes","code":%q,"display":%q}`, a.word(), a.words(3))
	case 3:
		value = fmt.Sprintf(`"valueDateTime":"20%02d-%02d-%02dT%02d:%02d:00Z"`, 10+a.rand.IntN(16), 1+a.rand.IntN(12), 1+a.rand.IntN(28), a.rand.IntN(24), a.rand.IntN(60))
	case 4:
		value = fmt.Sprintf(`"valueReference":{"reference":"Organization/%s"}`, a.hex())
	case 5:
		value = fmt.Sprintf(`"valueBoolean":%t`, a.rand.IntN(2) == 0)
	case 6:
		value = fmt.Sprintf(`"valueCode":%q`, a.word())
	default:
		if depth < 3 {
			value = `"extension":` + a.list(1+a.rand.IntN(3), func() string { return a.extension(depth + 1) })
		} else {
			value = fmt.Sprintf(`"valueInteger":%d`, a.rand.IntN(1e6))
		}
	}
	return fmt.Sprintf(`{"url":%q,%s}`, url, value)
}

// contained returns a small resource.
func (a *adder) contained() string {
	return fmt.Sprintf(`{"resourceType":"Organization","id":%q,"identifier":[{"system":"http://vendor.example/ids","value":%q}],"name":%q,"address":[{"line":[%q],"city":%q}]}`,
		a.hex(), a.hex(), a.words(3), a.words(4), a.word())
}

// narrative returns a Narrative with one to six thousand bytes of XHTML, a table of random words.
func (a *adder) narrative() string {
	var b strings.Builder
	b.WriteString(`<div xmlns="http://www.w3.org/1999/xhtml"><p>` + a.words(20) + `</p><table>`)
	for range 8 + a.rand.IntN(40) {
		fmt.Fprintf(&b, `<tr><td>%s</td><td class="value">%s</td></tr>`, a.words(2), a.words(1+a.rand.IntN(12)))
	}
	b.WriteString(`</table></div>`)
	return fmt.Sprintf(`{"status":"generated","div":"%s"}`, strings.ReplaceAll(b.String(), `"`, `\"`))
}

func (a *adder) hex() string { return fmt.Sprintf("%016x", a.rand.Uint64()) }

func (a *adder) words(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = a.word()
	}
	return strings.Join(all, " ")
}

// word returns one of a thousand words made of syllables. The first ones are frequent.
func (a *adder) word() string {
	const syllables = "bacadefigohujakelimonupareso"
	n := a.rand.IntN(1 + a.rand.IntN(1000))
	word := ""
	for range 3 {
		word += syllables[n%14*2 : n%14*2+2]
		n /= 7
	}
	return word
}
