package columnar_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/columnar"
)

// row is the layout envelope-0, as its readers see it.
type row struct {
	ResourceType string   `parquet:"resourceType"`
	ID           *string  `parquet:"id,optional"`
	Meta         *rowMeta `parquet:"meta,optional"`
	Resource     string   `parquet:"resource"`
}

type rowMeta struct {
	VersionID   *string `parquet:"versionId,optional"`
	LastUpdated *string `parquet:"lastUpdated,optional"`
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	s := func(s string) *string { return &s }
	for _, tt := range []struct {
		line string
		want row
	}{
		{
			`{"resourceType":"Patient","id":"p1","meta":{"versionId":"2","lastUpdated":"2026-01-02T03:04:05.678+01:00"}}`,
			row{"Patient", s("p1"), &rowMeta{s("2"), s("2026-01-02T03:04:05.678+01:00")}, ""},
		},
		{`{"resourceType":"Patient"}`, row{"Patient", nil, nil, ""}},
		{`{"resourceType":"Patient","meta":{}}`, row{"Patient", nil, &rowMeta{}, ""}},
		{`{"resourceType":"Patient","meta":{"source":"x"},"id":"1"}`, row{"Patient", s("1"), &rowMeta{}, ""}},
		{`{"meta":{"lastUpdated":"2026"},"id":"1","resourceType":"Patient"}`, row{"Patient", s("1"), &rowMeta{nil, s("2026")}, ""}},
		{`{"resourceType":"Patient","meta":{"versionId":"2"}}`, row{"Patient", nil, &rowMeta{s("2"), nil}, ""}},
		{`{"resourceType":"Patient","id":"","meta":{"versionId":""}}`, row{"Patient", s(""), &rowMeta{s(""), nil}, ""}},
		{`{"resourceType":"Patient","id":5,"meta":{"versionId":6,"lastUpdated":null}}`, row{"Patient", nil, &rowMeta{}, ""}},
		{`{"resourceType":"Patient","id":{"id":"no"},"meta":"versionId"}`, row{"Patient", nil, nil, ""}},
		{`{"resourceType":"Patient","id":null,"meta":null}`, row{"Patient", nil, nil, ""}},
		{`{"resourceType":"Patient","contained":[{"id":"no","meta":{"versionId":"no"}}]}`, row{"Patient", nil, nil, ""}},
		{`{"resourceType":"Patient","meta":{"id":"no","meta":{"versionId":"no"},"tag":[{"versionId":"no"}]}}`, row{"Patient", nil, &rowMeta{}, ""}},
		{`{"resourceType":"Patient","i\u0064":"\u00e9\"\\\/\n\ud83d\ude00"}`, row{"Patient", s("\u00e9\"\\/\n\U0001F600"), nil, ""}},
		{`{"resourceType":"Patient","id":"a\ud800b"}`, row{"Patient", s("a\uFFFDb"), nil, ""}},
		{`{"resourceType":"Patient","id":"1","id":"2","meta":{"versionId":"3","versionId":"4"}}`, row{"Patient", s("2"), &rowMeta{s("4"), nil}, ""}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			// A full row before and behind, so that nothing is taken from a neighbour.
			const full = `{"resourceType":"Patient","id":"no","meta":{"versionId":"no","lastUpdated":"no"}}`
			parts, _ := convert(t, columnar.Options{}, strings.NewReader(ndjson(full, tt.line, full)))
			if len(parts) != 1 || parts[0].Rows != 3 {
				t.Fatalf("the parts are %v", parts)
			}
			tt.want.Resource = tt.line
			if diff := cmp.Diff(tt.want, rows[row](t, parts[0])[1]); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
		})
	}
}

