package columnar_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/columnar"
)

// The sizes of row groups and pages, and the encoding of values, do not affect what is read.
func TestSizes(t *testing.T) {
	t.Parallel()
	types := []string{"Patient", "Observation", "Questionnaire", "Task", "Bundle", "MolecularSequence", "Foo"}
	for seed, name := range types {
		for _, size := range []int64{1, 3000, 40_000} {
			t.Run(fmt.Sprintf("%s in row groups of %d", name, size), func(t *testing.T) {
				t.Parallel()
				g := newGenerator(uint64(seed), 0.15)
				var lines []string
				for range 15 {
					lines = append(lines, g.nasty(name, g.r.IntN(2)))
				}
				parts := roundTrip(t, columnar.Options{RowGroupBytes: size}, lines...)
				check(t, parts[0])
				if n := len(open(t, parts[0]).RowGroups()); size == 1 && n != len(lines) {
					t.Errorf("there are %d row groups", n)
				}
			})
		}
	}
}

// Values larger than a page, alone and among small ones.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 10 {
		content := strings.Repeat(string(rune('A'+i)), []int{0, 10, 400_000, 1 << 20, 3 << 20}[i%5])
		lines = append(lines, fmt.Sprintf(`{"resourceType":"DocumentReference","id":"%d","content":[{"attachment":{"data":"%s","size":%d}},{"attachment":{"data":"x"}},{}],"extension":[{"url":"u","valueString":"%s"}]}`, i, content, i, content[:len(content)/2]))
	}
	for _, size := range []int64{0, 5 << 20} {
		parts := roundTrip(t, columnar.Options{RowGroupBytes: size}, lines...)
		check(t, parts[0])
		if n := maxPages(t, parts[0]); size == 0 && n < 4 {
			t.Errorf("no column has more than %d pages", n)
		}
	}
}

// maxPages returns how many data pages the column with the most of them has.
func maxPages(t *testing.T, p finishedPart) int {
	t.Helper()
	found := 0
	for _, g := range open(t, p).RowGroups() {
		for _, c := range g.ColumnChunks() {
			pages, n := c.Pages(), 0
			for ; ; n++ {
				page, err := pages.ReadPage()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				parquet.Release(page)
			}
			pages.Close()
			found = max(found, n)
		}
	}
	return found
}

// Dictionaries that are given up early, or late, and one that stays.
func TestDictionaries(t *testing.T) {
	t.Parallel()
	const n = 10_000
	var lines []string
	for i := range n {
		// The id never repeats, the language always, the div for the first half.
		div := strings.Repeat(fmt.Sprintf("%d ", i%97), 60)
		if i > n/2 {
			div = fmt.Sprint(strings.Repeat("y", 200), i)
		}
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Basic","id":"i%d","language":"%s","text":{"status":"s%d","div":"%s"},"created":"%d-01-%02d"}`,
			i, []string{"en", "de"}[i%2], i/3, div, 1000+i%3000, i%28+1))
	}
	for _, tt := range []struct {
		rowGroup int64
		want     columns
	}{
		{0, columns{"id": "PLAIN", "language": "RLE_DICTIONARY", "text.div": "PLAIN"}},
		{1_500_000, columns{"id": "PLAIN", "language": "RLE_DICTIONARY", "text.div": "RLE_DICTIONARY PLAIN"}},
	} {
		parts := roundTrip(t, columnar.Options{RowGroupBytes: tt.rowGroup}, lines...)
		check(t, parts[0])
		got := columns{}
		for _, g := range open(t, parts[0]).Metadata().RowGroups {
			for _, c := range g.Columns {
				name, used := strings.Join(c.MetaData.PathInSchema, "."), "PLAIN"
				if c.MetaData.DictionaryPageOffset > 0 {
					used = "RLE_DICTIONARY"
				}
				if tt.want[name] != "" && !strings.Contains(got[name], used) {
					got[name] = strings.TrimSpace(got[name] + " " + used)
				}
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("encodings with row groups of %d (-want +got):\n%s", tt.rowGroup, diff)
		}
	}
}

