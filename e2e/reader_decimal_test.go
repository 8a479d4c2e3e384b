//go:build cgo

package e2e

import (
	"database/sql"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rowGroups returns the number of a part's row groups.
func rowGroups(t *testing.T, part string) int64 {
	t.Helper()
	return number(t, openDuckDB(t), "SELECT count(DISTINCT row_group_id) FROM parquet_metadata('"+part+"')")
}

// lexemes returns numbers in all forms that JSON allows. Neighbors differ in size.
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
	for i, l := range all { // no leading zeros, except in 0.x
		digits := strings.TrimPrefix(l, "-")
		if trimmed := strings.TrimLeft(digits, "0"); trimmed != digits && trimmed != "" && trimmed[0] >= '1' && trimmed[0] <= '9' {
			all[i] = strings.TrimSuffix(l, digits) + trimmed
		}
	}
	return all
}

// scaled returns a number times 10^9, rounded half to even, or nil if DECIMAL(38, 9) cannot hold
// it.
func scaled(t *testing.T, lexeme string) *big.Int {
	t.Helper()
	n, ok := new(big.Rat).SetString(lexeme)
	if !ok {
		t.Fatalf("%q is not a number", lexeme)
	}
	n.Mul(n, big.NewRat(1e9, 1))
	// FloatString rounds half away from zero. Rounding half to even is below.
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

// shown formats a scaled number like DuckDB formats DECIMAL(38, 9).
func shown(n *big.Int) string {
	if n == nil {
		return "NULL"
	}
	return new(big.Rat).SetFrac(n, big.NewInt(1e9)).FloatString(9)
}

// TestReaderDecimals has DuckDB read numbers of all forms and compare with them, in small row
// groups, whose statistics must not hide any.
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

// checkBounds compares the statistics of each row group with its values: not every reader is as
// careful with the statistics of decimals as DuckDB.
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
