package columnar_test

import (
	"bytes"
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

// same compares resources by type, as JSON trees.
func same(t failer, want, got map[string][]string) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("there are resources of %d types, not %d", len(got), len(want))
	}
	for name := range want {
		if len(want[name]) != len(got[name]) {
			t.Errorf("there are %d resources of %s, not %d", len(got[name]), name, len(want[name]))
			continue
		}
		for i := range want[name] {
			if d := difference(want[name][i], got[name][i]); d != "" {
				t.Errorf("%s %d: %s", name, i, d)
			}
		}
	}
}

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
	read, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(input), 0), &columnar.Origin{File: "1"})
	if err != nil {
		t.Fatal(err)
	}
	// Another file goes into the same parts.
	more, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader("\n"+`{"resourceType":"Claim","id":"2"}`), 0), &columnar.Origin{File: "2"})
	if err != nil {
		t.Fatal(err)
	}
	if want := (columnar.ReadStats{Resources: 4, Bytes: int64(len(input))}); read != want {
		t.Errorf("the first file's statistics are %+v, want %+v", read, want)
	}
	if want := (columnar.ReadStats{Resources: 1, Bytes: 34}); more != want {
		t.Errorf("the second file's statistics are %+v, want %+v", more, want)
	}
	if w.Full() {
		t.Error("it is full")
	}
	if diff := cmp.Diff([]string{"Patient", "Claim", "Account"}, created); diff != "" {
		t.Errorf("calls of Create (-want +got):\n%s", diff)
	}
	parts := m.finish(t, w)
	same(t, map[string][]string{
		"Account": {`{"resourceType":"Account"}`},
		"Claim":   {`{"resourceType":"Claim","id":"1"}`, `{"resourceType":"Claim","id":"2"}`},
		"Patient": {`{"resourceType":"Patient","id":"1"}`, `{"id":"2","resourceType":"Patient"}`},
	}, byType(t, parts))
	want := []string{"1 2", "2 2"}
	for i, row := range rows(t, parts[1]) {
		if got := row.text("__origin.file") + " " + row.text("__origin.line"); got != want[i] {
			t.Errorf("Claim %d is from %s, not %s", i, got, want[i])
		}
	}
}

func TestNoRowsNoParts(t *testing.T) {
	t.Parallel()
	for _, input := range []string{"", "\n", "\uFEFF", " \r\n\n\t"} {
		parts, read := convert(t, columnar.Options{}, strings.NewReader(input))
		if len(parts) > 0 || read.Resources != 0 || read.Quarantined != 0 {
			t.Errorf("%q: %d parts of %d resources", input, len(parts), read.Resources)
		}
		if read.Bytes != int64(len(input)) {
			t.Errorf("%q: %d bytes were read", input, read.Bytes)
		}
	}
}

func TestLongestTypeName(t *testing.T) {
	t.Parallel()
	longest := "P" + strings.Repeat("a", 63)
	parts := roundTrip(t, columnar.Options{}, `{"resourceType":"`+longest+`"}`)
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
		`{"resourceType":"Patient"}`, `{"resourceType":"Claim"}`, `{"resourceType":"Patient"}`)), 0), nil)
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
		read, err := w.Append(t.Context(), columnar.NewLines(io.MultiReader(strings.NewReader(before), iotest.ErrReader(reset)), 0), nil)
		if !errors.Is(err, reset) || errors.As(err, new(*columnar.DataError)) {
			t.Errorf("behind %q the error is %v, not the reader's", before, err)
		}
		if want := int64(strings.Count(before, "\n")); read.Resources != want {
			t.Errorf("behind %q %d resources became rows, not %d", before, read.Resources, want)
		}
	}
}

