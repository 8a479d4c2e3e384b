package population_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/bulk/bulktest/population"
)

func read(t testing.TB, f bulktest.File) []byte {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	return drain(t, r)
}

func open(t testing.TB, w *population.World, typ string, from, to int) []byte {
	t.Helper()
	r, err := w.Open(typ, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return drain(t, r)
}

func drain(t testing.TB, r io.ReadCloser) []byte {
	t.Helper()
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lines splits NDJSON. Its last line must end with a newline, too.
func lines(t testing.TB, b []byte) [][]byte {
	t.Helper()
	if len(b) == 0 {
		return nil
	}
	if b[len(b)-1] != '\n' {
		t.Fatalf("the last line is not ended: %q", b[max(0, len(b)-80):])
	}
	return bytes.Split(b[:len(b)-1], []byte{'\n'})
}

func fingerprint(t testing.TB, w *population.World) string {
	t.Helper()
	sum := sha256.New()
	for _, f := range w.Files() {
		sum.Write([]byte(f.Type))
		sum.Write(read(t, f))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// A change of the generator changes every benchmark and demo. This test makes sure that nobody
// misses one. If the change is intended, put in the new hash.
func TestGolden(t *testing.T) {
	t.Parallel()
	const want = "380afb2bea50aade019caf0d0d5c3eb7ab1002a98d8261ebecfd1296de665c23"
	if got := fingerprint(t, population.New(population.Options{Seed: 1, Patients: 25})); got != want {
		t.Errorf("the world of seed 1 has changed: its hash is %s", got)
	}
}

func TestSeedDecides(t *testing.T) {
	t.Parallel()
	a := fingerprint(t, population.New(population.Options{Seed: 7, Patients: 12, PatientsPerFile: 5}))
	b := fingerprint(t, population.New(population.Options{Seed: 7, Patients: 12, PatientsPerFile: 5}))
	other := fingerprint(t, population.New(population.Options{Seed: 8, Patients: 12, PatientsPerFile: 5}))
	if a != b {
		t.Error("two worlds of the same options differ")
	}
	if a == other {
		t.Error("two worlds of different seeds are the same")
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	zero := population.New(population.Options{})
	if a, b := fingerprint(t, zero), fingerprint(t, population.New(population.Options{Patients: 100, PatientsPerFile: 2000, End: population.DefaultEnd})); a != b {
		t.Error("the zero options do not mean what is documented")
	}
	if first, again := zero.Files(), zero.Files(); &first[0] != &again[0] {
		t.Error("a second call to Files counts again")
	}
}

// The resources do not depend on how they are split into files.
func TestPatientsPerFile(t *testing.T) {
	t.Parallel()
	all := func(perFile int) map[string][]string {
		byType := map[string][]string{}
		for _, f := range population.New(population.Options{Seed: 3, Patients: 23, PatientsPerFile: perFile}).Files() {
			for _, line := range lines(t, read(t, f)) {
				byType[f.Type] = append(byType[f.Type], string(line))
			}
		}
		for _, list := range byType {
			slices.Sort(list)
		}
		return byType
	}
	want := all(23)
	for _, perFile := range []int{1, 4, 100} {
		if diff := cmp.Diff(want, all(perFile)); diff != "" {
			t.Errorf("with %d patients per file:\n%.2000s", perFile, diff)
		}
	}
}

// A larger world has more people; those of the smaller one stay the same.
func TestLargerWorldHasTheSamePatients(t *testing.T) {
	t.Parallel()
	small := population.New(population.Options{Seed: 4, Patients: 10})
	large := population.New(population.Options{Seed: 4, Patients: 5000})
	for _, typ := range []string{"Patient", "ExplanationOfBenefit", "Observation", "Practitioner", "Organization"} {
		if !bytes.Equal(open(t, small, typ, 0, 10), open(t, large, typ, 0, 10)) {
			t.Errorf("%s differs", typ)
		}
	}
}

// A file can be generated without those before it, which would be a quarter of a terabyte.
func TestAnyFileAlone(t *testing.T) {
	t.Parallel()
	const patients = 2_000_000
	w := population.New(population.Options{Seed: 5, Patients: patients})
	r, err := w.Open("ExplanationOfBenefit", patients-2000, patients)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	start := make([]byte, 400)
	if _, err := io.ReadFull(r, start); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(start, []byte(`{"resourceType":"ExplanationOfBenefit","id":"eob.2`)) {
		t.Errorf("the file begins with %s", start)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	w := population.New(population.Options{Patients: 10})
	for _, tt := range []struct {
		typ      string
		from, to int
		want     string
	}{
		{"Patient", -1, 3, "opening Patient of patients -1 to 3: the world has 10"},
		{"Patient", 3, 11, "opening Patient of patients 3 to 11: the world has 10"},
		{"Patient", 4, 3, "opening Patient of patients 4 to 3: the world has 10"},
		{"Basic", 0, 1, "opening Basic: the world has no such resource type"},
	} {
		if _, err := w.Open(tt.typ, tt.from, tt.to); err == nil || err.Error() != tt.want {
			t.Errorf("Open(%s, %d, %d): %v, want %s", tt.typ, tt.from, tt.to, err, tt.want)
		}
	}
	if got := open(t, w, "Patient", 4, 4); len(got) != 0 {
		t.Errorf("no patients have %d bytes", len(got))
	}
}

// A file has the same bytes however it is read, and by however many readers.
func TestReaders(t *testing.T) {
	t.Parallel()
	w := population.New(population.Options{Seed: 6, Patients: 30})
	for _, f := range w.Files() {
		want := read(t, f)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				r, err := f.Open()
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Close()
				var got bytes.Buffer
				if n, err := r.(io.WriterTo).WriteTo(&got); err != nil || int(n) != got.Len() {
					t.Errorf("%s: WriteTo gave %d, %v and wrote %d", f.Type, n, err, got.Len())
				}
				if !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%s: WriteTo and Read differ", f.Type)
				}
			})
		}
		wg.Wait()
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(iotest.HalfReader(r))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: a short read differs: %v", f.Type, err)
		}
		if n, err := r.Read(make([]byte, 8)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: Read after the end gave %d, %v", f.Type, n, err)
		}
	}
}

func TestReadAfterClose(t *testing.T) {
	t.Parallel()
	r, err := population.New(population.Options{}).Open("Claim", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 8)); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read after Close gave %d, %v", n, err)
	}
}

