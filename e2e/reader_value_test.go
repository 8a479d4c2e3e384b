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

// rowGroups is how many row groups a part has.
func rowGroups(t *testing.T, part string) int64 {
	t.Helper()
	return number(t, openDuckDB(t), "SELECT count(DISTINCT row_group_id) FROM parquet_metadata('"+part+"')")
}

// lexemes are numbers of all forms, their neighbours apart in size, as JSON may have them.
func lexemes() []string {
	all := []string{
		"0", "-0", "0.0", "-0.0", "0e0", "-0e-5", "1", "-1", "1.0", "-1.50", "1e3", "-1E-3", "1.5e+2", "100", "0.1",
		"0.000000001", "-0.000000001", "0.0000000005", "0.0000000015", "-0.0000000025", "0.00000000051", "1e-400", "1e400", "-1e400",
		"9223372036.854775807", "9223372036.854775808", "-9223372036.854775808", "-9223372036.854775809",
		"9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551615", "18446744073709551616",
		"99999999999999999999999999999.999999999", "-99999999999999999999999999999.999999999",
		"99999999999999999999999999999.9999999994", "99999999999999999999999999999.9999999995", "-100000000000000000000000000000",
		"12345678901234567890123456789.123456789", "-12345678901234567890123456789.12345678900",
	}
	random := rand.New(rand.NewPCG(3, 8))
	for range 160 {
		digits := strconv.FormatUint(random.Uint64(), 10)[:1+random.IntN(17)]
		sign := []string{"", "-"}[random.IntN(2)]
		switch random.IntN(4) {
		case 0:
			all = append(all, sign+digits)
		case 1:
			all = append(all, sign+"0."+strings.Repeat("0", random.IntN(9))+digits)
		case 2:
			all = append(all, sign+digits+"."+strconv.Itoa(random.IntN(1e6)))
		default:
			all = append(all, sign+digits+"e"+strconv.Itoa(random.IntN(30)-15))
		}
	}
	for i, l := range all { // no zeros in front, but for 0.x
		digits := strings.TrimPrefix(l, "-")
		if trimmed := strings.TrimLeft(digits, "0"); trimmed != digits && trimmed != "" && trimmed[0] >= '1' && trimmed[0] <= '9' {
			all[i] = strings.TrimSuffix(l, digits) + trimmed
		}
	}
	return all
}

// scaled is a number times 10^9, rounded half to even, or nil if DECIMAL(38, 9) cannot
// hold it.
func scaled(t *testing.T, lexeme string) *big.Int {
	t.Helper()
	n, ok := new(big.Rat).SetString(lexeme)
	if !ok {
		t.Fatalf("%q is not a number", lexeme)
	}
	n.Mul(n, big.NewRat(1e9, 1))
	// FloatString rounds half away from zero: that half is even or odd is seen below.
	up, _ := new(big.Int).SetString(n.FloatString(0), 10)
	over := new(big.Rat).Sub(new(big.Rat).SetInt(up), n)
	if over.Abs(over).Cmp(big.NewRat(1, 2)) == 0 && up.Bit(0) == 1 {
		up.Sub(up, big.NewInt(int64(up.Sign())))
	}
	if up.CmpAbs(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)) >= 0 {
		return nil
	}
	return up
}

// shown prints a scaled number as DuckDB prints DECIMAL(38, 9).
func shown(n *big.Int) string {
	if n == nil {
		return "NULL"
	}
	return new(big.Rat).SetFrac(n, big.NewInt(1e9)).FloatString(9)
}

