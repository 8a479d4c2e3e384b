//go:build cgo

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

// TestPhysicalOptions has DuckDB read the same rows from files of every codec, with small pages,
// a page index and bloom filters, and find single rows in them.
func TestPhysicalOptions(t *testing.T) {
	t.Parallel()
	const n = 5000
	var ndjson, uuids strings.Builder
	for i := range n {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		uuid := fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
		uuids.WriteString(uuid)
		fmt.Fprintf(&ndjson, `{"resourceType":"Observation","id":"id-%d","implicitRules":"%s","status":"final","valueQuantity":{"value":%d.%d},"component":[{"valueInteger":%d},{}]}`+"\n", i, uuid, i-n/2, i%10, i)
	}
	allUUIDs := fmt.Sprintf("%x", sha256.Sum256([]byte(uuids.String())))
	for _, tt := range []struct {
		columnar.Options
		codecs string
	}{
		{columnar.Options{}, "ZSTD"},
		{columnar.Options{Level: 9, BloomFilter: true}, "ZSTD"},
		{columnar.Options{Codec: columnar.Snappy, PageBytes: 1000, RowGroupBytes: 100_000, BloomFilter: true}, "SNAPPY"},
		{columnar.Options{Codec: columnar.Gzip, Level: 1, PageBytes: 1000}, "GZIP"},
		{columnar.Options{Codec: columnar.None, PageBytes: 1000, BloomFilter: true}, "UNCOMPRESSED"},
	} {
		t.Run(fmt.Sprintf("%s %d, pages of %d", tt.codecs, tt.Level, tt.PageBytes), func(t *testing.T) {
			t.Parallel()
			var part bytes.Buffer
			o := tt.Options
			o.Create = func(context.Context, string) (io.Writer, error) { return &part, nil }
			w := columnar.NewWriter(o)
			if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson.String()), 0), nil); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Close(); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(t.TempDir(), "part.parquet")
			writeFile(t, name, part.String())
			db := session(t)
			for query, want := range map[string]string{
				"SELECT count(*) || ' ' || sum(valueQuantity.value) || ' ' || count(DISTINCT id) FROM '%s'":       "5000 -2500.000000000 5000",
				"SELECT sha256(string_agg(implicitRules, '' ORDER BY component[1].valueInteger)) FROM '%s'":       allUUIDs,
				"SELECT id FROM '%s' WHERE valueQuantity.value < -2499.5":                                         "id-0",
				"SELECT id FROM '%s' WHERE valueQuantity.value = 2495.5":                                          "id-4995",
				"SELECT count(*) FROM '%s' WHERE valueQuantity.value BETWEEN -0.5 AND 0.9":                        "1",
				"SELECT component[1].valueInteger FROM '%s' WHERE id = 'id-4711'":                                 "4711",
				"SELECT count(*) FROM '%s' WHERE id = 'id-5000'":                                                  "0",
				"SELECT count(*) FROM '%s' WHERE component[1].valueInteger IN (0, 2500, 4999, 5000)":              "3",
				"SELECT count(DISTINCT resourceType) FROM '%s' WHERE resourceType = 'Observation'":                "1",
				"SELECT count(*) FROM (SELECT id, valueQuantity.value FROM '%s' ORDER BY 2 DESC LIMIT 7) WHERE 1": "7",
			} {
				if got := one(t, db, fmt.Sprintf(query, name)); got != want {
					t.Errorf("%s: %s, want %s", query, got, want)
				}
			}
			codecs := one(t, db, fmt.Sprintf("SELECT string_agg(DISTINCT compression, ' ') FROM parquet_metadata('%s') WHERE path_in_schema IN ('id', 'status')", name))
			if codecs != tt.codecs {
				t.Errorf("the columns have %s", codecs)
			}
			if tt.Codec == "" { // these UUIDs are encoded letter by letter; as matches they would take more space
				size := one(t, db, fmt.Sprintf("SELECT total_compressed_size < 20 * %d FROM parquet_metadata('%s') WHERE path_in_schema = 'implicitRules'", n, name))
				if size != "true" {
					t.Error("the UUIDs take more than 20 bytes each")
				}
			}
			probe := func(id string) string {
				return one(t, db, fmt.Sprintf("SELECT bool_and(bloom_filter_excludes) FROM parquet_bloom_probe('%s', 'id', '%s')", name, id))
			}
			want := []string{"false", "false"}
			if tt.BloomFilter {
				want = []string{"false", "true"}
			}
			if diff := cmp.Diff(want, []string{probe("id-4711"), probe("nobody")}); diff != "" {
				t.Errorf("ids that the filters exclude (-want +DuckDB):\n%s", diff)
			}
		})
	}
}