// The columns depend on the layout alone.
func TestSchemaDoesNotDependOnData(t *testing.T) {
	t.Parallel()
	const want = `message envelopeRow {
	required binary resourceType (STRING);
	optional binary id (STRING);
	optional group meta {
		optional binary versionId (STRING);
		optional binary lastUpdated (STRING);
	}
	required binary resource (STRING);
}`
	for _, line := range []string{
		`{"resourceType":"Patient"}`,
		`{"resourceType":"Claim","id":"1","meta":{"versionId":"1","lastUpdated":"2026"},"more":[{}]}`,
	} {
		parts, _ := convert(t, columnar.Options{}, strings.NewReader(line))
		f := open(t, parts[0])
		if diff := cmp.Diff(want, f.Schema().String()); diff != "" {
			t.Errorf("schema of %s (-want +got):\n%s", line, diff)
		}
		if diff := cmp.Diff(map[string]string{"fhirkiln.layout": columnar.Layout}, metadata(f)); diff != "" {
			t.Errorf("metadata of %s (-want +got):\n%s", line, diff)
		}
	}
}

func metadata(f *parquet.File) map[string]string {
	m := map[string]string{}
	for _, kv := range f.Metadata().KeyValueMetadata {
		m[kv.Key] = kv.Value
	}
	return m
}

func TestSameInputSameBytes(t *testing.T) {
	t.Parallel()
	o := columnar.Options{RowGroupBytes: 2000, Metadata: map[string]string{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}}
	input := generated(100) + ndjson(`{"resourceType":"Claim"}`)
	first, _ := convert(t, o, strings.NewReader(input))
	for range 5 {
		again, _ := convert(t, o, strings.NewReader(input))
		if len(again) != len(first) {
			t.Fatalf("%d parts, not %d", len(again), len(first))
		}
		for i := range again {
			if !bytes.Equal(again[i].parquet, first[i].parquet) {
				t.Errorf("the part of %s has other bytes the second time", again[i].ResourceType)
			}
		}
	}
	want := maps.Clone(o.Metadata)
	want["fhirkiln.layout"] = columnar.Layout
	if diff := cmp.Diff(want, metadata(open(t, first[0]))); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

// A row group holds the first rows that together have RowGroupBytes of NDJSON.
func TestRowGroups(t *testing.T) {
	t.Parallel()
	line := `{"resourceType":"Patient","id":"1"}`
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

// Statistics would put patients into the footer, which caches and catalogs keep.
func TestFooterHoldsNoResource(t *testing.T) {
	t.Parallel()
	parts, _ := convert(t, columnar.Options{RowGroupBytes: 2000}, strings.NewReader(generated(50)))
	f := open(t, parts[0])
	column, ok := f.Schema().Lookup("resource")
	if !ok {
		t.Fatal("there is no column resource")
	}
	for i, g := range f.Metadata().RowGroups {
		s := g.Columns[column.ColumnIndex].MetaData.Statistics
		for _, b := range [][]byte{s.Min, s.Max, s.MinValue, s.MaxValue} {
			if len(b) > 0 {
				t.Errorf("row group %d has the statistics %q", i, b)
			}
		}
		index, err := f.RowGroups()[i].ColumnChunks()[column.ColumnIndex].ColumnIndex()
		if err != nil {
			t.Fatal(err)
		}
		for page := range index.NumPages() {
			if smallest, biggest := index.MinValue(page), index.MaxValue(page); len(bytesOf(smallest))+len(bytesOf(biggest)) > 0 {
				t.Errorf("the column index has the bounds %v and %v", smallest, biggest)
			}
		}
	}
}

// Zstd and data pages of version 1 are what all engines read.
func TestPages(t *testing.T) {
	t.Parallel()
	parts, _ := convert(t, columnar.Options{}, strings.NewReader(generated(50)))
	for _, g := range open(t, parts[0]).Metadata().RowGroups {
		for _, c := range g.Columns {
			if c.MetaData.Codec != format.Zstd {
				t.Errorf("the column %v is compressed with %v", c.MetaData.PathInSchema, c.MetaData.Codec)
			}
			data := 0
			for _, s := range c.MetaData.EncodingStats {
				switch s.PageType {
				case format.DataPage:
					data++
				case format.DictionaryPage:
				default:
					t.Errorf("the column %v has pages of the type %v", c.MetaData.PathInSchema, s.PageType)
				}
			}
			if data == 0 {
				t.Errorf("the column %v says nothing of its pages", c.MetaData.PathInSchema)
			}
		}
	}
}

func bytesOf(v parquet.Value) []byte {
	if v.IsNull() {
		return nil
	}
	return v.ByteArray()
}
