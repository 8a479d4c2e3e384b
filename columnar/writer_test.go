package columnar_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirkiln/columnar"
)

func TestTypesGoToTheirParts(t *testing.T) {
	t.Parallel()
	input := "\uFEFF" + `{"resourceType":"Patient","id":"1"}` + "\r\n" +
		`{"resourceType":"Claim","id":"1"}` + "\n\n" +
		`  {"id":"2","resourceType":"Patient"}  ` + "\n" +
		`{"resourceType":"Account"}` // without an end
	var created []string
	m := memory{}
	w := columnar.NewWriter(columnar.Options{Create: func(ctx context.Context, resourceType string) (io.Writer, error) {
		created = append(created, resourceType)
		return m.create(ctx, resourceType)
	}})
	read, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(input), 0))
	if err != nil {
		t.Fatal(err)
	}
	// Another file goes into the same parts.
	more, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(`{"resourceType":"Claim","id":"2"}`), 0))
	if err != nil {
		t.Fatal(err)
	}
	if want := (columnar.ReadStats{Resources: 4, Bytes: int64(len(input))}); read != want {
		t.Errorf("the first file's statistics are %+v, want %+v", read, want)
	}
	if want := (columnar.ReadStats{Resources: 1, Bytes: 33}); more != want {
		t.Errorf("the second file's statistics are %+v, want %+v", more, want)
	}
	if w.Full() {
		t.Error("it is full")
	}
	if diff := cmp.Diff([]string{"Patient", "Claim", "Account"}, created); diff != "" {
		t.Errorf("calls of Create (-want +got):\n%s", diff)
	}
	want := map[string][]string{
		"Account": {`{"resourceType":"Account"}`},
		"Claim":   {`{"resourceType":"Claim","id":"1"}`, `{"resourceType":"Claim","id":"2"}`},
		"Patient": {`{"resourceType":"Patient","id":"1"}`, `{"id":"2","resourceType":"Patient"}`},
	}
	if diff := cmp.Diff(want, byType(t, m.finish(t, w))); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
}

func TestNoRowsNoParts(t *testing.T) {
	t.Parallel()
	for _, input := range []string{"", "\n", "\uFEFF", " \r\n\n\t"} {
		parts, read := convert(t, columnar.Options{}, strings.NewReader(input))
		if len(parts) > 0 || read.Resources != 0 {
			t.Errorf("%q: %d parts of %d resources", input, len(parts), read.Resources)
		}
		if read.Bytes != int64(len(input)) {
			t.Errorf("%q: %d bytes were read", input, read.Bytes)
		}
	}
}

