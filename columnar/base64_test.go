package columnar_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

// Notes in base64 are compressed more closely than all else, unless a level is asked for.
func TestNotesInBase64AreSmall(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 500)
	for i := range words {
		words[i] = base64.RawStdEncoding.EncodeToString(fmt.Append(nil, r.Uint32()))[:4+r.IntN(8)]
	}
	var once, twice []string // the others are in dictionaries
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