// A page too large for Parquet's size field fails with an error that says what to do.
func TestLargePage(t *testing.T) {
	t.Parallel()
	m := memory{}
	w := columnar.NewWriter(columnar.Options{Create: m.create})
	w.SetMaxPage(1000)
	_, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(`{"resourceType":"Basic","id":"`+strings.Repeat("1", 1001)+`"}`), 0), &origin)
	if err == nil {
		_, err = w.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "a part of Basic") || !strings.Contains(err.Error(), "--max-line-mib") {
		t.Errorf("got %v", err)
	}
}

// Many types at once share the memory of two row groups, and the largest is flushed first.
func TestMemoryOfManyTypes(t *testing.T) {
	t.Parallel()
	small := strings.Repeat(`{"resourceType":"Basic","id":"1"}`+"\n"+`{"resourceType":"Flag","id":"1"}`+"\n", 60)
	group := `{"resourceType":"Group","id":"1","name":"larger"}` + "\n"
	large := strings.Repeat(group, 60)
	m := memory{}
	w := columnar.NewWriter(columnar.Options{Create: m.create, RowGroupBytes: int64(len(large)) + 100})
	if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(large+small+group), 0), &origin); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.finish(t, w) {
		want := 1
		if p.ResourceType == "Group" {
			want = 2
		}
		if got := len(open(t, p).Metadata().RowGroups); got != want {
			t.Errorf("%s has %d row groups, not %d", p.ResourceType, got, want)
		}
	}
}

// The names of thousands of files of a few rows each are in a dictionary.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	m := memory{}
	w := columnar.NewWriter(columnar.Options{Create: m.create})
	input := ndjson(slices.Repeat([]string{`{"resourceType":"Basic"}`}, 4)...)
	for i := range 5000 {
		from := origin
		from.File = fmt.Sprintf("https://payer.example/%d.ndjson", i)
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(input), 0), &from); err != nil {
			t.Fatal(err)
		}
	}
	part := m.finish(t, w)[0]
	check(t, part)
	for _, c := range open(t, part).Metadata().RowGroups[0].Columns {
		if strings.Join(c.MetaData.PathInSchema, ".") == "__origin.file" && c.MetaData.DictionaryPageOffset == 0 {
			t.Error("they have not")
		}
	}
}

// When parquet-go's own writer writes the rows that it has read, the file has the same rows.
func TestOwnWriterAgrees(t *testing.T) {
	t.Parallel()
	for seed, name := range []string{"Patient", "Observation", "Questionnaire", "Task", "MolecularSequence", "Foo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGenerator(uint64(seed), 0.5)
			lines := []string{`{"resourceType":"` + name + `"}`}
			for range 4 {
				lines = append(lines, g.resource(name))
			}
			ours := open(t, roundTrip(t, options, lines...)[0])
			var b bytes.Buffer
			w := parquet.NewWriter(&b, ours.Schema())
			rows := readRows(t, ours)
			if _, err := w.WriteRows(rows); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			theirs, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
			if err != nil {
				t.Fatal(err)
			}
			again := readRows(t, theirs)
			if len(again) != len(rows) {
				t.Fatalf("%d rows, not %d", len(again), len(rows))
			}
			for i := range rows {
				if !rows[i].Equal(again[i]) {
					t.Errorf("row %d is another one", i)
				}
			}
			// Levels and nulls are counted the same way.
			for i, c := range theirs.Metadata().RowGroups[0].Columns {
				m := ours.Metadata().RowGroups[0].Columns[i].MetaData
				if c.MetaData.NumValues != m.NumValues || c.MetaData.Statistics.NullCount != m.Statistics.NullCount {
					t.Errorf("%v: %d values and %d nulls, not %d and %d", m.PathInSchema, m.NumValues, m.Statistics.NullCount, c.MetaData.NumValues, c.MetaData.Statistics.NullCount)
				}
			}
		})
	}
}