func TestBadLines(t *testing.T) {
	t.Parallel()
	const secret = "Mustermann"
	const (
		notJSON  = "it is not one JSON object"
		notUTF8  = "it is not valid UTF-8"
		noType   = "it has no resourceType"
		typeName = "its resourceType is not the name of a type"
	)
	for _, tt := range []struct{ name, line, reason string }{
		{"no JSON", secret, notJSON},
		{"half an object", `{"resourceType":"Patient","name":"` + secret + `"`, notJSON},
		{"half a string", `{"resourceType":"Patient","name":"` + secret, notJSON},
		{"an array", `[{"resourceType":"Patient","name":"` + secret + `"}]`, notJSON},
		{"a string", `"` + secret + `"`, notJSON},
		{"a number", `5`, notJSON},
		{"null", `null`, notJSON},
		{"two objects", `{"resourceType":"Patient"}{"resourceType":"Patient","name":"` + secret + `"}`, notJSON},
		{"two objects and a CR", `{"resourceType":"Patient"}` + "\r" + `{"resourceType":"Patient"}`, notJSON},
		{"a comma behind", `{"resourceType":"Patient"},`, notJSON},
		{"text behind", `{"resourceType":"Patient"} ` + secret, notJSON},
		{"a byte order mark in the file", "\uFEFF" + `{"resourceType":"Patient"}`, notJSON},
		{"a NUL byte behind", `{"resourceType":"Patient"}` + "\x00", notJSON},
		{"a comma too many", `{"resourceType":"Patient","name":["` + secret + `",]}`, notJSON},
		{"a bad number", `{"resourceType":"Patient","name":01}`, notJSON},
		{"a bad number inside", `{"resourceType":"Patient","a":{"b":[{"c":1.}]}}`, notJSON},
		{"a bad escape", `{"resourceType":"Patient","name":"\q` + secret + `"}`, notJSON},
		{"a control character", `{"resourceType":"Patient","name":"` + secret + "\x01" + `"}`, notJSON},
		{"single quotes", `{'resourceType':'Patient'}`, notJSON},
		{"a name without quotes", `{resourceType:"Patient"}`, notJSON},
		{"NaN", `{"resourceType":"Patient","value":NaN}`, notJSON},
		{"invalid UTF-8", `{"resourceType":"Patient","name":"` + secret + "\xff" + `"}`, notUTF8},
		{"invalid UTF-8 behind", `{"resourceType":"Patient"}` + "\xc0\x80", notUTF8},
		{"a surrogate as UTF-8", `{"resourceType":"Patient","name":"` + "\xed\xa0\x80" + `"}`, notUTF8},
		{"no resourceType", `{"name":"` + secret + `"}`, noType},
		{"nothing", `{}`, noType},
		{"a resourceType further down", `{"contained":[{"resourceType":"Patient"}],"meta":{"resourceType":"Patient"}}`, noType},
		{"another case", `{"resourcetype":"Patient"}`, noType},
		{"resourceType is null", `{"resourceType":null}`, noType},
		{"resourceType is a number", `{"resourceType":5}`, noType},
		{"resourceType is an array", `{"resourceType":["Patient"]}`, noType},
		{"resourceType is an object", `{"resourceType":{"Patient":"` + secret + `"}}`, noType},
		{"resourceType is empty", `{"resourceType":""}`, typeName},
		{"resourceType leads out", `{"resourceType":"../` + secret + `"}`, typeName},
		{"resourceType is a path", `{"resourceType":"Patient/` + secret + `"}`, typeName},
		{"resourceType is a path by escapes", `{"resourceType":"..\u002f` + secret + `"}`, typeName},
		{"resourceType is a dot", `{"resourceType":"."}`, typeName},
		{"resourceType is a partition", `{"resourceType":"Patient=1"}`, typeName},
		{"resourceType is lower case", `{"resourceType":"deleted"}`, typeName},
		{"resourceType has spaces", `{"resourceType":" Patient"}`, typeName},
		{"resourceType is not ASCII", `{"resourceType":"P\u00e4tient"}`, typeName},
		{"resourceType has a NUL", `{"resourceType":"Patient\u0000"}`, typeName},
		{"resourceType is long", `{"resourceType":"P` + strings.Repeat("a", 64) + `"}`, typeName},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := "\uFEFF" + `{"resourceType":"Patient"}` + "\r\n\n" + `{"resourceType":"Claim"}` + "\n"
			_, read, err := appendTo(memory{}, before+" "+tt.line+"\n"+ndjson(`{"resourceType":"Patient"}`))
			var e *columnar.DataError
			if !errors.As(err, &e) {
				t.Fatalf("the error is %v", err)
			}
			if diff := cmp.Diff(&columnar.DataError{Line: 4, Offset: int64(len(before)), Reason: tt.reason}, e); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if want := fmt.Sprintf("line 4 (at byte %d): %s", len(before), tt.reason); err.Error() != want {
				t.Errorf("the error's text is %q, want %q", err, want)
			}
			if read.Resources != 2 || read.Bytes != int64(len(before)+len(tt.line)+2) {
				t.Errorf("the statistics up to it are %+v", read)
			}
		})
	}
}

// What is odd but JSON of RFC 8259 is taken, and comes back byte for byte.
func TestOddLines(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"lone surrogates":        `{"resourceType":"Patient","name":"\ud800","\udc00":"\udfff\ud800"}`,
		"a surrogate pair":       `{"resourceType":"Patient","name":"\ud83d\ude00"}`,
		"duplicate keys":         `{"resourceType":"Patient","a":1,"a":2,"b":{"c":1,"c":2}}`,
		"resourceType twice":     `{"resourceType":"Claim","resourceType":"Patient"}`,
		"resourceType last":      `{"id":"1","contained":[{"resourceType":"Claim"}],"resourceType":"Patient"}`,
		"an escaped name":        `{"resource\u0054ype":"P\u0061tient"}`,
		"an escaped NUL":         `{"resourceType":"Patient","name":"\u0000"}`,
		"number lexemes":         `{"resourceType":"Patient","n":[1.50,1e400,-0,0.10E-7,123456789012345678901234567890]}`,
		"white space inside":     "{ \t\"resourceType\" :\r \"Patient\" , \"a\" : [ ] }",
		"not ASCII":              `{"resourceType":"Patient","name":"` + "\u00e9\u4e16\U0001F600\uFFFD\uFEFF" + `"}`,
		"HTML":                   `{"resourceType":"Patient","text":{"div":"<div>&amp;\/</div>"}}`,
		"deep":                   `{"resourceType":"Patient","a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		"long":                   `{"resourceType":"Patient","data":"` + strings.Repeat("QUJD", 500_000) + `"}`,
		"values of other kinds":  `{"resourceType":"Patient","id":5,"meta":[{"versionId":"1"}]}`,
		"empty names and values": `{"":"","resourceType":"Patient","id":"","meta":{"":{}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts, _ := convert(t, columnar.Options{}, strings.NewReader(ndjson(`{"resourceType":"Patient"}`, line)))
			want := map[string][]string{"Patient": {`{"resourceType":"Patient"}`, line}}
			if diff := cmp.Diff(want, byType(t, parts)); diff != "" {
				t.Errorf("resources (-want +got):\n%.1000s", diff)
			}
		})
	}
	longest := "P" + strings.Repeat("a", 63)
	parts, _ := convert(t, columnar.Options{}, strings.NewReader(`{"resourceType":"`+longest+`"}`))
	if len(parts) != 1 || parts[0].ResourceType != longest {
		t.Errorf("the part of a type with a long name: %v", parts)
	}
}

