package columnar_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/columnar"
)

// Files of every codec and level are read back.
func TestCodecs(t *testing.T) {
	t.Parallel()
	lines := append(indexLines(300), newGenerator(1, 0.5).nasty("Observation", 20))
	sizes := map[string]int64{}
	for _, tt := range []struct {
		codec columnar.Codec
		level int
		want  format.CompressionCodec
	}{
		{"", 0, format.Zstd}, {columnar.Zstd, 1, format.Zstd}, {columnar.Zstd, 3, format.Zstd}, {columnar.Zstd, 22, format.Zstd}, {columnar.Snappy, 0, format.Snappy},
		{columnar.Gzip, 0, format.Gzip}, {columnar.Gzip, 1, format.Gzip}, {columnar.Gzip, 9, format.Gzip}, {columnar.None, 0, format.Uncompressed},
	} {
		part := roundTrip(t, columnar.Options{Codec: tt.codec, Level: tt.level, RowGroupBytes: 50_000}, lines...)[0]
		check(t, part)
		for _, g := range open(t, part).Metadata().RowGroups {
			for _, c := range g.Columns {
				if c.MetaData.Codec != tt.want {
					t.Fatalf("%s: a chunk has the codec %v", tt.codec, c.MetaData.Codec)
				}
			}
		}
		sizes[fmt.Sprint(tt.codec, tt.level)] = part.Bytes
	}
	if sizes["none0"] <= sizes["snappy0"] || sizes["gzip1"] <= sizes["gzip9"] || sizes["zstd1"] <= sizes["zstd22"] || sizes["zstd1"] != sizes["0"] {
		t.Errorf("the sizes are %v", sizes)
	}
	for _, tt := range []struct {
		codec columnar.Codec
		level int
		want  string
	}{
		{"lzo", 0, `unknown codec "lzo"; want zstd, snappy, gzip or none`}, {columnar.Zstd, 23, "zstd has levels 1 to 22, not 23"},
		{columnar.Zstd, -1, "zstd has levels 1 to 22, not -1"}, {columnar.Gzip, 10, "gzip has levels 1 to 9, not 10"},
		{columnar.Snappy, 1, "snappy has no levels"}, {columnar.None, 1, "none has no levels"},
	} {
		w := columnar.NewWriter(columnar.Options{Codec: tt.codec, Level: tt.level, Create: memory{}.create})
		_, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(lines[0]), 0), nil)
		if again := tt.codec.Check(tt.level); err == nil || err.Error() != tt.want || again == nil || again.Error() != tt.want {
			t.Errorf("%s of level %d: %v, and %v", tt.codec, tt.level, err, again)
		}
	}
}

// Unless a level is asked for, notes in base64 are compressed at a higher level than everything
// else.
func TestNotesInBase64AreSmall(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 500)
	for i := range words {
		words[i] = base64.RawStdEncoding.EncodeToString(fmt.Append(nil, r.Uint32()))[:4+r.IntN(8)]
	}
	var once, twice []string // those that occur twice are in dictionaries
	for i := range 300 {
		var note strings.Builder
		for range 400 {
			note.WriteString(words[r.IntN(len(words))] + " ")
		}
		line := fmt.Sprintf(`{"resourceType":"Binary","id":"%d","contentType":"text/plain","data":"%s"}`, i, base64.StdEncoding.EncodeToString([]byte(note.String())))
		if once = append(once, line); i < 150 {
			twice = append(twice, line, line)
		}
	}
	for _, lines := range [][]string{once, twice} {
		size := func(level int) int {
			part := roundTrip(t, columnar.Options{Level: level}, lines...)[0]
			check(t, part)
			return len(part.parquet)
		}
		if given, fast := size(0), size(1); given > fast*95/100 {
			t.Errorf("%d bytes of Parquet, and %d at level 1", given, fast)
		}
	}
}
