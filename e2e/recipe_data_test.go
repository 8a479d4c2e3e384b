//go:build cgo

package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest/population"
)

// recipeData is the newest version of each resource in a lake as NDJSON, by type, then by source
// and id.
type recipeData map[string]map[sourceID]string

type sourceID struct{ source, id string }

// recipeLake creates the folder lake with three runs in dir, and returns its data. The ids of its
// two sources collide. Some resources are in more than one run.
func recipeLake(t *testing.T, dir string) recipeData {
	t.Helper()
	data := recipeData{}
	data.add(t, dir, "demo", "r20260701t010000z-0000aa", populationNDJSON(t, 0, 200))
	data.add(t, dir, "demo", "r20260702t010000z-0000aa", populationNDJSON(t, 0, 20))
	for i, name := range []string{"recipe_first.ndjson", "recipe_second.ndjson"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data.add(t, dir, "other", []string{"r20260701t020000z-0000bb", "r20260702t020000z-0000aa"}[i], string(text))
	}
	return data
}

// populationNDJSON returns all resources of the page's members numbered from <= n < to.
func populationNDJSON(t *testing.T, from, to int) string {
	t.Helper()
	world := population.New(population.Options{Seed: 1, Patients: 200})
	var all bytes.Buffer
	for _, f := range world.Files() {
		r, err := world.Open(f.Type, from, to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&all, r); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	return all.String()
}

// add converts NDJSON into the lake, as a run later than all before it.
func (d recipeData) add(t *testing.T, dir, source, runName, ndjson string) {
	t.Helper()
	work := t.TempDir()
	writeFile(t, filepath.Join(work, "in.ndjson"), ndjson)
	run(t, work, "convert", "in.ndjson", "--out", "out", "--source", source)
	// Move its parts to a run with the wanted name: generated names have a resolution of a second.
	err := filepath.WalkDir(filepath.Join(work, "out", "r4-core-1"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(filepath.Join(work, "out"), name)
		if err != nil {
			return err
		}
		parts := strings.Split(filepath.ToSlash(rel), "/")
		parts[len(parts)-2] = "kiln_run=" + runName
		to := filepath.Join(append([]string{dir, "lake"}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.Rename(name, to)
	})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(ndjson) {
		var head struct{ ResourceType, ID string }
		if err := json.Unmarshal([]byte(line), &head); err != nil {
			t.Fatal(err)
		}
		if d[head.ResourceType] == nil {
			d[head.ResourceType] = map[sourceID]string{}
		}
		d[head.ResourceType][sourceID{source, head.ID}] = line
	}
}

// each decodes all resources of a type.
func each[T any](d recipeData, resourceType string, do func(key sourceID, resource T)) {
	for _, key := range slices.SortedFunc(maps.Keys(d[resourceType]), func(a, b sourceID) int {
		return strings.Compare(a.source+"/"+a.id, b.source+"/"+b.id)
	}) {
		var resource T
		if err := json.Unmarshal([]byte(d[resourceType][key]), &resource); err != nil {
			panic(err) // the data is from these tests or the population
		}
		do(key, resource)
	}
}

// The parts of resources that the recipes use.
type (
	coding struct{ System, Code, Display string }

	concept struct {
		Coding []coding
		Text   string
	}

	reference struct {
		Reference, Display string
		Identifier         struct{ Value string }
	}

	period struct{ Start, End string }

	quantity struct {
		Value                json.Number
		Unit, Code, Currency string
	}

	extension struct {
		URL                  string
		Extension            []extension
		ValueCode            string
		ValueCoding          coding
		ValueCodeableConcept concept
	}
)

// span returns the time that a date, dateTime or instant names, from its first moment to the one
// after its last. It is zero if text names none.
func span(text string) (start, end time.Time) {
	var err error
	switch len(text) {
	case 4:
		start, err = time.Parse("2006", text)
		end = start.AddDate(1, 0, 0)
	case 7:
		start, err = time.Parse("2006-01", text)
		end = start.AddDate(0, 1, 0)
	case 10:
		start, err = time.Parse("2006-01-02", text)
		end = start.AddDate(0, 0, 1)
	default:
		if start, err = time.Parse("2006-01-02T15:04Z07:00", text); err == nil {
			end = start.Add(time.Minute)
			break
		}
		start, err = time.Parse(time.RFC3339Nano, text)
		end = start.Add(time.Second)
	}
	if err != nil {
		return time.Time{}, time.Time{}
	}
	return start.UTC(), end.UTC()
}

// always and forever are before and after every possible period.
var always, forever = time.Time{}.Add(1), time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)

// times returns the first moment of a period and the one after its last. It is not ok if one of
// the period's dates is invalid.
func (p period) times() (since, until time.Time, ok bool) {
	since, until = always, forever
	if p.Start != "" {
		since, _ = span(p.Start)
	}
	if p.End != "" && !strings.HasPrefix(p.End, "9999") {
		_, until = span(p.End)
	}
	return since, until, !since.IsZero() && !until.IsZero()
}

// one returns the code of the first coding from a code system, else from any, else the text.
func (c concept) one(system string) string {
	code := ""
	for _, coding := range c.Coding {
		if coding.System == system && coding.Code != "" {
			return coding.Code
		}
		code = cmp.Or(code, coding.Code)
	}
	return cmp.Or(code, c.Text)
}

// firstStart returns the start of the first valid date, or zero if there is none.
func firstStart(dates ...string) time.Time {
	for _, d := range dates {
		if start, _ := span(d); !start.IsZero() {
			return start
		}
	}
	return time.Time{}
}

// target returns the type and the id that a Reference names.
func target(ref string) (typ, id string) {
	if uuid, ok := strings.CutPrefix(ref, "urn:uuid:"); ok {
		return "", uuid
	}
	ref, _, _ = strings.Cut(ref, "/_history/")
	steps := strings.Split(ref, "/")
	if len(steps) < 2 {
		return "", ""
	}
	return steps[len(steps)-2], steps[len(steps)-1]
}

// orNull returns a text as in DuckDB's results here.
func orNull(s string) string {
	if s == "" {
		return "NULL"
	}
	return s
}

// timestamp formats a time like DuckDB.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return "NULL"
	}
	return t.Format("2006-01-02 15:04:05.999999-07")
}

// day formats a time's day like DuckDB.
func day(t time.Time) string {
	if t.IsZero() {
		return "NULL"
	}
	return t.Format(time.DateOnly)
}