func readRows(t *testing.T, f *parquet.File) []parquet.Row {
	t.Helper()
	var all []parquet.Row
	for _, g := range f.RowGroups() {
		rows := g.Rows()
		buffer := make([]parquet.Row, 1)
		for {
			n, err := rows.ReadRows(buffer)
			for _, row := range buffer[:n] {
				all = append(all, row.Clone())
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		rows.Close()
	}
	return all
}

// The schema in the footer depends on the layout alone.
func TestSchemaDoesNotDependOnData(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Patient", "ExplanationOfBenefit", "Foo"} {
		g := newGenerator(3, 0.3)
		a := open(t, roundTrip(t, options, `{"resourceType":"`+name+`"}`)[0]).Metadata()
		b := open(t, roundTrip(t, columnar.Options{RowGroupBytes: 1}, g.nasty(name, 20), g.resource(name))[0]).Metadata()
		if diff := cmp.Diff(a.Schema, b.Schema); diff != "" {
			t.Errorf("the schema of %s:\n%s", name, diff)
		}
		if diff := cmp.Diff(a.KeyValueMetadata, b.KeyValueMetadata); diff != "" {
			t.Errorf("the metadata of %s:\n%s", name, diff)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	f := open(t, roundTrip(t, options, `{"resourceType":"Patient"}`)[0])
	got := map[string]string{}
	for _, kv := range f.Metadata().KeyValueMetadata {
		got[kv.Key] = kv.Value
	}
	want := map[string]string{
		"fhirkiln.layout": "r4-core/1", "fhirkiln.resource_type": "Patient", "fhir.version": "4.0.1",
		"fhirkiln.schema.sha256": columnar.LayoutOf("Patient").Hash(),
	}
	if !maps.Equal(got, want) {
		t.Errorf("the metadata is %v, not %v", got, want)
	}
	if columnar.LayoutPath != strings.ReplaceAll(columnar.LayoutName, "/", "-") {
		t.Error("the layout's path is not that of its name")
	}
}

// Without field ids a file has the same columns, by name, and reads as one with them.
func TestOmitFieldIDs(t *testing.T) {
	t.Parallel()
	for _, omit := range []bool{false, true} {
		part := roundTrip(t, columnar.Options{OmitFieldIDs: omit}, patients(3)...)[0]
		check(t, part)
		for _, e := range open(t, part).Metadata().Schema[1:] {
			if has := e.FieldID != 0; has == omit && e.Name != "list" {
				t.Fatalf("omitted: %t, %s has the id %d", omit, e.Name, e.FieldID)
			}
		}
	}
}

func TestSameInputSameBytes(t *testing.T) {
	t.Parallel()
	g := newGenerator(5, 0.3)
	lines := patients(100)
	for range 10 {
		lines = append(lines, g.nasty("Patient", 5), `{"resourceType":"Claim"}`)
	}
	o := columnar.Options{RowGroupBytes: 20_000}
	first, _ := convert(t, o, strings.NewReader(ndjson(lines...)))
	for range 3 {
		again, _ := convert(t, o, strings.NewReader(ndjson(lines...)))
		if len(again) != len(first) {
			t.Fatalf("%d parts, not %d", len(again), len(first))
		}
		for i := range again {
			if !bytes.Equal(again[i].parquet, first[i].parquet) {
				t.Errorf("the part of %s has other bytes the second time", again[i].ResourceType)
			}
		}
	}
}

// A row group holds the first rows that together have RowGroupBytes of NDJSON.
func TestRowGroups(t *testing.T) {
	t.Parallel()
	line := `{"resourceType":"Basic","id":"1"}`
	for _, tt := range []struct {
		bytes int64
		rows  int
		want  []int64
	}{
		{1, 3, []int64{1, 1, 1}},
		{int64(len(line)), 2, []int64{1, 1}},
		{int64(len(line)) + 1, 5, []int64{2, 2, 1}},
		{int64(10 * len(line)), 25, []int64{10, 10, 5}},
		{int64(10 * len(line)), 20, []int64{10, 10}},
		{0, 1000, []int64{1000}},
	} {
		parts, _ := convert(t, columnar.Options{RowGroupBytes: tt.bytes}, strings.NewReader(strings.Repeat(line+"\n", tt.rows)))
		var got []int64
		for _, g := range open(t, parts[0]).RowGroups() {
			got = append(got, g.NumRows())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("row groups of %d rows by %d bytes (-want +got):\n%s", tt.rows, tt.bytes, diff)
		}
	}
}

// Statistics are in the footer, which caches and catalogs keep: nothing about a person may be
// there, and nothing long.
func TestFooterHoldsNoPerson(t *testing.T) {
	t.Parallel()
	lines := append(patients(50), `{"resourceType":"Patient","language":"`+strings.Repeat("x", 300)+`","gender":""}`)
	parts := roundTrip(t, columnar.Options{RowGroupBytes: 10_000}, lines...)
	check(t, parts[0])
	bounds := map[string]bool{}
	for _, g := range open(t, parts[0]).Metadata().RowGroups {
		for _, c := range g.Columns {
			m := c.MetaData
			if m.Codec != format.Zstd {
				t.Errorf("the column %v is compressed with %v", m.PathInSchema, m.Codec)
			}
			if m.Statistics.MinValue != nil {
				bounds[strings.Join(m.PathInSchema, ".")] = true
			}
			if len(m.Statistics.MaxValue) > 256 {
				t.Errorf("%v has a bound of %d bytes", m.PathInSchema, len(m.Statistics.MaxValue))
			}
		}
	}
	want := map[string]bool{
		"resourceType": true, "gender": true, "meta.__lastUpdated_start": true, "multipleBirthInteger": true, "__origin.line": true, "meta.profile.list.element": true,
	}
	if !maps.Equal(bounds, want) {
		t.Errorf("there are bounds for %v", bounds)
	}
}

// With IdentifyingBounds, columns that identify people have bounds, texts too.
func TestIdentifyingBounds(t *testing.T) {
	t.Parallel()
	lines := append(patients(20), `{"resourceType":"Patient","deceasedDateTime":"2026-01-01","name":[{"family":"`+strings.Repeat("x", 300)+`"}]}`)
	for _, group := range open(t, roundTrip(t, columnar.Options{IdentifyingBounds: true}, lines...)[0]).Metadata().RowGroups {
		bounds := map[string]string{}
		for _, c := range group.Columns {
			bounds[strings.Join(c.MetaData.PathInSchema, ".")] = string(c.MetaData.Statistics.MinValue)
		}
		for path, want := range map[string]bool{
			"birthDate": true, "__birthDate_start": true, "deceasedDateTime": true, "identifier.list.element.value": true, "identifier.list.element.system": true,
			"name.list.element.family": false, "name.list.element.given.list.element": true, "id": false, "managingOrganization.reference": false,
		} {
			if (bounds[path] != "") != want {
				t.Errorf("%s has the bound %q", path, bounds[path])
			}
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[struct{ ID string }](&b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	good := roundTrip(t, options, `{"resourceType":"Basic"}`)[0].parquet
	hash := columnar.LayoutOf("Basic").Hash()
	with := func(was, is string) []byte { // of the same length, so that the footer stays whole
		if len(was) != len(is) || bytes.Count(good, []byte(was)) != 1 {
			t.Fatalf("%q cannot be changed to %q", was, is)
		}
		return bytes.Replace(good, []byte(was), []byte(is), 1)
	}
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "opening the Parquet file"},
		{"no Parquet", []byte(strings.Repeat("x", 100)), "opening the Parquet file"},
		{"half a file", good[:len(good)/2], "opening the Parquet file"},
		{"somebody else's", b.Bytes(), "is not fhirkiln's"},
		{"another layout", with(columnar.LayoutName, "r4-core/2"), "has layout r4-core/2"},
		{"other columns", with(hash, strings.Repeat("a", len(hash))), "are not those of r4-core/1 for Basic"},
		{"another type", with(columnar.KeyResourceType+"\x18\x05Basic", columnar.KeyResourceType+"\x18\x05Media"), "are not those of r4-core/1 for Media"},
	} {
		if _, err := columnar.NewReader(bytes.NewReader(tt.file), int64(len(tt.file))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: the error is %v", tt.name, err)
		}
	}
}
