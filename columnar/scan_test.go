package columnar

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzScan compares the scanner with jsontext: what it accepts, and which tokens it finds.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":[1.50,-0,1e400,true,false,null,{}]}`, `{"a":1,"a":2}`, `{"\ud800":"\udc00\ud83d\ude00"}`,
		"{ \t\"a\" :\r [ ] }", `{"a":01}`, `{"a":1.}`, `{"a":+1}`, `{"a":.5}`, `{"a":"\q"}`, `{"a":"\u12g4"}`, "{\"a\":\"\x1f\"}", "{\"a\":\"\xff\"}",
		`{"a":"12345678\"12345678\\1234567\n"}`, `{"a":nul}`, `{"a":1,}`, `{"a":[1,]}`, `{,}`, `{"a":1}}`, `{"a":1}1`, `[1]`, `{"a":[}`, `{"a"`, `{"a":"`,
		`{"a":` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + `}`, `{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
		"{\"\u4e16\U0001F600\u007f\":\"\u0080\ufffd\"}", `{"a":"\/\b\f\n\r\t\"\\\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if !bytes.Equal(line, bytes.Trim(line, " \t\r\n")) {
			return
		}
		var s scanner
		err := s.scan(line)
		want, ok := oracle(line)
		if (err == nil) != ok {
			t.Fatalf("the scanner says %v, jsontext %t", err, ok)
		}
		if err != nil {
			if e := err.(*syntaxError); e.at < 0 || e.at > len(line) {
				t.Errorf("%v: there is no such byte", err)
			}
			return
		}
		if got := s.tokens(line); got != want {
			t.Errorf("the scanner reads\n%q, jsontext\n%q", got, want)
		}
	})
}

// oracle reports whether a line is one object under RFC 8259, and which tokens it has.
func oracle(line []byte) (tokens string, ok bool) {
	if !utf8.Valid(line) || len(line) == 0 || line[0] != '{' {
		return "", false
	}
	d := jsontext.NewDecoder(bytes.NewReader(line), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var b strings.Builder
	for {
		token, err := d.ReadToken()
		if err == io.EOF {
			return b.String(), true
		}
		if err != nil || d.StackDepth() > maxDepth {
			return "", false
		}
		writeToken(&b, byte(token.Kind()), token.String())
		if d.StackDepth() == 0 && d.InputOffset() != int64(len(line)) {
			return "", false
		}
	}
}

func writeToken(b *strings.Builder, kind byte, text string) {
	b.WriteByte(kind)
	if kind == '"' || kind == '0' {
		b.WriteString(text)
	}
	b.WriteByte('\n')
}

// tokens writes the tape as oracle does.
func (s *scanner) tokens(line []byte) string {
	var b strings.Builder
	var value func(i uint32) uint32
	value = func(i uint32) uint32 {
		t := s.tape[i]
		raw := line[t.start:t.end]
		switch t.kind {
		case tokenString, tokenKey:
			writeToken(&b, '"', string(appendText(nil, raw)))
			if (t.flags&flagEscaped != 0) != bytes.Contains(raw, []byte(`\`)) {
				b.WriteString("the flag for escapes is wrong")
			}
		case tokenObject, tokenArray:
			b.WriteByte(t.kind)
			b.WriteByte('\n')
			for i++; i < t.next; i = value(i) {
			}
			b.WriteByte(t.kind + 2)
			b.WriteByte('\n')
			if raw[0] != t.kind || raw[len(raw)-1] != t.kind+2 {
				b.WriteString("the brackets are not where it says")
			}
			return t.next
		default:
			writeToken(&b, t.kind, string(raw))
		}
		return t.next
	}
	value(0)
	return b.String()
}

// A byte of any value anywhere in a line is accepted or refused as in jsontext.
func TestScanEveryByte(t *testing.T) {
	t.Parallel()
	line := []byte(`{"a\u00e9\ud83d\ude00\n":[1.5e-3,-0,true,false,null],"0123456789":{"":"x"}, "b" : [ ] }`)
	var s scanner
	for i := range line {
		for c := range 256 {
			changed := bytes.Clone(line)
			changed[i] = byte(c)
			err := s.scan(changed)
			want, ok := oracle(changed)
			if (err == nil) != ok {
				t.Errorf("%q: the scanner says %v, jsontext %t", changed, err, ok)
			} else if ok && s.tokens(changed) != want {
				t.Errorf("%q: the scanner reads %q", changed, s.tokens(changed))
			}
		}
		if err := s.scan(line[:i]); err == nil {
			t.Errorf("%q passes", line[:i])
		}
	}
}
