//go:build cgo

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

// layoutExample is a line of NDJSON in docs/layout.md, with the values of its row according to
// the page.
type layoutExample struct {
	fence
	resourceType string
	ndjson       string
	want         [][2]string // expression, value
}

// layoutExamples returns the page's examples: each block of JSON followed by a block of text.
func layoutExamples(t *testing.T) []layoutExample {
	t.Helper()
	var all []layoutExample
	blocks := fences(t, "layout.md")
	for i, b := range blocks[:len(blocks)-1] {
		if b.info != "json" || blocks[i+1].info != "text" || b.heading == "Quarantine" {
			continue
		}
		e := layoutExample{fence: b}
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(b.body)); err != nil {
			t.Fatalf("layout.md:%d: %v", b.line, err)
		}
		e.ndjson = compact.String()
		var head struct{ ResourceType string }
		if err := json.Unmarshal(compact.Bytes(), &head); err != nil {
			t.Fatalf("layout.md:%d: %v", b.line, err)
		}
		e.resourceType = head.ResourceType
		for line := range strings.Lines(blocks[i+1].body) {
			left, right, ok := strings.Cut(line, "=")
			if !ok {
				t.Fatalf("layout.md:%d: no value in %q", blocks[i+1].line, line)
			}
			e.want = append(e.want, [2]string{strings.TrimSpace(left), strings.TrimSpace(right)})
		}
		all = append(all, e)
	}
	return all
}

// TestLayoutPage converts all examples of docs/layout.md in one file, and compares what the page
// says with what DuckDB reads. Then it restores them.
func TestLayoutPage(t *testing.T) {
	t.Parallel()
	examples := layoutExamples(t)
	if len(examples) < 30 {
		t.Fatalf("only %d examples were found", len(examples))
	}
	dir := t.TempDir()
	var ndjson strings.Builder
	for _, e := range examples {
		ndjson.WriteString(e.ndjson + "\n")
	}
	writeFile(t, filepath.Join(dir, "examples.ndjson"), ndjson.String())
	report := runReport(t, dir, "convert", "examples.ndjson", "--out", "lake")
	if report.Resources != int64(len(examples)) || report.Quarantined != 0 {
		t.Errorf("%d rows and %d lines in quarantine, want %d and 0", report.Resources, report.Quarantined, len(examples))
	}
	db := session(t)
	for i, e := range examples {
		var expressions []string
		for _, w := range e.want {
			expressions = append(expressions, w[0])
		}
		var unnamed []string // columns that the page does not mention
		for _, f := range columnar.LayoutOf(e.resourceType).Fields {
			if !slices.Contains([]string{"resourceType", "id", "__origin"}, f.Name) && !e.names(f.Name) {
				unnamed = append(unnamed, f.Name)
				expressions = append(expressions, quote(f.Name))
			}
		}
		for n := range expressions {
			expressions[n] += fmt.Sprintf(" AS e%d", n)
		}
		_, rows := table(t, db, fmt.Sprintf("SELECT %s FROM %s WHERE __origin.line = %d",
			strings.Join(expressions, ", "), partsOf(filepath.Join(dir, "lake"), e.resourceType), i+1))
		if len(rows) != 1 {
			t.Errorf("layout.md:%d: %d rows", e.line, len(rows))
			continue
		}
		for n, w := range e.want {
			if got := rows[0][n]; got != w[1] {
				t.Errorf("layout.md:%d: %s = %s, the page says %s", e.line, w[0], got, w[1])
			}
		}
		for n, name := range unnamed {
			if got := rows[0][len(e.want)+n]; got != "NULL" {
				t.Errorf("layout.md:%d: the page does not say that %s = %s", e.line, name, got)
			}
		}
	}

	var want, got []string
	for _, e := range examples {
		want = append(want, oneForm(t, e.ndjson))
	}
	for line := range strings.Lines(run(t, dir, "restore", "lake")) {
		got = append(got, oneForm(t, strings.TrimSuffix(line, "\n")))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the examples come back changed (-page +restored):\n%s", diff)
	}
}

// names reports whether the page names a column of the example's row.
func (e *layoutExample) names(column string) bool {
	word := regexp.MustCompile(`(^|[^\w.])` + column + `\b`)
	return slices.ContainsFunc(e.want, func(w [2]string) bool { return word.MatchString(w[0]) })
}

// oneForm returns a line in canonical form. jsontext does not accept escaped lone surrogates;
// lines with those are restored verbatim.
func oneForm(t *testing.T, line string) string {
	if strings.Contains(line, `\ud83d`) {
		return line
	}
	return canonical(t, line)
}

// TestLayoutPageQuarantine converts the page's file of bad lines.
func TestLayoutPageQuarantine(t *testing.T) {
	t.Parallel()
	var input, want string
	for _, b := range fences(t, "layout.md") {
		switch {
		case b.heading != "Quarantine":
		case b.info == "text":
			input = b.body
		case b.info == "json":
			want = b.body
		}
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "patients.ndjson"), input)
	cmd := fhirkiln(t.Context(), t, dir, "convert", "patients.ndjson", "--out", "lake", "--max-quarantined", "80%")
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		t.Fatalf("convert ended with %v, want an exit code that tells of the quarantine", err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "lake", "_fhirkiln", "runs", "*", "quarantine", "*.ndjson"))
	if err != nil || len(names) != 1 {
		t.Fatalf("quarantine files %q, %v", names, err)
	}
	got, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("quarantine (-page +file):\n%s", diff)
	}
	// The bytes are those at line and offset.
	lines := strings.SplitAfter(input, "\n")
	for entry := range strings.Lines(string(got)) {
		var q struct {
			Line, Offset int
			Bytes        string
		}
		if err := json.Unmarshal([]byte(entry), &q); err != nil {
			t.Fatal(err)
		}
		was, err := base64.StdEncoding.DecodeString(q.Bytes)
		if err != nil || string(was) != strings.TrimSpace(lines[q.Line-1]) || !strings.HasPrefix(input[q.Offset:], string(was)) {
			t.Errorf("line %d at %d is kept as %q, %v", q.Line, q.Offset, was, err)
		}
	}
	if got := one(t, session(t), "SELECT string_agg(id) FROM "+partsOf(filepath.Join(dir, "lake"), "Patient")); got != "1" {
		t.Errorf("rows %s, want 1", got)
	}
}