func TestCreateFails(t *testing.T) {
	t.Parallel()
	refused := errors.New("no more parts")
	w := columnar.NewWriter(columnar.Options{Create: func(_ context.Context, resourceType string) (io.Writer, error) {
		if resourceType == "Claim" {
			return nil, refused
		}
		return io.Discard, nil
	}})
	read, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson(
		`{"resourceType":"Patient"}`, `{"resourceType":"Claim"}`, `{"resourceType":"Patient"}`)), 0))
	if !errors.Is(err, refused) {
		t.Errorf("the error is %v, not Create's", err)
	}
	if read.Resources != 1 {
		t.Errorf("%d resources became rows", read.Resources)
	}
}

func TestReaderFails(t *testing.T) {
	t.Parallel()
	reset := errors.New("connection reset")
	for _, before := range []string{"", ndjson(`{"resourceType":"Patient"}`), `{"resourceType":"Patient"}`} {
		m := memory{}
		w := columnar.NewWriter(columnar.Options{Create: m.create})
		read, err := w.Append(t.Context(), columnar.NewLines(io.MultiReader(strings.NewReader(before), iotest.ErrReader(reset)), 0))
		if !errors.Is(err, reset) || errors.As(err, new(*columnar.DataError)) {
			t.Errorf("behind %q the error is %v, not the reader's", before, err)
		}
		if want := int64(strings.Count(before, "\n")); read.Resources != want {
			t.Errorf("behind %q %d resources became rows, not %d", before, read.Resources, want)
		}
	}
}

// What is left in lines when a Writer is full goes to another one: no row is lost, none
// comes twice, and each type keeps its order.
func TestFullProperty(t *testing.T) {
	t.Parallel()
	mostParts := 0
	rapid.Check(t, func(t *rapid.T) {
		var (
			random = rand.NewChaCha8([32]byte{})
			lines  = []string{}
			want   = map[string][]string{}
			o      = columnar.Options{
				TargetBytes:   rapid.Int64Range(1, 20_000).Draw(t, "target"),
				RowGroupBytes: rapid.Int64Range(2000, 20_000).Draw(t, "row group"),
			}
		)
		for i := range rapid.IntRange(0, 20).Draw(t, "lines") {
			resourceType := rapid.SampledFrom([]string{"Claim", "Patient"}).Draw(t, "type")
			text := make([]byte, rapid.IntRange(0, 5000).Draw(t, "text"))
			_, _ = random.Read(text) // so that it stays as large when it is compressed
			line := fmt.Sprintf(`{"resourceType":%q,"id":"%d","text":"%x"}`, resourceType, i, text)
			lines = append(lines, line)
			want[resourceType] = append(want[resourceType], line)
		}
		input := strings.Join(lines, "\n")
		parts, read := convert(t, o, strings.NewReader(input))
		if read.Resources != int64(len(lines)) || read.Bytes != int64(len(input)) {
			t.Errorf("%d resources and %d bytes were read, not %d and %d", read.Resources, read.Bytes, len(lines), len(input))
		}
		if diff := cmp.Diff(want, byType(t, parts)); diff != "" {
			t.Errorf("resources of all parts (-want +got):\n%.1000s", diff)
		}
		mostParts = max(mostParts, len(parts))
	})
	if mostParts <= 3 {
		t.Errorf("no case took more than %d parts: the test covers too little", mostParts)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	const target = 50_000
	o := columnar.Options{TargetBytes: target, RowGroupBytes: 50_000}
	parts, _ := convert(t, o, strings.NewReader(generated(2500)))
	if len(parts) < 3 {
		t.Fatalf("there are only %d parts", len(parts))
	}
	for i, p := range parts[:len(parts)-1] {
		// A part is full by its row groups; the footer comes on top.
		if p.Bytes < target || p.Bytes > 2*target {
			t.Errorf("part %d of %d has %d bytes", i, len(parts), p.Bytes)
		}
	}
	w := columnar.NewWriter(o)
	if w.Full() {
		t.Error("a new Writer is full")
	}
}
