package columnar_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fhirkiln/columnar"
)

// spoil breaks a line somewhere, so that part of it may be read before that shows.
func spoil(r *rand.Rand, line string) string {
	at := r.IntN(len(line))
	switch r.IntN(5) {
	case 0:
		return line[:at]
	case 1:
		return line[:at] + line[min(len(line), at+1+r.IntN(5)):]
	case 2:
		from := r.IntN(len(line))
		return line[:at] + line[from:min(len(line), from+1+r.IntN(40))] + line[at:]
	case 3:
		const bytes = "\"\\{}[]:,\x01\xff 0-.e"
		i := r.IntN(len(bytes))
		return line[:at] + bytes[i:i+1] + line[at+1:]
	}
	if comma := strings.IndexByte(line[at:], ','); comma >= 0 {
		return line[:at+comma] + "," + line[at+comma:]
	}
	return line + "}"
}

// rowsOf returns the files that a Writer makes of lines, without their origin, and the lines that
// it refused.
func rowsOf(t failer, lines []string) (files memory, refused []string) {
	t.Helper()
	files = memory{}
	w := columnar.NewWriter(columnar.Options{Create: files.create, RowGroupBytes: 20_000, PageBytes: 500, BloomFilter: true,
		Quarantine: func(_ context.Context, q columnar.Quarantined) error {
			if strings.Contains(q.Reason, "bug") {
				t.Errorf("%s: %s", q.Bytes, q.Reason)
			}
			refused = append(refused, string(q.Bytes))
			return nil
		}})
	if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson(lines...)), 0), nil); err != nil {
		t.Fatalf("appending: %v", err)
	}
	files.finish(t, w)
	return files, refused
}

// checkSpoiled fails if lines that are not JSON leave anything in the parts of the lines around
// them.
func checkSpoiled(t failer, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	g := newGenerator(seed, 0.1)
	types := everyType()
	var lines []string
	for name := types[r.IntN(len(types))]; len(lines) < 30; {
		line := g.nasty(name, r.IntN(3))
		if lines = append(lines, line); r.IntN(2) == 0 {
			for range 1 + r.IntN(3) {
				lines = append(lines, spoil(r, line))
			}
		}
	}
	checkRefused(t, seed, lines)
}

// checkRefused fails if refused lines leave anything in the parts of the others. It leaves out
// lines that quarantine would not get unchanged.
func checkRefused(t failer, seed uint64, lines []string) {
	t.Helper()
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return strings.TrimSpace(line) == "" || strings.HasPrefix(line, "\uFEFF") || strings.TrimSpace(line) != line
	})
	all, refused := rowsOf(t, lines)
	good := slices.Clone(lines)
	for _, bad := range refused {
		at := slices.Index(good, bad)
		if at < 0 {
			t.Fatalf("quarantine has %q, which is none of the lines", bad)
		}
		good = slices.Delete(good, at, at+1)
	}
	alone, refused := rowsOf(t, good)
	if len(refused) > 0 {
		t.Fatalf("a line is good among others, and alone it is not: %q", refused[0])
	}
	for name, file := range alone {
		if all[name] == nil || !bytes.Equal(file.Bytes(), all[name].Bytes()) {
			t.Errorf("seed %d: bad lines change the part of %s", seed, name)
		}
	}
	if len(all) != len(alone) {
		t.Errorf("seed %d: bad lines make %d parts of %d", seed, len(all), len(alone))
	}
}

// TestSpoiledLines tries a few seeds; FuzzSpoiledLines tries as many as there is time for.
func TestSpoiledLines(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		checkSpoiled(t, seed)
	}
}

// A line that is not JSON leaves nothing in a part, even if a column gives up its dictionary within
// the line while finished pages keep it. Later pages are cut as before.
func TestSpoiledLineLeavesTheDictionary(t *testing.T) {
	t.Parallel()
	const trial, pageBytes = 4096, 1000
	var lines []string
	add := func(given string) {
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","name":[{"given":[%s]}]}`, given))
	}
	for i := range trial { // half of them are new: a few more new ones, and the column gives up its dictionary
		add(fmt.Sprintf(`"given-%d"`, i%(trial/2)))
	}
	good := len(lines)
	var secrets []string
	for i := range 40 {
		secrets = append(secrets, fmt.Sprintf(`"secret-%d-%s"`, i, strings.Repeat("x", 100)))
	}
	add(strings.Join(secrets, ","))
	lines[good] = strings.TrimSuffix(lines[good], "}")
	for i := range trial {
		add(fmt.Sprintf(`"after-%d"`, i))
	}
	files, refused := memory{}, 0
	w := columnar.NewWriter(columnar.Options{Create: files.create, PageBytes: pageBytes, Codec: columnar.None, IdentifyingBounds: true,
		Quarantine: func(context.Context, columnar.Quarantined) error { refused++; return nil }})
	if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(ndjson(lines...)), 0), nil); err != nil {
		t.Fatal(err)
	}
	for _, part := range files.finish(t, w) {
		check(t, part)
		if bytes.Contains(part.parquet, []byte("secret")) {
			t.Error("a part has what is in a line that was refused")
		}
		for _, index := range open(t, part).OffsetIndexes() {
			for _, p := range index.PageLocations {
				if p.CompressedPageSize > 5*pageBytes {
					t.Errorf("a page that begins with row %d has %d bytes", p.FirstRowIndex, p.CompressedPageSize)
				}
			}
		}
	}
	if refused != 1 {
		t.Errorf("%d lines were refused", refused)
	}
}

// The dictionary keeps the values of finished pages, even if a line is refused after which the
// open page has fewer of them; and what undo found out for one refused line holds for the next.
func TestSpoiledLinesLeaveTheDictionaryToPages(t *testing.T) {
	t.Parallel()
	const pageIndices = 31 // of rowsOf
	var lines []string
	add := func(prefix string, values, times int) {
		for i := range values * times {
			lines = append(lines, fmt.Sprintf(`{"resourceType":"Observation","status":"%s-%d"}`, prefix, i%values))
		}
	}
	spoiled := func() {
		lines = append(lines, `{"resourceType":"Observation","status":"spoiled","code":[`)
	}
	add("early", 10, 4)
	add("early", 1, 2*pageIndices-len(lines)+2) // the third page begins, with one of ten
	spoiled()
	spoiled()
	add("late", 5, 1)
	spoiled()
	add("late", 10, 8)
	checkRefused(t, 0, lines)
}

func FuzzSpoiledLines(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkSpoiled(t, seed) })
}
