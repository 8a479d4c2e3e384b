package bulk_test

import (
	"strings"
	"testing"

	"fhirkiln/bulk"
)

// The reference implementation, xxHash 0.8.1, gives the same hashes.
func TestXXH128(t *testing.T) {
	t.Parallel()
	const line = `{"resourceType":"Patient","id":"1"}` + "\n"
	for text, want := range map[string]string{
		"":                         "99aa06d3014798d86001c324468d497f",
		"abc":                      "06b05ab6733a618578af5f94892f3950",
		line:                       "53008754b7f838de7b1201c53025c64c",
		strings.Repeat(line, 10):   "b6ad2f1a50872de07be6d90cc2e94361",
		strings.Repeat(line, 1000): "c6793701c1617ce1ceacfe0a5d241176",
	} {
		for _, size := range []int{1, 7, 1000, 32 << 10} { // of each write
			var sum bulk.XXH128
			for rest := text; rest != ""; {
				n, err := sum.Write([]byte(rest[:min(size, len(rest))]))
				if err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
				_ = sum.String() // changes nothing
			}
			if got := sum.String(); got != want {
				t.Errorf("%d bytes in pieces of %d: got %s, want %s", len(text), size, got, want)
			}
		}
	}
}
