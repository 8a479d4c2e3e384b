package columnar_test

import (
	"bytes"
	"fmt"
	"math/bits"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/columnar"
)

// The bloom filter has every id, and seems to have few others.
func TestBloomFilter(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 6000 { // the first 2000 in a dictionary
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Basic","id":"%d"}`, i-i%2*max(0, 1-i/2000)), `{"resourceType":"Basic"}`)
	}
	for _, o := range []columnar.Options{{BloomFilter: true}, {BloomFilter: true, RowGroupBytes: 100_000, PageBytes: 1000}} {
		part := roundTrip(t, o, lines...)[0]
		check(t, part)
		others, asked := 0, 0
		for i, g := range open(t, part).RowGroups() {
			var ids map[string]bool
			for _, chunk := range g.ColumnChunks() {
				name := open(t, part).Schema().Columns()[chunk.Column()]
				filter := chunk.BloomFilter()
				if (filter != nil) != (strings.Join(name, ".") == "id") {
					t.Fatalf("row group %d, %v: a bloom filter is there: %v", i, name, filter != nil)
				}
				if filter == nil {
					continue
				}
				ids = map[string]bool{}
				for _, page := range chunkPages(t, chunk, g.NumRows()) {
					for _, v := range page {
						if v.IsNull() {
							continue
						}
						ids[v.String()] = true
						if ok, err := filter.Check(v); !ok || err != nil {
							t.Fatalf("row group %d does not have the id %v: %v", i, v, err)
						}
					}
				}
				for n := range 2000 {
					asked++
					if ok, _ := filter.Check(parquet.ByteArrayValue(fmt.Append(nil, "x", n))); ok {
						others++
					}
				}
			}
			if len(ids) < 100 {
				t.Errorf("row group %d has %d ids", i, len(ids))
			}
		}
		if others*25 > asked {
			t.Errorf("the filters seem to have %d of %d ids that are not there", others, asked)
		}
	}
	parts, _, _ := bury(t, columnar.Options{BloomFilter: true}, bundle(deletion("Patient/1")))
	check(t, parts[0])
	if filter := open(t, parts[0]).RowGroups()[0].ColumnChunks()[1].BloomFilter(); filter == nil {
		t.Error("tombstones have no bloom filter")
	}
	// No id, no filter.
	if filter := open(t, roundTrip(t, columnar.Options{BloomFilter: true}, `{"resourceType":"Basic"}`)[0]).RowGroups()[0].ColumnChunks()[1].BloomFilter(); filter != nil {
		t.Error("there is a bloom filter of nothing")
	}
}

// checkBloomFilterPlace checks that a chunk's bloom filter, if it has one, is at offset at of the
// file. It returns where the filter ends, or at if there is none.
func checkBloomFilterPlace(t failer, file []byte, m *format.ColumnMetaData, at int64) int64 {
	t.Helper()
	if m.BloomFilterOffset == 0 && m.BloomFilterLength == 0 {
		return at
	}
	if m.BloomFilterOffset != at || m.BloomFilterLength < 32 {
		t.Errorf("%v: the bloom filter is at %d, not %d, and has %d bytes", m.PathInSchema, m.BloomFilterOffset, at, m.BloomFilterLength)
	}
	var header format.BloomFilterHeader
	err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(bytes.NewReader(file[at:]))).Decode(&header)
	if err != nil || bits.OnesCount32(uint32(header.NumBytes)) != 1 {
		t.Errorf("%v: the bloom filter has %d bytes, which is no power of two: %v", m.PathInSchema, header.NumBytes, err)
	}
	return at + int64(m.BloomFilterLength)
}
