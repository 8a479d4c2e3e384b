package columnar

import (
	"bytes"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzDecimal compares DECIMAL(38, 9) with math/big.
func FuzzDecimal(f *testing.F) {
	for _, seed := range []string{
		"0", "-0", "1", "-1", "1.5", "1.50", "0.000000001", "0.0000000005", "0.0000000015", "-0.0000000025", "1e3", "1E-20", "12.5e-1", "9223372036854775807",
		"9223372036.854775807", "9223372036.854775808", "-9223372036.854775808", "18446744073709551615", "9999999999999999999", "99999999999999999999999999999.999999999",
		"99999999999999999999999999999.9999999995", "100000000000000000000000000000", "0e999999999999999999999", "1e-999999999999999999999", "0.0000000000000000000001e31",
		"123456789012345678901234567890123456789012345678901234567890", "1e29", "1e28", "0.10", "10", "100.001000",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, number string) {
		if end, err := scanNumber([]byte(number), 0); err != nil || end != len(number) {
			return
		}
		v, fits, plain := decimalOf([]byte(number))
		want := bigDecimal(number)
		if fits != (want != nil) {
			t.Fatalf("it fits: %t, and is %v", fits, want)
		}
		if !fits {
			if plain {
				t.Error("it does not fit and is plain")
			}
			return
		}
		got := new(big.Int).SetBytes(v[:])
		if v[0] >= 0x80 {
			got.Sub(got, new(big.Int).Lsh(big.NewInt(1), 128))
		}
		if got.Cmp(want) != 0 {
			t.Errorf("it is %v, not %v", got, want)
		}
		printed := string(appendDecimal(nil, v[:]))
		if plain != (printed == number) {
			t.Errorf("plain is %t, and the column prints %s", plain, printed)
		}
		if slow, fits, slowPlain := decimalSlow([]byte(number)); slow != v || !fits || slowPlain != plain {
			t.Errorf("the slow way makes %x, %t, %t of it", slow, fits, slowPlain)
		}
	})
}

// bigDecimal returns a number in units of 10^-9, rounded half to even, or nil if that takes more
// than 38 digits.
func bigDecimal(number string) *big.Int {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	if strings.Trim(mantissa, "-0.") == "" {
		return new(big.Int)
	}
	if e, err := strconv.Atoi(exponent); exponent != "" && (err != nil || max(e, -e) > 2000+len(mantissa)) {
		if strings.HasPrefix(exponent, "-") {
			return new(big.Int)
		}
		return nil
	}
	r, _ := new(big.Rat).SetString(number)
	r.Mul(r, new(big.Rat).SetInt64(1_000_000_000))
	q, m := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int)) // down
	switch c := m.Lsh(m, 1).Cmp(r.Denom()); {
	case c > 0 || c == 0 && q.Bit(0) == 1:
		q.Add(q, big.NewInt(1))
	}
	if len(new(big.Int).Abs(q).String()) > 38 {
		return nil
	}
	return q
}

// FuzzInt compares integers with package strconv.
func FuzzInt(f *testing.F) {
	for _, seed := range []string{"0", "-0", "1", "-1", "2147483647", "2147483648", "-2147483648", "-2147483649", "9999999999", "10000000000", "1.0", "1e2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, number string) {
		if end, err := scanNumber([]byte(number), 0); err != nil || end != len(number) {
			return
		}
		n, ok := int32Of([]byte(number))
		want, err := strconv.ParseInt(number, 10, 32)
		if wantOK := err == nil && number != "-0"; ok != wantOK || ok && int64(n) != want {
			t.Errorf("it is %d, %t, not %d, %t", n, ok, want, wantOK)
		}
	})
}

var dateForm = regexp.MustCompile(`\A\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:(\d\d)(\.\d+)?)?(Z|[+-](\d\d):(\d\d))?)?)?)?\z`)

// FuzzStart compares the starts of dates with those of package time.
func FuzzStart(f *testing.F) {
	for _, seed := range []string{
		"1970", "2015-02", "2015-02-07", "2000-02-29", "1900-02-29", "0000", "0000-02-29", "0001-01-01", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999999999Z", "2015-02-07T13:28:17.239+02:00",
		"2015-02-07T13:28", "2015-02-07T13:28:60Z", "2015-02-07T24:00:00Z", "2015-02-07T13:28:17-14:00", "2015-02-07T13:28:17+15:00", "2015-13", "2015-00", "2015-02-30",
		"1969-12-31T23:59:59.5Z", "1905-08-23", "2015-02-07T13:28:17.Z", "2015-02-07T13:28:17+0200", "2015-2-7", "15", "", "x", "2015-02-07T13:28:17.1234567", "2015-02-07T", "2015-",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, date string) {
		got, ok := startOf([]byte(date))
		want, wantOK := start(date)
		if ok != wantOK || got != want {
			t.Errorf("it starts at %d, %t, not at %d, %t", got, ok, want, wantOK)
		}
	})
}

// start is startOf made with package time.
func start(date string) (micros int64, ok bool) {
	m := dateForm.FindStringSubmatch(date)
	if m == nil {
		return 0, false
	}
	clock, seconds, fraction, zone, hours, minutes := m[3], m[5], m[6], m[7], m[8], m[9]
	if hours > "14" || minutes > "59" || seconds > "60" {
		return 0, false
	}
	layout := "2006-01-02"[:min(len(date), len("2006-01-02"))]
	leap := int64(0)
	if clock != "" {
		layout += "T15:04"
		if seconds != "" {
			layout += ":05"
		}
		if seconds == "60" { // a leap second; package time has none
			leap = 1e6
			at := strings.IndexByte(date, 'T') + len("T15:04")
			date = date[:at] + ":59" + date[at+len(":60"):]
		}
		if zone != "" {
			layout += "Z07:00"
		}
	}
	if len(fraction) > 10 {
		date = strings.Replace(date, fraction, fraction[:10], 1)
	}
	at, err := time.Parse(layout, date)
	if err != nil {
		return 0, false
	}
	micros = at.UnixMicro() + leap
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()-1
	if micros < first || micros > last {
		return 0, false
	}
	return micros, true
}

// Every day of two and a half thousand years.
func TestDays(t *testing.T) {
	t.Parallel()
	at := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	for ; at.Year() < 2500; at = at.AddDate(0, 0, 1) {
		text := at.AppendFormat(nil, "2006-01-02")
		if got, ok := startOf(text); !ok || got != at.UnixMicro() {
			t.Fatalf("%s starts at %d, %t", text, got, ok)
		}
	}
	last := []byte("9999-12-31T23:59:59.999999Z")
	if got, ok := startOf(last); !ok || !bytes.Equal(time.UnixMicro(got).UTC().AppendFormat(nil, time.RFC3339Nano), last) {
		t.Errorf("%s starts at %d, %t", last, got, ok)
	}
}