// What is left in lines when a Writer is full goes to another one: no row is lost or comes twice,
// and each type keeps its order.
func TestFullProperty(t *testing.T) {
	t.Parallel()
	maxParts := 0
	rapid.Check(t, func(t *rapid.T) {
		var (
			random = rand.NewChaCha8([32]byte{})
			lines  = []string{}
			want   = map[string][]string{}
			o      = columnar.Options{
				TargetBytes:   rapid.Int64Range(1, 50_000).Draw(t, "target"),
				RowGroupBytes: rapid.Int64Range(1, 20_000).Draw(t, "row group"),
			}
		)
		for i := range rapid.IntRange(0, 12).Draw(t, "lines") {
			resourceType := rapid.SampledFrom([]string{"Linkage", "Binary", "Basic"}).Draw(t, "type")
			text := make([]byte, rapid.IntRange(0, 4000).Draw(t, "text"))
			_, _ = random.Read(text) // so that compression does not shrink it
			line := fmt.Sprintf(`{"resourceType":%q,"id":"%d","data":"%x"}`, resourceType, i, text)
			lines = append(lines, line)
			want[resourceType] = append(want[resourceType], line)
		}
		input := strings.Join(lines, "\n")
		parts, read := convert(t, o, strings.NewReader(input))
		if read.Resources != int64(len(lines)) || read.Bytes != int64(len(input)) {
			t.Errorf("%d resources and %d bytes were read, not %d and %d", read.Resources, read.Bytes, len(lines), len(input))
		}
		same(t, want, byType(t, parts))
		maxParts = max(maxParts, len(parts))
	})
	if maxParts <= 3 {
		t.Errorf("no case took more than %d parts: the test covers too little", maxParts)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	const target = 50_000
	o := columnar.Options{TargetBytes: target, RowGroupBytes: 50_000}
	lines := patients(1200)
	parts := roundTrip(t, o, lines...)
	if len(parts) < 3 {
		t.Fatalf("there are only %d parts", len(parts))
	}
	for i, p := range parts[:len(parts)-1] {
		// A part is full by its row groups; its footer comes on top.
		if p.Bytes < target || p.Bytes > 4*target {
			t.Errorf("part %d of %d has %d bytes", i, len(parts), p.Bytes)
		}
	}
	w := columnar.NewWriter(o)
	if w.Full() {
		t.Error("a new Writer is full")
	}
}

// patients returns n lines of Patients of about 600 bytes, all of them different.
func patients(n int) []string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","id":"%08x-%04x","meta":{"versionId":"%d","lastUpdated":"2026-%02d-%02dT03:04:05.678+00:00",`+
			`"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]},`+
			`"identifier":[{"system":"https://payer.example/members","value":"M%09d"},{"system":"http://hl7.org/fhir/sid/us-ssn","value":"999-%02d-%04d"}],`+
			`"name":[{"use":"official","family":"Family%d","given":["Given%d","Middle%d"]}],"gender":"female","birthDate":"19%02d-%02d-%02d",`+
			`"address":[{"line":["%d Main Street"],"city":"Springfield","state":"MA","postalCode":"%05d","country":"US"}],"multipleBirthInteger":%d}`,
			uint32(i)*2654435761, i%65536, i%5+1, i%12+1, i%28+1, i, i%100, i%10_000, i%997, i%313, i%101, i%90+10, i%12+1, i%28+1, i%1999, i%99_999, i%4))
	}
	return lines
}

// A Writer that cannot write says so: one that is closed, and one without Create.
func TestNotUsable(t *testing.T) {
	t.Parallel()
	parts, _ := convert(t, columnar.Options{}, strings.NewReader(resourceLine))
	for _, tt := range []struct {
		name, want string
		make       func() *columnar.Writer
	}{
		{"closed", "the Writer is closed", func() *columnar.Writer {
			w, _, err := appendTo(memory{}, resourceLine)
			if stats, closed := w.Close(); err != nil || closed != nil || len(stats) != 1 {
				t.Fatal(err, closed, stats)
			}
			return w
		}},
		{"without Create", "Options.Create is nil", func() *columnar.Writer { return columnar.NewWriter(columnar.Options{}) }},
		{"of tombstones, without Create", "Options.Create is nil", func() *columnar.Writer { return columnar.NewTombstoneWriter(columnar.Options{}) }},
		{"whose Create returns nil", "Options.Create returned neither a part of Patient nor an error", func() *columnar.Writer {
			return columnar.NewWriter(columnar.Options{Create: func(context.Context, string) (io.Writer, error) { return nil, nil }})
		}},
	} {
		w := tt.make()
		check := func(what string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s of a Writer %s: %v", what, tt.name, err)
			}
		}
		_, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(resourceLine), 0), nil)
		check("Append", err)
		r, err := columnar.NewReader(bytes.NewReader(parts[0].parquet), parts[0].Bytes)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Copy(t.Context(), r)
		check("Copy", err)
		if r.Close() != nil {
			t.Error("closing a Reader")
		}
		_, err = w.Close()
		check("Close", err)
		m := memory{}
		w.Reset(columnar.Options{Create: m.create})
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(resourceLine), 0), nil); err != nil {
			t.Errorf("Append after Reset of a Writer %s: %v", tt.name, err)
		}
		m.finish(t, w)
	}
}

// TestPartsOutliveAppend: what Create opens and Quarantine keeps goes on after the Append
// that it was opened in, so its ctx must too: sinks send what is written in the background.
func TestPartsOutliveAppend(t *testing.T) {
	t.Parallel()
	var given []context.Context
	w := columnar.NewWriter(columnar.Options{
		Create: func(ctx context.Context, _ string) (io.Writer, error) {
			given = append(given, ctx)
			return io.Discard, nil
		},
		Quarantine: func(ctx context.Context, _ columnar.Quarantined) error {
			given = append(given, ctx)
			return nil
		},
		Cores: columnar.NewCores(coresToSpare),
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := w.Append(ctx, columnar.NewLines(strings.NewReader(`{"resourceType":"Patient"}`+"\n{}\n"), 0), nil); err != nil {
		t.Fatal(err)
	}
	if len(given) != 2 || given[0].Err() != nil || given[1].Err() != nil {
		t.Errorf("after Append: %v", given)
	}
	if cancel(); given[0].Err() == nil || given[1].Err() == nil {
		t.Errorf("after the end of Append's ctx: %v", given)
	}
}
