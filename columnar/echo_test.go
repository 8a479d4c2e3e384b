package columnar_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest/population"
	"fhirkiln/columnar"
)

// apart adds random white space to each of a line's objects, so that none repeats byte for byte,
// but none means anything else.
func apart(r *rand.Rand, line string) string {
	var b strings.Builder
	within := false
	for i := range len(line) {
		b.WriteByte(line[i])
		switch c := line[i]; {
		case within && c == '\\':
			return line // few lines have escapes
		case c == '"':
			within = !within
		case c == '{' && !within:
			b.WriteString(strings.Repeat(" ", r.IntN(3)) + strings.Repeat("\t", r.IntN(50)) + strings.Repeat(" ", r.IntN(50)))
		}
	}
	return b.String()
}

// checkAlike fails if lines whose objects repeat byte for byte make a different file than the same
// lines without such repeats.
func checkAlike(t *testing.T, what string, o columnar.Options, lines []string) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 3))
	var others, alike []string
	for _, line := range lines {
		other := apart(r, line)
		others = append(others, other)
		alike = append(alike, "{"+strings.Repeat(" ", len(other)-len(line))+line[1:]) // row groups end by bytes
	}
	want, _ := convert(t, o, strings.NewReader(ndjson(others...)))
	got, _ := convert(t, o, strings.NewReader(ndjson(alike...)))
	if len(want) != 1 || len(got) != 1 {
		t.Fatalf("%s: %d parts and %d", what, len(want), len(got))
	}
	check(t, got[0])
	if !bytes.Equal(want[0].parquet, got[0].parquet) {
		t.Errorf("%s: the part is another one", what)
	}
}

// Replaying a repeated object does to the columns what reading it would do.
func TestObjectsThatComeAgain(t *testing.T) {
	t.Parallel()
	world, types := population.New(population.Options{Seed: 2, Patients: 20}), 0
	for _, f := range world.Files() {
		lines := strings.Split(strings.TrimSpace(string(columnar.NDJSONOf(t, world, f.Type, 0, 20))), "\n")
		lines = slices.DeleteFunc(lines, func(l string) bool { // their white space is kept
			return strings.Contains(l, `xtension":`) || strings.Contains(l, `"contained":`)
		})
		if len(lines) < 10 {
			continue
		}
		types++
		checkAlike(t, f.Type, columnar.Options{RowGroupBytes: 50_000, PageBytes: 500, BloomFilter: true}, lines[:min(len(lines), 400)])
	}
	if types < 10 {
		t.Errorf("there are %d types alone", types)
	}
}

// Repeated objects are not read.
func TestEchoesHit(t *testing.T) {
	t.Parallel()
	w := columnar.NewWriter(columnar.Options{Create: memory{}.create})
	line := `{"resourceType":"Observation","code":{"coding":[{"system":"http://loinc.org","code":"8302-2"}]},"subject":{"reference":"Patient/%d"}}`
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf(line, i/10))
	}
	if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson(lines...)), 0), nil); err != nil {
		t.Fatal(err)
	}
	if hits := w.EchoHits(); hits != 99+90 {
		t.Errorf("%d of 200 objects were not read", hits)
	}
}

// An object may be too large to be noted. The objects in it may still repeat.
func TestLargeObjectsAndSmallOnes(t *testing.T) {
	t.Parallel()
	concepts := strings.Repeat(`{"code":"a","display":"A"},`, 5000) + strings.Repeat(`{"code":"b","display":"B"},`, 3) + `{"code":"c"}`
	line := `{"resourceType":"ValueSet","compose":{"include":[{"concept":[` + concepts + `]}]}}`
	small := `{"resourceType":"ValueSet","compose":{"include":[{"concept":[{"code":"b","display":"B"},{"code":"c"}]}]}}`
	lines := []string{line, small, small, line, small}
	roundTrip(t, columnar.Options{}, lines...)
	checkAlike(t, "ValueSet", columnar.Options{}, lines)
}

// A repeated object is read once one of its columns has given up its dictionary. The column does
// that at the same point as if every object were read.
func TestObjectsAfterTheirDictionary(t *testing.T) {
	t.Parallel()
	var lines []string
	add := func(given string) {
		lines = append(lines, `{"resourceType":"Patient","active":true,"name":[{"given":[`+given+`]}]}`)
	}
	for range 1500 {
		add(`"common"`)
	}
	for i := range 10 {
		var names []string
		for n := range 500 {
			names = append(names, fmt.Sprintf(`"given-%d-%d"`, i, n))
		}
		add(strings.Join(names, ","))
	}
	for range 100 {
		add(`"common"`)
	}
	checkAlike(t, "Patient", columnar.Options{PageBytes: 2000}, lines)
}

// checkEchoes fails if resources that share most of their objects do not come back, whatever the
// objects contain, and whatever comes between the resources.
func checkEchoes(t failer, seed uint64) {
	t.Helper()
	g := newGenerator(seed, []float64{0.05, 0.1, 0.2}[seed%3])
	types := everyType()
	name := types[g.r.IntN(len(types))]
	var lines, bad []string
	for range 3 {
		base := g.nasty(name, g.r.IntN(4))
		for range 8 {
			v, err := parse(base)
			if err != nil {
				t.Fatalf("%s: %v", base, err)
			}
			for range g.r.IntN(3) {
				g.mutate(v)
			}
			if line := v.String(); strings.HasPrefix(line, fmt.Sprintf(`{"resourceType":%q`, name)) && strings.Count(line, `"resourceType"`) == strings.Count(base, `"resourceType"`) {
				lines = append(lines, line)
				bad = append(bad, spoil(g.r, line))
			}
		}
	}
	for _, p := range roundTrip(t, columnar.Options{RowGroupBytes: 1 << 40, PageBytes: 500}, lines...) {
		check(t, p)
	}
	// The same lines again, among lines that are undone when half of each is read.
	var mixed []string
	for i, line := range lines {
		mixed = append(mixed, line, bad[i])
	}
	checkRefused(t, seed, mixed)
}

// TestEchoes tries a few seeds; FuzzEchoes tries as many as there is time for.
func TestEchoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(80) {
		if checkEchoes(t, seed); t.Failed() {
			t.Fatalf("it is seed %d", seed)
		}
	}
}

func FuzzEchoes(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkEchoes(t, seed) })
}
