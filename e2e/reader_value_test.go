//go:build cgo

package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ids returns the sorted values of a query's only column.
func ids(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	_, rows := table(t, db, query)
	var all []string
	for _, row := range rows {
		all = append(all, row[0])
	}
	slices.Sort(all)
	return all
}

// TestReaderTimes does for dates what TestReaderDecimals does for numbers.
func TestReaderTimes(t *testing.T) {
	t.Parallel()
	dates := []string{
		"0001-12-31", "0002", "1066-10", "1582-10-04", "1582-10-15", "1582-12-31T23:59:59Z", "1599", "1600-02-29", "1752-09-14",
		"1899-12-31", "1900-01-01", "1900", "1900-03-01T00:00:00+14:00", "1969-12-31", "1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999Z",
		"1970", "1970-01-01", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z", "1970-01-01T00:00:00-12:00", "1970-01-01T00:00:00+05:45",
		"2000-02-29", "2015-02", "2015-02-07T13:28:17-05:00", "2015-02-07T13:28:17.239Z", "2038-01-19T03:14:08Z", "2100-03-01", "9999-12-31", "9999-12-31T23:59:59.999Z",
		"1970-13", "2015-02-30", "2015-2-7", "yesterday", "",
	}
	var ndjson strings.Builder
	random := rand.New(rand.NewPCG(2, 9))
	for range 5 {
		for _, n := range random.Perm(len(dates)) {
			fmt.Fprintf(&ndjson, "{\"resourceType\":\"Condition\",\"id\":\"%d\",\"onsetDateTime\":%q}\n", n, dates[n])
		}
	}
	part := partFile(t, ndjson.String(), 200)
	if n := rowGroups(t, part); n < 40 {
		t.Fatalf("only %d row groups", n)
	}
	db := session(t)
	starts := make([]time.Time, len(dates))
	for i, d := range dates {
		starts[i], _ = span(d)
	}
	_, rows := table(t, db, "SELECT DISTINCT id::INT AS n, onsetDateTime, strftime(__onsetDateTime_start, '%Y-%m-%dT%H:%M:%S.%fZ') FROM '"+part+"' ORDER BY n")
	if len(rows) != len(dates) {
		t.Errorf("%d different rows, want %d", len(rows), len(dates))
	}
	for i, row := range rows {
		start := "NULL"
		if !starts[i].IsZero() {
			start = starts[i].Format("2006-01-02T15:04:05.000000Z")
		}
		if row[1] != dates[i] || row[2] != start {
			t.Errorf("%s is read as %q, want it to start at %s", dates[i], row[1:], start)
		}
	}
	for i, limit := range starts {
		if limit.IsZero() {
			continue
		}
		var before []string
		for n, s := range starts {
			if s.Before(limit) && !s.IsZero() {
				before = append(before, strconv.Itoa(n))
			}
		}
		slices.Sort(before)
		got := ids(t, db, fmt.Sprintf("SELECT DISTINCT id FROM '%s' WHERE __onsetDateTime_start < TIMESTAMPTZ '%s'", part, limit.Format("2006-01-02 15:04:05.000000+00")))
		if diff := cmp.Diff(before, got); diff != "" {
			t.Errorf("before %s (-want +DuckDB):\n%s", dates[i], diff)
		}
	}
}

