package columnar

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"math/bits"
	"strconv"
)

// int32Of parses a JSON number that fits an INT32 and is written as FHIR's integers are: digits
// only, no -0.
func int32Of(lexeme []byte) (int32, bool) {
	digits := lexeme
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 10 || digits[0] == '0' && len(lexeme) > 1 {
		return 0, false
	}
	var n int64
	for _, c := range digits {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(lexeme) {
		n = -n
	}
	return int32(n), int64(int32(n)) == n
}

// decimalScale is the number of decimal places of a Decimal.
const decimalScale = 9

// tenTo holds the powers of ten up to decimalScale.
var tenTo = [decimalScale + 1]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// decimalOf converts a JSON number to a DECIMAL(38, 9), big-endian as in Parquet. fits is false if
// it has more than 29 digits before the point; more than 9 after it are rounded, half to even.
// plain reports whether the column alone tells how the number was written: not rounded, no
// exponent, no trailing zeros after the point, not -0.
func decimalOf(lexeme []byte) (v [16]byte, fits, plain bool) {
	digits := lexeme
	negative := digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	var n uint64
	places := -1 // after the point
	for i, c := range digits {
		switch {
		case c-'0' <= 9 && i < 19 && places < decimalScale: // 19 digits are below 10^19, which fits a uint64
			n = n*10 + uint64(c-'0')
			if places >= 0 {
				places++
			}
		case c == '.':
			places = 0
		default:
			return decimalSlow(lexeme)
		}
	}
	plain = places <= 0 || digits[len(digits)-1] != '0'
	if n == 0 && negative {
		plain = false
	}
	over, n := bits.Mul64(n, tenTo[decimalScale-max(places, 0)])
	if over > 0 || n > 1<<63-1 {
		return decimalSlow(lexeme)
	}
	signed := int64(n)
	if negative {
		signed = -signed
	}
	binary.BigEndian.PutUint64(v[:8], uint64(signed>>63))
	binary.BigEndian.PutUint64(v[8:], uint64(signed))
	return v, true, plain
}

// decimalSlow is decimalOf for numbers of any size and form. It takes no longer than reading them:
// what no column holds is never computed.
func decimalSlow(lexeme []byte) (v [16]byte, fits, plain bool) {
	mantissa, exponent, hasExponent := lexeme, int64(0), false
	if i := bytes.IndexAny(lexeme, "eE"); i >= 0 {
		mantissa, hasExponent = lexeme[:i], true
		// Out of range, ParseInt returns the largest or smallest value, which will do.
		exponent, _ = strconv.ParseInt(string(lexeme[i+1:]), 10, 48)
	}
	mantissa, negative := bytes.CutPrefix(mantissa, []byte("-"))
	whole, fraction, _ := bytes.Cut(mantissa, []byte("."))
	digit := func(i int) byte { // of whole and fraction together, then zeros
		switch {
		case i < len(whole):
			return whole[i] - '0'
		case i < len(whole)+len(fraction):
			return fraction[i-len(whole)] - '0'
		}
		return 0
	}
	digits, first := len(whole)+len(fraction), 0
	for first < digits && digit(first) == 0 {
		first++
	}
	point := int64(len(whole)-first) + exponent // digits before the point, from the first nonzero one on
	if first == digits {
		point = 0
	}
	if point > 38-decimalScale {
		return v, false, false
	}
	var hi, lo uint64
	if kept := point + decimalScale; kept >= 0 { // digits that the column keeps
		next := first + int(kept)
		for i := first; i < next; i++ { // at most 38, so the result is below 2^127
			over, low := bits.Mul64(lo, 10)
			var carry uint64
			lo, carry = bits.Add64(low, uint64(digit(i)), 0)
			hi = hi*10 + over + carry
		}
		if d := digit(next); d > 5 || d == 5 && (lo&1 == 1 || nonZeroFrom(digit, next+1, digits)) { // half to even
			var carry uint64
			lo, carry = bits.Add64(lo, 1, 0)
			hi += carry
		}
	}
	if hi > decimalHigh || hi == decimalHigh && lo >= decimalLow {
		return v, false, false
	}
	zero := hi == 0 && lo == 0
	plain = !hasExponent && len(fraction) <= decimalScale && !bytes.HasSuffix(fraction, []byte("0")) && !(negative && zero)
	if negative && !zero { // two's complement
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	binary.BigEndian.PutUint64(v[:8], hi)
	binary.BigEndian.PutUint64(v[8:], lo)
	return v, true, plain
}

// decimalHigh and decimalLow are the halves of 10^38, the smallest number too large for a
// Decimal's column, counted in units of its last place.
const (
	decimalHigh = 0x4B3B4CA85A86C47A
	decimalLow  = 0x098A224000000000
)

// nonZeroFrom reports whether any digit from i on is not zero.
func nonZeroFrom(digit func(int) byte, i, digits int) bool {
	for ; i < digits; i++ {
		if digit(i) != 0 {
			return true
		}
	}
	return false
}

// appendDecimal prints a DECIMAL(38, 9) plainly, in the sense of decimalOf.
func appendDecimal(to []byte, v []byte) []byte {
	n := new(big.Int).SetBytes(v)
	if v[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	if n.Sign() < 0 {
		to = append(to, '-')
		n.Neg(n)
	}
	digits := n.String()
	for len(digits) <= decimalScale {
		digits = "0" + digits
	}
	to = append(to, digits[:len(digits)-decimalScale]...)
	if fraction := bytes.TrimRight([]byte(digits[len(digits)-decimalScale:]), "0"); len(fraction) > 0 {
		to = append(append(to, '.'), fraction...)
	}
	return to
}

// startOf returns the start of the interval that a date, dateTime or instant names, in
// microseconds since 1970 UTC. A value without a zone is taken as UTC. ok is false for what is not
// a date (https://hl7.org/fhir/R4/datatypes.html#dateTime) or lies outside the years 1 to 9999.
func startOf(v []byte) (micros int64, ok bool) {
	if len(v) >= len("2006-01-02T15:04:05") && v[4] == '-' && v[7] == '-' && v[10] == 'T' && v[13] == ':' && v[16] == ':' {
		return timeOf(yearOf(v), two(v[5:]), two(v[8:]), two(v[11:]), two(v[14:]), two(v[17:]), v[19:])
	}
	// Less precise: YYYY, with -MM, with -DD, with Thh:mm.
	month, day, hour, minute := 1, 1, 0, 0
	rest := v[min(len(v), 4):]
	for _, part := range [...]struct {
		separator byte
		to        *int
	}{{'-', &month}, {'-', &day}, {'T', &hour}, {':', &minute}} {
		if len(rest) == 0 && part.separator != ':' {
			break
		}
		if len(rest) < 3 || rest[0] != part.separator {
			return 0, false
		}
		*part.to, rest = two(rest[1:]), rest[3:]
	}
	if len(v) < 4 || len(rest) > 0 && rest[0] == '.' {
		return 0, false
	}
	return timeOf(yearOf(v), month, day, hour, minute, 0, rest)
}

// timeOf returns the time of these numbers. rest is what follows the seconds: a fraction and a
// zone, as in .5+01:00, either of which may be missing.
func timeOf(year, month, day, hour, minute, second int, rest []byte) (int64, bool) {
	if year > 9999 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 60 { // 60 is a leap second
		return 0, false
	}
	micros := 0
	if len(rest) > 0 && rest[0] == '.' {
		n := 1
		for scale := 100000; n < len(rest) && rest[n]-'0' <= 9; n++ {
			micros += int(rest[n]-'0') * scale
			scale /= 10
		}
		if rest = rest[n:]; n == 1 {
			return 0, false
		}
	}
	zone := 0
	switch {
	case len(rest) == 0 || len(rest) == 1 && rest[0] == 'Z':
	case len(rest) == len("+01:00") && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
		hours, minutes := two(rest[1:]), two(rest[4:])
		if hours > 14 || minutes > 59 {
			return 0, false
		}
		if zone = hours*3600 + minutes*60; rest[0] == '-' {
			zone = -zone
		}
	default:
		return 0, false
	}
	seconds := daysSince1970(year, month, day)*86400 + hour*3600 + minute*60 + second - zone
	t := int64(seconds)*1e6 + int64(micros)
	if t < earliest || t > latest {
		return 0, false
	}
	return t, true
}

// earliest and latest bound what a time may be: the years 1 to 9999 in UTC. BigQuery refuses a
// whole file for a single time outside them, such as a period's end of 9999-12-31T23:59:59-05:00.
const (
	earliest = -62135596800_000000
	latest   = 253402300799_999999
)

// notDigits is larger than any number in a date.
const notDigits = 10000

// two parses the two digits that v begins with. It returns notDigits if they are not digits.
func two(v []byte) int {
	tens, ones := v[0]-'0', v[1]-'0'
	if tens > 9 || ones > 9 {
		return notDigits
	}
	return int(tens)*10 + int(ones)
}

// yearOf parses the four digits that v begins with. It returns notDigits or more if they are not
// digits.
func yearOf(v []byte) int { return two(v)*100 + two(v[2:]) }

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts in the Gregorian calendar, extended to the time before it began.
func daysSince1970(year, month, day int) int {
	// Years that begin in March have their leap day at the end.
	if month <= 2 {
		year--
		month += 12
	}
	years := year + 400 // not negative; the calendar repeats every 400 years
	return years*365 + years/4 - years/100 + years/400 + (153*(month-3)+2)/5 + day - 1 - 719468 - 146097
}
