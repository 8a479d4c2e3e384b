package columnar_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

const secret = "Mustermann"

const (
	notObject = "it is not a JSON object at byte "
	notUTF8   = "it is not valid UTF-8 at byte "
	noType    = "it has no resourceType"
	typeName  = "its resourceType is not a type name"
	noValue   = "a JSON value is missing at byte "
	follows   = "there is extra data after its JSON object at byte "
	noComma   = "a comma or closing bracket is missing at byte "
)

// badLines are lines that cannot become rows, and the reason for each. No reason contains anything
// of its line.
var badLines = []struct{ name, line, reason string }{
	{"no JSON", secret, notObject + "0 of the line"},
	{"half an object", `{"resourceType":"Patient","name":"` + secret + `"`, noComma + "45 of the line"},
	{"half a string", `{"resourceType":"Patient","name":"` + secret, "it ends within a string at byte 44 of the line"},
	{"half an escape", `{"resourceType":"Patient","name":"` + `\u12`, "a string has an invalid escape at byte 34 of the line"},
	{"an array", `[{"resourceType":"Patient","name":"` + secret + `"}]`, notObject + "0 of the line"},
	{"a string", `"` + secret + `"`, notObject + "0 of the line"},
	{"a number", `5`, notObject + "0 of the line"},
	{"null", `null`, notObject + "0 of the line"},
	{"two objects", `{"resourceType":"Patient"}{"resourceType":"Patient","name":"` + secret + `"}`, follows + "26 of the line"},
	{"two objects and a CR", `{"resourceType":"Patient"}` + "\r" + `{"resourceType":"Patient"}`, follows + "26 of the line"},
	{"a comma behind", `{"resourceType":"Patient"},`, follows + "26 of the line"},
	{"text behind", `{"resourceType":"Patient"} ` + secret, follows + "26 of the line"},
	{"a byte order mark in the file", "\uFEFF" + `{"resourceType":"Patient"}`, notObject + "0 of the line"},
	{"a NUL byte behind", `{"resourceType":"Patient"}` + "\x00", follows + "26 of the line"},
	{"a comma too many", `{"resourceType":"Patient","name":["` + secret + `",]}`, noValue + "47 of the line"},
	{"a member's comma too many", `{"resourceType":"Patient",}`, "a member's name is missing at byte 26 of the line"},
	{"no colon", `{"resourceType" "Patient"}`, "a colon is missing at byte 16 of the line"},
	{"the wrong bracket", `{"resourceType":"Patient","a":[1}`, noComma + "32 of the line"},
	{"a bad number", `{"resourceType":"Patient","name":01}`, noComma + "34 of the line"},
	{"a number with a plus", `{"resourceType":"Patient","name":+1}`, noValue + "33 of the line"},
	{"a number without an end", `{"resourceType":"Patient","name":-}`, "a number is invalid at byte 33 of the line"},
	{"a bad number inside", `{"resourceType":"Patient","a":{"b":[{"c":1.}]}}`, "a number is invalid at byte 41 of the line"},
	{"a bad exponent", `{"resourceType":"Patient","a":1e+}`, "a number is invalid at byte 30 of the line"},
	{"a bad escape", `{"resourceType":"Patient","name":"\q` + secret + `"}`, "a string has an invalid escape at byte 34 of the line"},
	{"a control character", `{"resourceType":"Patient","name":"` + secret + "\x01" + `"}`, "a string has a control character at byte 44 of the line"},
	{"single quotes", `{'resourceType':'Patient'}`, "a member's name is missing at byte 1 of the line"},
	{"a name without quotes", `{resourceType:"Patient"}`, "a member's name is missing at byte 1 of the line"},
	{"NaN", `{"resourceType":"Patient","value":NaN}`, noValue + "34 of the line"},
	{"half a word", `{"resourceType":"Patient","value":nul}`, noValue + "34 of the line"},
	{"another case", `{"resourceType":"Patient","value":True}`, noValue + "34 of the line"},
	{"other white space", `{"resourceType":` + "\u00a0" + `"Patient"}`, noValue + "16 of the line"},
	{"invalid UTF-8", `{"resourceType":"Patient","name":"` + secret + "\xff" + `"}`, notUTF8 + "44 of the line"},
	{"invalid UTF-8 behind", `{"resourceType":"Patient"}` + "\xc0\x80", notUTF8 + "26 of the line"},
	{"a surrogate as UTF-8", `{"resourceType":"Patient","name":"` + "\xed\xa0\x80" + `"}`, notUTF8 + "34 of the line"},
	{"too deep", `{"resourceType":"Patient","a":` + nested(1000) + `}`, "it is nested deeper than 1000 at byte 1029 of the line"},
	{"a type with digits", `{"resourceType":"Patient1"}`, typeName},
	{"no resourceType", `{"name":"` + secret + `"}`, noType},
	{"nothing", `{}`, noType},
	{"a resourceType further down", `{"contained":[{"resourceType":"Patient"}],"meta":{"resourceType":"Patient"}}`, noType},
	{"resourceType of another case", `{"resourcetype":"Patient"}`, noType},
	{"resourceType is null", `{"resourceType":null}`, noType},
	{"resourceType is a number", `{"resourceType":5}`, noType},
	{"resourceType is an array", `{"resourceType":["Patient"]}`, noType},
	{"resourceType is an object", `{"resourceType":{"Patient":"` + secret + `"}}`, noType},
	{"resourceType is empty", `{"resourceType":""}`, typeName},
	{"resourceType leads out", `{"resourceType":"../` + secret + `"}`, typeName},
	{"resourceType is a path by escapes", `{"resourceType":"..\u002f` + secret + `"}`, typeName},
	{"resourceType is a partition", `{"resourceType":"Patient=1"}`, typeName},
	{"resourceType is lower case", `{"resourceType":"deleted"}`, typeName},
	{"resourceType has spaces", `{"resourceType":" Patient"}`, typeName},
	{"resourceType is not ASCII", `{"resourceType":"P\u00e4tient"}`, typeName},
	{"resourceType has a NUL", `{"resourceType":"Patient\u0000"}`, typeName},
	{"resourceType is a surrogate", `{"resourceType":"P\ud800"}`, typeName},
	{"resourceType is long", `{"resourceType":"P` + strings.Repeat("a", 64) + `"}`, typeName},
}

