package population

import (
	"testing"
	"time"
)

func TestDayAgreesWithTime(t *testing.T) {
	t.Parallel()
	at := time.Date(1895, time.January, 1, 0, 0, 0, 0, time.UTC)
	for ; at.Year() < 2105; at = at.AddDate(0, 0, 1) {
		want := day(at.Unix() / 86400)
		got := dayOf(at.Year(), int(at.Month()), at.Day())
		if got != want {
			t.Fatalf("dayOf(%s) = %d, want %d", at.Format(time.DateOnly), got, want)
		}
		if s := string(appendDate(nil, got, toDay)); s != at.Format(time.DateOnly) {
			t.Fatalf("day %d is written %s, want %s", got, s, at.Format(time.DateOnly))
		}
	}
}

func TestAppendTime(t *testing.T) {
	t.Parallel()
	const at = moment(1_709_251_199) // 2024-02-29T23:59:59Z
	for _, tt := range []struct {
		millis int
		zone   zone
		want   string
	}{
		{-1, zulu, "2024-02-29T23:59:59Z"},
		{-1, 0, "2024-02-29T23:59:59+00:00"},
		{7, 0, "2024-02-29T23:59:59.007+00:00"},
		{120, zulu, "2024-02-29T23:59:59.120Z"},
		{-1, -300, "2024-02-29T18:59:59-05:00"},
		{999, 90, "2024-03-01T01:29:59.999+01:30"},
	} {
		if got := string(appendTime(nil, at, tt.millis, tt.zone)); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
		if _, err := time.Parse(time.RFC3339Nano, tt.want); err != nil {
			t.Error(err)
		}
	}
}

func TestMomentOfLocalTime(t *testing.T) {
	t.Parallel()
	d := dayOf(2025, 1, 1)
	if got := string(appendTime(nil, d.at(0, 30, -360), -1, -360)); got != "2025-01-01T00:30:00-06:00" {
		t.Errorf("half past midnight is written %s", got)
	}
	if got := d.at(20, 0, -360).date(); got != d+1 {
		t.Errorf("eight in the evening at -06:00 is on day %d in UTC, want %d", got, d+1)
	}
	if got := moment(-1).date(); got != -1 {
		t.Errorf("the second before 1970 is on day %d, want -1", got)
	}
}

func TestYearsTo(t *testing.T) {
	t.Parallel()
	birth := dayOf(2000, 2, 29)
	for _, tt := range []struct {
		y, m, d, want int
	}{{2000, 2, 29, 0}, {2001, 2, 28, 0}, {2001, 3, 1, 1}, {2024, 2, 29, 24}, {2025, 2, 28, 24}} {
		if got := birth.yearsTo(dayOf(tt.y, tt.m, tt.d)); got != tt.want {
			t.Errorf("on %d-%02d-%02d: %d years, want %d", tt.y, tt.m, tt.d, got, tt.want)
		}
	}
}

func TestNPIHasItsCheckDigit(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		number := "80840" + npi(n)
		sum := 0
		for i := range len(number) {
			digit := int(number[len(number)-1-i] - '0')
			if i%2 == 1 {
				digit = digit*2/10 + digit*2%10
			}
			sum += digit
		}
		if sum%10 != 0 || len(number) != 15 {
			t.Fatalf("npi(%d) = %s: the digits add up to %d", n, npi(n), sum)
		}
	}
}