// TestReaderDecimals has DuckDB read numbers of all forms, and compare with them: in
// small row groups, whose statistics must not hide one.
func TestReaderDecimals(t *testing.T) {
	t.Parallel()
	all := lexemes()
	values := make([]*big.Int, len(all))
	var ndjson strings.Builder
	for i, l := range all {
		values[i] = scaled(t, l)
		fmt.Fprintf(&ndjson, "{\"resourceType\":\"ChargeItem\",\"id\":\"%d\",\"factorOverride\":%s}\n", i, l)
	}
	part := partFile(t, ndjson.String(), 600)
	if n := rowGroups(t, part); n < 20 {
		t.Fatalf("only %d row groups", n)
	}
	db := session(t)
	_, rows := table(t, db, "SELECT id, factorOverride, __factorOverride_lexeme FROM '"+part+"' ORDER BY id::INT")
	for i, row := range rows {
		plain := strings.TrimRight(strings.TrimRight(shown(values[i]), "0"), ".")
		lexeme := "NULL"
		if plain != all[i] {
			lexeme = all[i]
		}
		if want := []string{strconv.Itoa(i), shown(values[i]), lexeme}; !slices.Equal(row, want) {
			t.Errorf("%s is read as %q, want %q", all[i], row, want)
		}
	}
	checkBounds(t, db, part, values)
	for i, limit := range values {
		if limit == nil || i > 40 && i%10 > 0 {
			continue
		}
		var less, equal, more []string
		for n, v := range values {
			if v == nil {
				continue
			}
			list := [3]*[]string{&less, &equal, &more}[v.Cmp(limit)+1]
			*list = append(*list, strconv.Itoa(n))
		}
		for operator, want := range map[string][]string{"<": less, "=": equal, ">": more} {
			got := ids(t, db, fmt.Sprintf("SELECT id FROM '%s' WHERE factorOverride %s '%s'::DECIMAL(38,9)", part, operator, shown(limit)))
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("value %s %s (-want +DuckDB):\n%s", operator, shown(limit), diff)
			}
		}
	}
}

// checkBounds compares the statistics of each row group with its values: not every
// reader is as careful with those of decimals as DuckDB.
func checkBounds(t *testing.T, db *sql.DB, part string, values []*big.Int) {
	t.Helper()
	_, groups := table(t, db, `
SELECT row_group_id, row_group_num_rows, stats_min_value, stats_max_value
FROM parquet_metadata('`+part+`') WHERE path_in_schema = 'factorOverride' ORDER BY row_group_id`)
	for _, group := range groups {
		rows, err := strconv.Atoi(group[1])
		if err != nil {
			t.Fatal(err)
		}
		var some []*big.Int
		for _, v := range values[:rows] {
			if v != nil {
				some = append(some, v)
			}
		}
		values = values[rows:]
		least, most := "NULL", "NULL"
		if len(some) > 0 {
			least, most = shown(slices.MinFunc(some, (*big.Int).Cmp)), shown(slices.MaxFunc(some, (*big.Int).Cmp))
		}
		if least != group[2] || most != group[3] {
			t.Errorf("row group %s says its values are from %s to %s, they are from %s to %s", group[0], group[2], group[3], least, most)
		}
	}
}

// ids are the values of a query's one column, sorted.
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

// TestReaderTimes does with dates what TestReaderDecimals does with numbers.
func TestReaderTimes(t *testing.T) {
	t.Parallel()
	dates := []string{
		"0001", "0001-01-01", "1066-10", "1582-10-04", "1582-10-15", "1582-12-31T23:59:59Z", "1599", "1600-02-29", "1752-09-14",
		"1899-12-31", "1900-01-01", "1900", "1900-03-01T00:00:00+14:00", "1969-12-31", "1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999Z",
		"1970", "1970-01-01", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z", "1970-01-01T00:00:00-12:00", "1970-01-01T00:00:00+05:45",
		"2000-02-29", "2015-02", "2015-02-07T13:28:17-05:00", "2015-02-07T13:28:17.239Z", "2038-01-19T03:14:08Z", "2100-03-01", "9999-12-31", "9999-12-31T23:59:59.999Z",
		"1970-13", "2015-02-30", "2015-2-7", "yesterday", "",
	}
	var ndjson strings.Builder
	for round := range 5 {
		for i := range dates {
			n := (i*7 + round) % len(dates) // 7 and their number have no divisor in common but 7 itself
			if len(dates)%7 == 0 {
				n = (i*8 + round) % len(dates)
			}
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
		if !starts[i].IsZero() || strings.HasPrefix(dates[i], "0001") {
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
			if s.Before(limit) && (!s.IsZero() || strings.HasPrefix(dates[n], "0001")) {
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

// TestReaderTexts has DuckDB read texts back, and look for codes, whose row groups have
// statistics, and for names, whose have none.
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

// TestReaderNesting counts and adds up what is four lists deep.
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
			for i := range n - 1 { // or empty
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

// TestReaderSmallFiles reads a part of one row, and of one row without anything in it;
// no rows make no part.
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
