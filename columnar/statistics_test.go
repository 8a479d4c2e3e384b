package columnar_test

import (
	"bytes"
	"cmp"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/columnar"
)

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

// checkStatistics compares a chunk's statistics with its values.
func checkStatistics(t failer, c *parquet.Column, values []parquet.Value, m *format.ColumnMetaData, identifying bool) {
	t.Helper()
	minValue, maxValue, nulls := extremes(values)
	s := m.Statistics
	if s.NullCount != nulls || m.NumValues != int64(len(values)) {
		t.Errorf("%v has %d values and %d nulls; the statistics say %d and %d", c.Path(), len(values), nulls, m.NumValues, s.NullCount)
	}
	if s.Min != nil || s.Max != nil {
		t.Errorf("%v has bounds of the old sort, which are not defined for it", c.Path())
	}
	if (s.MinValue == nil) != (s.MaxValue == nil) {
		t.Errorf("%v has the bounds %q and %q", c.Path(), s.MinValue, s.MaxValue)
	}
	numeric := c.Type().Kind() != parquet.ByteArray && c.Type().Kind() != parquet.Boolean
	switch {
	case s.MinValue != nil && (!bytes.Equal(s.MinValue, minValue.Bytes()) || !bytes.Equal(s.MaxValue, maxValue.Bytes())):
		t.Errorf("%v has bounds %x and %x, and its values are from %x to %x", c.Path(), s.MinValue, s.MaxValue, minValue.Bytes(), maxValue.Bytes())
	case s.MinValue == nil && (numeric && !identifying || c.Required()) && !minValue.IsNull():
		t.Errorf("%v has no bounds", c.Path())
	}
}

// extremes returns the min and max of values, and how many of them are null.
func extremes(values []parquet.Value) (minValue, maxValue parquet.Value, nulls int64) {
	for _, v := range values {
		if v.IsNull() {
			nulls++
			continue
		}
		if minValue.IsNull() || order(v, minValue) < 0 {
			minValue = v
		}
		if maxValue.IsNull() || order(v, maxValue) > 0 {
			maxValue = v
		}
	}
	return minValue, maxValue, nulls
}

// order compares two values as Parquet's TypeDefinedOrder does for the layout's types.
func order(a, b parquet.Value) int {
	switch a.Kind() {
	case parquet.FixedLenByteArray:
		return signed(a.ByteArray()).Cmp(signed(b.ByteArray()))
	case parquet.ByteArray:
		return bytes.Compare(a.ByteArray(), b.ByteArray())
	case parquet.Boolean:
		return 0
	case parquet.Int32:
		return cmp.Compare(a.Int32(), b.Int32())
	}
	return cmp.Compare(a.Int64(), b.Int64())
}

// signed returns a big-endian number in two's complement.
func signed(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// identifyingColumns returns which columns of a layout, by index, identify people.
func identifyingColumns(l *columnar.Layout) map[int]bool {
	found, n := map[int]bool{}, 0
	var walk func(fields []*columnar.Field, within bool)
	walk = func(fields []*columnar.Field, within bool) {
		for _, f := range fields {
			is := within || slices.Contains([]string{"HumanName", "Address", "ContactPoint", "Identifier",
				"Location.position"}, f.FHIR) || l.ResourceType == "Bundle" && bundleURLs[f.Name] || lifeDates.MatchString(f.Name)
			if f.Type == columnar.Struct {
				walk(f.Fields, is)
				continue
			}
			found[n] = is
			n++
		}
	}
	walk(l.Fields, false)
	return found
}

// lifeDates matches the fields that tell when people were born and died, and how old they were.
var lifeDates = regexp.MustCompile(`^(__)?(birthDate|born|deceased|age(Age|Range)$)`)

// bundleURLs has the fields of a Bundle's links and entries that are URLs.
var bundleURLs = map[string]bool{"url": true, "fullUrl": true, "location": true}
