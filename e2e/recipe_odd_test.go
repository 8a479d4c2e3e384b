//go:build cgo

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLatest has rows with the same file and line: files whose URLs differ only in the query have
// the same name.
func TestLatest(t *testing.T) {
	t.Parallel()
	file := func(rows ...lakeRow) lakeFile { return lakeFile{name: "https://payer.example/f", rows: rows} }
	for name, tt := range map[string]struct {
		runs [][]lakeFile
		want []string // marks
	}{
		"one name for two files": {[][]lakeFile{{
			file(lakeRow{"A", "2026-01-01T00:00:00Z", "stale"}, lakeRow{"C", "", "c"}),
			file(lakeRow{"B", "", "b"}, lakeRow{"D", "", "d"}, lakeRow{"A", "2026-02-01T00:00:00Z", "newest"}),
		}}, []string{"b", "c", "d", "newest"}},
		"no ids in two runs and in files of one name": {[][]lakeFile{
			{file(lakeRow{"", "", "one"}), file(lakeRow{"", "", "two"})},
			{file(lakeRow{"", "", "three"})},
		}, []string{"one", "three", "two"}},
		"the later line of one run": {[][]lakeFile{{file(lakeRow{"A", "", "first"}, lakeRow{"A", "", "second"})}}, []string{"second"}},
		"the later run whatever lastUpdated says": {[][]lakeFile{
			{file(lakeRow{"A", "2026-02-01T00:00:00Z", "old"})}, {file(lakeRow{"A", "", "new"})},
		}, []string{"new"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			setup, _ := recipes(t)
			db := recipeSession(t, dir, setup)
			for i, files := range tt.runs {
				putRun(t, db, filepath.Join(dir, "lake"), lakeRun{name: fmt.Sprintf("r%d", i), feed: "f", source: "s", files: files})
			}
			if diff := cmp.Diff(tt.want, marks(t, db, "latest('Patient')")); diff != "" {
				t.Errorf("latest (-want +DuckDB):\n%s", diff)
			}
		})
	}
}

// TestConvertTwice has rows that differ only in their place in Parquet.
func TestConvertTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "x.ndjson"), `{"resourceType":"Patient","id":"1"}`+"\n"+`{"resourceType":"Patient"}`+"\n")
	run(t, dir, "convert", "x.ndjson", "x.ndjson", "--out", "lake")
	setup, _ := recipes(t)
	db := recipeSession(t, dir, setup)
	if got := one(t, db, "SELECT string_agg(coalesce(id, 'none'), ' ' ORDER BY id) FROM latest('Patient')"); got != "1 none none" {
		t.Errorf("latest has the ids %s, want 1 once and both rows without one", got)
	}
}

// TestOddAnswers runs the page's query on invalid answers of questionnaires. None of them fails
// the query, and it finds the valid answers beside them.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	const beside = `{"linkId":"beside","answer":[{"valueDecimal":2.50}]}`
	setup, all := recipes(t)
	for name, tt := range map[string]struct {
		item string
		want []string // question, code, number, text of all but beside
	}{
		"a text for a number below": {`{"linkId":"a","item":[{"linkId":"b","answer":[{"valueDecimal":"n/a"},{"valueInteger":"7"}]}]}`,
			[]string{"a / b | NULL | 7.000000000 | NULL", "a / b | NULL | NULL | NULL"}},
		"a text for a number": {`{"linkId":"a","answer":[{"valueDecimal":"n/a"}]}`, []string{"a | NULL | NULL | NULL"}},
		"numbers that are too large": {`{"linkId":"a","answer":[{"valueDecimal":1e30}],"item":[{"linkId":"b","answer":[{"valueDecimal":1e30},{"valueDecimal":-1e400}]}]}`,
			[]string{"a / b | NULL | NULL | NULL", "a / b | NULL | NULL | NULL", "a | NULL | NULL | NULL"}},
		"half a surrogate pair below": {`{"linkId":"a","item":[{"linkId":"b","answer":[{"valueString":"x \ud83d"}]}]}`,
			[]string{"a / b | NULL | NULL | x \uFFFD"}},
		"half a pair in an answer's items": {`{"linkId":"a","answer":[{"item":[{"linkId":"b","answer":[{"valueString":"\udE00"}]}]}]}`,
			[]string{"a / b | NULL | NULL | \uFFFD", "a | NULL | NULL | NULL"}},
		"items that are none": {`{"linkId":"a","item":"n/a"},{"linkId":"b","item":{"linkId":"c"}},{"linkId":"d","item":null},{"linkId":"e","answer":[{"item":5}]}`,
			[]string{"e | NULL | NULL | NULL"}},
		"items that are none below": {`{"linkId":"a","item":[1,"x",null,{"linkId":"b","item":"n/a","answer":"n/a"},{"linkId":"c","answer":[null,"x"]}]}`,
			[]string{"a / c | NULL | NULL | NULL", "a / c | NULL | NULL | NULL"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			db := recipeSession(t, dir, setup)
			putNDJSON(t, filepath.Join(dir, "lake"), lakeRun{name: "r1", feed: "f", source: "s"}, "",
				`{"resourceType":"QuestionnaireResponse","id":"odd","item":[`+tt.item+`]}`,
				`{"resourceType":"QuestionnaireResponse","id":"right","item":[{"linkId":"up","item":[`+beside+`]}]}`)
			for _, r := range all {
				if r.heading != "Answers of a questionnaire" {
					continue
				}
				_, rows := table(t, db, r.sql)
				var got []string
				for _, row := range joined(rows) {
					got = append(got, strings.TrimPrefix(row, "s | odd | "))
				}
				want := append(tt.want, "s | right | up / beside | NULL | 2.500000000 | NULL")
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +DuckDB):\n%s", diff)
				}
			}
		})
	}
}

// TestReadable checks the page's macro against JSON's rules: texts that DuckDB accepts pass
// unchanged.
func TestReadable(t *testing.T) {
	t.Parallel()
	setup, _ := recipes(t)
	db := recipeSession(t, t.TempDir(), setup)
	for in, want := range map[string]string{
		`{"a":"x"}`:                            `x`,
		`{"a":"\ud83d\ude00"}`:                 "\U0001F600",
		`{"a":"\ud83d"}`:                       "\uFFFD",
		`{"a":"\uDE00\uD83D"}`:                 "\uFFFD\uFFFD",
		`{"a":"\ud83d\ud83d\ude00\ud83d"}`:     "\uFFFD\U0001F600\uFFFD",
		`{"a":"\ud83d\ude00\uFFFD\ud83d"}`:     "\U0001F600\uFFFD\uFFFD",
		`{"a":"\\ud83d \\\ud83d \\\\ud83d"}`:   `\ud83d \` + "\uFFFD" + ` \\ud83d`,
		`{"a":"\"value\":5"}`:                  `"value":5`,
		`{"a":"value","b":":5"}`:               `value`,
		`{"value":1,"a":{"value" : -1.50e+3}}`: `{"value":"-1.50e+3"}`,
		`{"a":1.50}`:                           `1.5`, // only decimals
		`{"a"`:                                 `NULL`,
	} {
		if got := one(t, db, "SELECT readable("+literal(in)+") ->> 'a'"); got != want {
			t.Errorf("%s is read as %s, want %s", in, got, want)
		}
	}
}
