//go:build cgo

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
)

// numbered returns n Patients as NDJSON.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"id-%05d","name":[{"family":"Family-%05d"}],"birthDate":"%d-01-02"}`+"\n", i, i, 1920+i%100)
	}
	return b.String()
}

// TestDuckDBReadsEveryCodec converts with each codec, and has DuckDB say what it finds: the codec,
// the statistics, all rows, and what the bloom filter saves it.
func TestDuckDBReadsEveryCodec(t *testing.T) {
	t.Parallel()
	const n = 3000
	ndjson := numbered(n)
	for _, tt := range []struct {
		name, codec string
		args        []string
		bloom       bool
		families    string
	}{
		{"default", "ZSTD", nil, false, ""},
		{"zstd 19", "ZSTD", []string{"--compression", "zstd", "--compression-level", "19", "--bloom-filter"}, true, ""},
		{"snappy", "SNAPPY", []string{"--compression", "snappy", "--identifying-statistics"}, false, "Family-00000 to Family-02999"},
		{"gzip 9", "GZIP", []string{"--compression", "gzip", "--compression-level", "9", "--bloom-filter", "--identifying-statistics"}, true, "Family-00000 to Family-02999"},
		{"none", "UNCOMPRESSED", []string{"--compression", "none", "--bloom-filter", "--row-group-mib", "1"}, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "in.ndjson"), ndjson)
			report := runReport(t, dir, append([]string{"convert", "in.ndjson", "--out", "lake"}, tt.args...)...)
			part := filepath.Join(dir, "lake", filepath.FromSlash(report.Parts[0].Key))
			db := session(t)
			metadata := func(what, column string) string {
				return one(t, db, fmt.Sprintf("SELECT coalesce(string_agg(DISTINCT %s, ' '), '') FROM parquet_metadata('%s') WHERE path_in_schema = '%s'", what, part, column))
			}
			if got := metadata("compression", "id"); got != tt.codec {
				t.Errorf("the codec is %s, want %s", got, tt.codec)
			}
			if got := metadata("stats_min_value || ' to ' || stats_max_value", "name, list, element, family"); got != tt.families {
				t.Errorf("family names in statistics: %q, want %q", got, tt.families)
			}
			want := fmt.Sprintf("%d %d Family-00000", n, n)
			if got := one(t, db, fmt.Sprintf("SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || min(name[1].family) FROM '%s'", part)); got != want {
				t.Errorf("DuckDB finds %s, want %s", got, want)
			}
			there, absent := readsFor(t, part, "id-01234", 1), readsFor(t, part, "nobody", 0)
			if spared := absent < there; spared != tt.bloom {
				t.Errorf("DuckDB reads %d times for an id that is there, and %d times for one that is not", there, absent)
			}
		})
	}
}

// readsFor returns how often DuckDB reads from a part to find that many rows with an id.
func readsFor(t *testing.T, part, id string, rows int) (reads int) {
	t.Helper()
	db := session(t)
	runScript(t, db, "SET enable_external_file_cache = false; CALL enable_logging('FileSystem', level := 'trace')")
	if got := one(t, db, fmt.Sprintf("SELECT count(*) FROM '%s' WHERE id = '%s'", part, id)); got != strconv.Itoa(rows) {
		t.Errorf("%s is there %s times, want %d", id, got, rows)
	}
	runScript(t, db, "CALL disable_logging()")
	reads, err := strconv.Atoi(one(t, db, "SELECT count(*) FROM duckdb_logs_parsed('FileSystem') WHERE op = 'READ'"))
	if err != nil || reads == 0 {
		t.Fatalf("%d reads, %v", reads, err)
	}
	return reads
}

// TestRunWritesAsTheSinkSays checks that run and compact use sink.parquet of the config.
func TestRunWritesAsTheSinkSays(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(numbered(500)), "\n")
	// Each export has everything: nothing says when it changed.
	_, dir := serve(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", lines...)}})
	config := filepath.Join(dir, "config.yaml")
	written, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	said := func(parquet string) {
		writeFile(t, config, strings.Replace(string(written), "sink: {url: lake}", "sink: {url: lake, parquet: {"+parquet+"}}", 1))
	}
	said("compression: snappy")
	run(t, dir, "run")
	said("compression: gzip, bloom_filter: true")
	run(t, dir, "run")
	db := session(t)
	codecs := func() string {
		files := strings.Fields(run(t, dir, "files", "-c", "config.yaml"))
		return one(t, db, fmt.Sprintf("SELECT string_agg(DISTINCT compression, ' ' ORDER BY compression) FROM parquet_metadata(['%s']) WHERE path_in_schema = 'id'", strings.Join(files, "','")))
	}
	got := []string{codecs()}
	run(t, dir, "compact")
	got = append(got, codecs())
	run(t, dir, "run")
	run(t, dir, "compact", "--compression", "zstd")
	got = append(got, codecs())
	if diff := cmp.Diff([]string{"GZIP SNAPPY", "GZIP", "ZSTD"}, got); diff != "" {
		t.Errorf("what is live (-want +got):\n%s", diff)
	}
	run(t, dir, "verify", "-c", "config.yaml")
}
