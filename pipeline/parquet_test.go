package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/columnar"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

// encodings returns how the live parts of each type are encoded: codecs, Bloom filters, and
// whether a Patient's family name has statistics.
func (w *world) encodings(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for p, err := range w.lake().Live(t.Context(), w.feed(t)) {
		if err != nil {
			t.Fatal(err)
		}
		f, err := w.dir.Open(t.Context(), p.Key)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parquet.OpenFile(f, f.Size())
		if err != nil {
			t.Fatal(err)
		}
		var has []string
		if file.Metadata().Schema[1].FieldID == 0 {
			has = append(has, "no ids")
		}
		for _, g := range file.Metadata().RowGroups {
			for _, c := range g.Columns {
				path := strings.Join(c.MetaData.PathInSchema, ".")
				if c.MetaData.Codec != format.Uncompressed || w.Parquet.Codec == columnar.None {
					has = append(has, c.MetaData.Codec.String())
				}
				if c.MetaData.BloomFilterLength > 0 {
					has = append(has, "bloom filter of "+path)
				}
				if path == "name.list.element.family" && c.MetaData.Statistics.MinValue != nil {
					has = append(has, fmt.Sprintf("%s from %s", path, c.MetaData.Statistics.MinValue))
				}
			}
		}
		slices.Sort(has)
		all[p.Type] = append(all[p.Type], strings.Join(slices.Compact(has), ", "))
		f.Close()
	}
	return all
}

// TestParquet writes each night with other options, including tombstones that no server sent,
// and then merges parts of different codecs.
func TestParquet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{}})
	w.Full, w.Feed.Retire = true, true
	file := func(gone int) bulktest.Files {
		var lines []string
		for i := range 400 { // a twentieth goes away and comes back
			if i%20 != gone {
				lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","id":"Patient-%d","name":[{"family":"Family-%03d"}]}`, i, i))
			}
		}
		return bulktest.Files{bulktest.Lines("Patient", lines...)}
	}
	for n, tt := range []struct {
		pipeline.Parquet
		patients, deleted string
	}{
		{pipeline.Parquet{}, "ZSTD", ""},
		{pipeline.Parquet{Codec: columnar.Gzip, Level: 9, BloomFilter: true}, "GZIP, bloom filter of id", "GZIP, bloom filter of id"},
		{pipeline.Parquet{Codec: columnar.Snappy, IdentifyingBounds: true}, "SNAPPY, name.list.element.family from Family-000", "SNAPPY"},
		{pipeline.Parquet{Codec: columnar.None, OmitFieldIDs: true}, "UNCOMPRESSED, no ids", "UNCOMPRESSED, no ids"},
	} {
		w.Parquet = tt.Parquet
		w.serve(t, n+1, bulktest.Options{Data: file(n)})
		if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
			t.Fatal(err)
		}
		got := w.encodings(t)
		want := map[string]string{"Patient": tt.patients, "deleted": tt.deleted}
		for kind, want := range want {
			all := got[kind]
			if want == "" && len(all) == 0 {
				continue
			}
			if len(all) == 0 || all[len(all)-1] != want {
				t.Errorf("%+v: the last part of %s has %q, want %q", tt.Parquet, kind, all, want)
			}
		}
	}
}

// TestCompactRecompresses merges parts of different codecs: the new parts have the codec that is
// asked for, and the same rows.
func TestCompactRecompresses(t *testing.T) {
	t.Parallel()
	w := nightly(t, 0)
	for _, c := range []columnar.Codec{columnar.Snappy, columnar.Gzip, columnar.None} {
		w.Parquet = pipeline.Parquet{Codec: c}
		if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
			t.Fatal(err)
		}
	}
	before, rows := w.feed(t), w.liveRows(t)
	w.Parquet = pipeline.Parquet{Codec: columnar.Zstd, Level: 9, BloomFilter: true}
	if _, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{}); err != nil {
		t.Fatal(err)
	}
	w.wantCompacted(t, before, rows)
	want := map[string][]string{"Patient": {"ZSTD, bloom filter of id"}, "Basic": {"ZSTD, bloom filter of id"}, "deleted": {"ZSTD, bloom filter of id"}}
	if diff := cmp.Diff(want, w.encodings(t)); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

// TestParquetIsChecked checks that an unknown codec, or a level that a codec does not have, ends
// a run before the server is asked.
func TestParquetIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: patientsBut(1)})
	for _, p := range []pipeline.Parquet{{Codec: "lz4"}, {Codec: columnar.Gzip, Level: 10}, {Level: 23}, {Codec: columnar.None, Level: 1}} {
		w.Parquet = p
		report, err := pipeline.Run(t.Context(), w.Options)
		if err == nil || report == nil || report.Status != lake.StatusFailed {
			t.Errorf("%+v: error %v, report %+v", p, err, report)
		}
		if _, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{}); err == nil {
			t.Errorf("%+v compacts", p)
		}
	}
	if asked := w.server.Requests(); len(asked) > 0 {
		t.Errorf("the server was asked %d times", len(asked))
	}
}