// TestReaderTexts has DuckDB read texts back and look for codes, whose columns have statistics, and
// for names, whose columns have none.
func TestReaderTexts(t *testing.T) {
	t.Parallel()
	texts := []string{
		"", " ", "male", "female", "Z", "z", "é", "Ωmega", "日本", "👩‍⚕️", "\uFFFD", "\u0000", "a\u0000b", "a", "\u007f", "\u0080", "\uffff", "\U0010FFFF",
		`"quoted"`, `back\slash`, "tab\tnew\nline", "null", "NULL", "[]", "{}", strings.Repeat("long ", 1000), strings.Repeat("x", 3<<20),
	}
	var ndjson strings.Builder
	for i, text := range texts {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&ndjson, "{\"resourceType\":\"Patient\",\"id\":\"%d\",\"gender\":%s,\"implicitRules\":%[2]s,\"name\":[{\"family\":%[2]s}]}\n", i, quoted)
	}
	part := partFile(t, ndjson.String(), 100)
	if n := rowGroups(t, part); n < 10 {
		t.Fatalf("only %d row groups", n)
	}
	db := session(t)
	for i, want := range texts {
		for _, column := range []string{"gender", "implicitRules", "name[1].family"} {
			rows, err := db.QueryContext(t.Context(), fmt.Sprintf("SELECT id, %s FROM '%s' WHERE %[1]s = ?", column, part), want)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for rows.Next() {
				var id, got string
				if err := rows.Scan(&id, &got); err != nil {
					t.Fatal(err)
				}
				if n++; id != strconv.Itoa(i) || got != want {
					t.Errorf("%s = %.20q finds row %s with %.20q", column, want, id, got)
				}
			}
			if err := rows.Err(); err != nil || n != 1 {
				t.Errorf("%s = %.20q finds %d rows, %v", column, want, n, err)
			}
		}
	}
}

// TestReaderNesting counts and adds up values four lists deep.
func TestReaderNesting(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 5))
	var count, total int
	var ndjson strings.Builder
	list := func(name string, of func(n int)) {
		switch n := random.IntN(5); n {
		case 0: // absent
		default:
			fmt.Fprintf(&ndjson, ",%q:[", name)
			for i := range n - 1 { // may be empty
				if i > 0 {
					ndjson.WriteByte(',')
				}
				of(i)
			}
			ndjson.WriteByte(']')
		}
	}
	for id := range 300 {
		fmt.Fprintf(&ndjson, `{"resourceType":"ExplanationOfBenefit","id":"%d"`, id)
		list("item", func(n int) {
			fmt.Fprintf(&ndjson, `{"sequence":%d`, n)
			list("detail", func(n int) {
				fmt.Fprintf(&ndjson, `{"sequence":%d`, n)
				list("subDetail", func(n int) {
					fmt.Fprintf(&ndjson, `{"sequence":%d`, n)
					list("adjudication", func(int) {
						cents := random.IntN(100000) - 50000
						count, total = count+1, total+cents
						fmt.Fprintf(&ndjson, `{"amount":{"value":%de-2}}`, cents)
					})
					ndjson.WriteByte('}')
				})
				ndjson.WriteByte('}')
			})
			ndjson.WriteByte('}')
		})
		ndjson.WriteString("}\n")
	}
	part := partFile(t, ndjson.String(), 10_000)
	_, rows := table(t, session(t), `
SELECT count(*), sum(a.amount.value), count(DISTINCT e.id) > 100
FROM '`+part+`' e, UNNEST(e.item) AS u(i), UNNEST(i.detail) AS v(d), UNNEST(d.subDetail) AS w(s), UNNEST(s.adjudication) AS x(a)`)
	want := [][]string{{strconv.Itoa(count), big.NewRat(int64(total), 100).FloatString(9), "true"}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("amounts (-want +DuckDB):\n%s", diff)
	}
}

// TestReaderSmallFiles reads parts with one row and with one empty row. Without rows there is no
// part.
func TestReaderSmallFiles(t *testing.T) {
	t.Parallel()
	db := session(t)
	for ndjson, want := range map[string][]string{
		`{"resourceType":"Patient"}`:                               {"Patient", "NULL", "NULL"},
		`{"resourceType":"Patient","id":"1"}`:                      {"Patient", "1", "NULL"},
		`{"resourceType":"Claim","id":"2","total":{"value":0.10}}`: {"Claim", "2", "NULL"},
	} {
		_, rows := table(t, db, "SELECT resourceType, id, meta FROM '"+partFile(t, ndjson, 0)+"'")
		if diff := cmp.Diff([][]string{want}, rows); diff != "" {
			t.Errorf("%s (-want +DuckDB):\n%s", ndjson, diff)
		}
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "empty.ndjson"), "\n \r\n")
	if report := runReport(t, dir, "convert", "empty.ndjson", "--out", "lake"); len(report.Parts) != 0 || report.Resources != 0 {
		t.Errorf("a file without a resource makes %d parts of %d rows", len(report.Parts), report.Resources)
	}
}