// No group has more than 10,000 members, and every patient is in one.
func TestGroups(t *testing.T) {
	t.Parallel()
	w := population.New(population.Options{Patients: 10_003})
	got := lines(t, open(t, w, "Group", 0, 10_003))
	want := []int{10_000, 3}
	if len(got) != len(want) {
		t.Fatalf("there are %d groups, want %d", len(got), len(want))
	}
	for i, line := range got {
		if n := bytes.Count(line, []byte(`"entity":{"reference":"Patient/`)); n != want[i] {
			t.Errorf("group %d has %d members, want %d", i, n, want[i])
		}
	}
	if !bytes.Contains(got[0], []byte(`"inactive":true`)) {
		t.Error("nobody has left")
	}
}

// Everything was last updated before the end, and a _since of a month ago selects a small part
// of it.
func TestLastUpdated(t *testing.T) {
	t.Parallel()
	end := time.Date(2030, time.March, 5, 12, 0, 0, 0, time.UTC)
	w := population.New(population.Options{Seed: 2, Patients: 150, End: end})
	limit, since := end.Format("2006-01-02T15:04:05"), end.AddDate(0, -1, 0).Format("2006-01-02T15:04:05")
	all, later := 0, 0
	for _, f := range w.Files() {
		for _, line := range lines(t, read(t, f)) {
			_, rest, ok := strings.Cut(string(line), `"lastUpdated":"`)
			if !ok {
				continue
			}
			all++
			if rest[:19] > since {
				later++
			}
			if rest[:19] >= limit {
				t.Fatalf("last updated after the end: %.200s", line)
			}
		}
	}
	if share := float64(later) / float64(all); share < 0.01 || share > 0.2 {
		t.Errorf("%d of %d resources were updated in the last month", later, all)
	}
}