// nested is an array nested this deep.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// inQuarantine is a Quarantined that outlives its call.
type inQuarantine struct {
	columnar.DataError
	Origin columnar.Origin
	Line   string
	Long   bool // there was a Rest
}

// quarantine collects lines, including all of those that are too long.
type quarantine []inQuarantine

func (q *quarantine) take(_ context.Context, bad columnar.Quarantined) error {
	line := string(bad.Bytes)
	if bad.Rest != nil {
		rest, err := io.ReadAll(bad.Rest)
		if err != nil {
			return err
		}
		line += string(rest)
	}
	*q = append(*q, inQuarantine{bad.DataError, bad.Origin, line, bad.Rest != nil})
	return nil
}

// Bad lines go to quarantine unchanged, with their positions, and the file's other lines become
// rows.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	const good = `{"resourceType":"Patient","id":"1"}`
	var (
		q     quarantine
		input = "\uFEFF" + good + "\r\n\n"
		want  quarantine
	)
	for i, bad := range badLines {
		want = append(want, inQuarantine{columnar.DataError{Line: int64(2*i + 3), Offset: int64(len(input)), Reason: bad.reason}, origin, bad.line, false})
		input += " \t" + bad.line + " \r\n" + good + "\n"
	}
	parts, read := convert(t, columnar.Options{Quarantine: q.take}, strings.NewReader(input))
	if diff := cmp.Diff(want, q); diff != "" {
		t.Errorf("quarantine (-want +got):\n%s", diff)
	}
	n := int64(len(badLines))
	if want := (columnar.ReadStats{Resources: n + 1, Quarantined: n, Bytes: int64(len(input))}); read != want {
		t.Errorf("the statistics are %+v, not %+v", read, want)
	}
	if len(parts) != 1 || parts[0].Rows != n+1 {
		t.Fatalf("the parts are %+v", parts)
	}
	for _, line := range resources(t, parts[0]) {
		if d := difference(good, line); d != "" {
			t.Error(d)
		}
	}
}

// Without a quarantine the first bad line ends Append.
func TestBadLineWithoutQuarantine(t *testing.T) {
	t.Parallel()
	for _, bad := range badLines {
		before := "\uFEFF" + `{"resourceType":"Patient"}` + "\r\n\n" + `{"resourceType":"Claim"}` + "\n"
		_, read, err := appendTo(memory{}, before+" "+bad.line+"\n"+ndjson(`{"resourceType":"Patient"}`))
		var e *columnar.DataError
		if !errors.As(err, &e) {
			t.Fatalf("%s: the error is %v", bad.name, err)
		}
		if diff := cmp.Diff(&columnar.DataError{Line: 4, Offset: int64(len(before)), Reason: bad.reason}, e); diff != "" {
			t.Errorf("%s: error (-want +got):\n%s", bad.name, diff)
		}
		if want := fmt.Sprintf("line 4 (at byte %d): %s", len(before), bad.reason); err.Error() != want || strings.Contains(want, secret) {
			t.Errorf("%s: the error's text is %q, want %q", bad.name, err, want)
		}
		if want := (columnar.ReadStats{Resources: 2, Bytes: int64(len(before) + len(bad.line) + 2)}); read != want {
			t.Errorf("%s: the statistics up to it are %+v, want %+v", bad.name, read, want)
		}
	}
}

// Nesting as deep as allowed comes back, even if the whole line has to be kept.
func TestDeepest(t *testing.T) {
	t.Parallel()
	roundTrip(t, columnar.Options{},
		`{"resourceType":"Patient","a":`+nested(999)+`}`,
		`{"resourceType":"Patient","a":`+nested(999)+`,"a":1}`,
		`{"resourceType":"Patient","a":`+strings.Repeat(`{"extension":[{"contact":`, 333)+nested(0)+"0"+strings.Repeat(`}]}`, 333)+`}`,
		`{"resourceType":"Patient"`+strings.Repeat(`,"extension":[{"url":"u"`, 499)+strings.Repeat(`}]`, 499)+`}`,
	)
}

// A line that is too long goes to quarantine in full, and the lines behind it become
// rows, whether quarantine reads the rest or not.
func TestLongLines(t *testing.T) {
	t.Parallel()
	const good = `{"resourceType":"Patient"}`
	for _, max := range []int{30, bufferSize - 10, bufferSize, bufferSize + 10} {
		for _, length := range []int{max + 1, max + 4, max + 6, 2*max + 1} {
			for _, end := range []string{"\n", "\r\n", ""} {
				long := `{"id":"` + strings.Repeat("x", length-9) + `"}`
				input := good + "\n" + long + end
				rows := 1
				if end != "" {
					input += good + "\n" + long + "\n" + good
					rows = 3
				}
				for _, reads := range []int{-1, 0, 1, 5000} { // bytes of the rest, -1 is all
					var q quarantine
					var at string
					o := columnar.Options{Quarantine: func(ctx context.Context, bad columnar.Quarantined) error {
						if bad.Rest == nil {
							t.Errorf("%s: there is no rest", at)
						}
						if reads >= 0 {
							n, err := io.ReadFull(bad.Rest, make([]byte, reads))
							if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
								t.Errorf("%s: %d bytes of the rest, %v", at, n, err)
							}
							return nil
						}
						return q.take(ctx, bad)
					}}
					o.Create = memory{}.create
					at = fmt.Sprintf("max %d, line of %d, end %q, %d read", max, length, end, reads)
					w := columnar.NewWriter(o)
					read, err := w.Append(t.Context(), columnar.NewLines(iotest.HalfReader(strings.NewReader(input)), max), nil)
					if want := (columnar.ReadStats{Resources: int64(rows), Quarantined: int64(rows+1) / 2, Bytes: int64(len(input))}); read != want || err != nil {
						t.Errorf("%s: the statistics are %+v, not %+v; %v", at, read, want, err)
					}
					for i, bad := range q {
						offset := int64(len(good)+1) + int64(i)*int64(len(long)+len(end)+len(good)+1)
						want := columnar.DataError{Line: int64(2*i + 2), Offset: offset, Reason: fmt.Sprintf("the line is longer than %d bytes", max)}
						if bad.DataError != want || strings.TrimRight(bad.Line, "\r\n") != long {
							t.Errorf("%s: it is %v, want %v, and has %d bytes of %d", at, &bad.DataError, &want, len(bad.Line), len(long))
						}
					}
				}
			}
		}
	}
}

// bufferSize is how long a line may be before it needs a larger block.
const bufferSize = columnar.ReadAhead

func TestQuarantineFails(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	w := columnar.NewWriter(columnar.Options{Create: memory{}.create, Quarantine: func(context.Context, columnar.Quarantined) error { return full }})
	read, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson(`{"resourceType":"Patient"}`, `[]`, `{"resourceType":"Patient"}`)), 0), nil)
	if !errors.Is(err, full) || read.Resources != 1 || read.Quarantined != 0 {
		t.Errorf("%+v, %v", read, err)
	}
}

// The reader fails within a line that is too long: what came of it is not a line.
func TestReaderFailsInLongLine(t *testing.T) {
	t.Parallel()
	reset := errors.New("connection reset")
	for _, max := range []int{40, bufferSize, bufferSize + 10} {
		for _, length := range []int{50, bufferSize - 1, bufferSize, bufferSize + 50, 3 * bufferSize} {
			input := io.MultiReader(strings.NewReader(strings.Repeat("x", length)), iotest.TimeoutReader(iotest.ErrReader(reset)))
			var q quarantine
			w := columnar.NewWriter(columnar.Options{Create: memory{}.create, Quarantine: q.take})
			if _, err := w.Append(t.Context(), columnar.NewLines(input, max), nil); !errors.Is(err, reset) || len(q) > 0 {
				t.Errorf("max %d, after %d bytes: %v, %d in quarantine", max, length, err, len(q))
			}
		}
	}
}

// A line with too many values for its memory goes to quarantine; a long text with as many commas
// and brackets does not.
func TestTooManyValues(t *testing.T) {
	t.Parallel()
	const values = 8 << 20
	var refused []string
	files := memory{}
	w := columnar.NewWriter(columnar.Options{Create: files.create, Quarantine: func(_ context.Context, q columnar.Quarantined) error {
		refused = append(refused, q.Reason)
		return nil
	}})
	list := strings.Repeat("1,", values) + "1"
	lines := ndjson(`{"resourceType":"Basic","id":"list","x":[`+list+`]}`, `{"resourceType":"Basic","id":"text","language":"`+list+`[{"}`)
	if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(lines), 0), nil); err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, part := range files.finish(t, w) {
		rows += int(part.Rows)
	}
	if diff := cmp.Diff([]string{"it has more than 8388608 values at byte 16777250 of the line"}, refused); diff != "" || rows != 1 {
		t.Errorf("%d rows, refused (-want +got):\n%s", rows, diff)
	}
}
