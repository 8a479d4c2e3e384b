package population

import "strconv"

// A day counts days from 1 January 1970, a moment counts seconds from that day's midnight in
// UTC. Formatting them here takes a third of the time that time.Time needs, and dates are a
// tenth of the bytes.
type (
	day    int32
	moment int64
)

const (
	hour       moment = 3600
	dayLength  moment = 24 * hour
	daysInYear        = 365
)

// A zone is how a source system writes the offset of its local time.
type zone int16

// zulu is written as "Z". Any other zone is in minutes east of Greenwich; 0 is written as
// "+00:00". Cities keep standard time all year.
const zulu zone = 1 << 14

func (d day) at(h, minute int, z zone) moment {
	t := moment(d)*dayLength + moment(h)*hour + moment(minute)*60
	if z != zulu {
		t -= moment(z) * 60
	}
	return t
}

// date returns the day in UTC.
func (m moment) date() day {
	if m < 0 {
		return day((m - dayLength + 1) / dayLength)
	}
	return day(m / dayLength)
}

// dateIn returns the day in a zone.
func (m moment) dateIn(z zone) day { return (m + moment(z)*60).date() }

// dayOf is Howard Hinnant's days_from_civil; month is 1 to 12.
func dayOf(year, month, dayOfMonth int) day {
	if month <= 2 {
		year--
		month += 12
	}
	era := floorDiv(year, 400)
	yearOfEra := year - era*400
	dayOfYear := (153*(month-3)+2)/5 + dayOfMonth - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return day(era*146097 + dayOfEra - 719468)
}

// civil is the inverse of dayOf.
func (d day) civil() (year, month, dayOfMonth int) {
	z := int(d) + 719468
	era := floorDiv(z, 146097)
	dayOfEra := z - era*146097
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/146096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	m := (5*dayOfYear + 2) / 153
	dayOfMonth = dayOfYear - (153*m+2)/5 + 1
	month, year = m+3, yearOfEra+era*400
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, dayOfMonth
}

func floorDiv(a, b int) int {
	if a < 0 {
		return (a - b + 1) / b
	}
	return a / b
}

// yearsTo returns the completed years from d to later, such as a person's age.
func (d day) yearsTo(later day) int {
	y0, m0, d0 := d.civil()
	y1, m1, d1 := later.civil()
	years := y1 - y0
	if m1 < m0 || m1 == m0 && d1 < d0 {
		years--
	}
	return years
}

// precision is the precision of a FHIR date or dateTime.
type precision int

const (
	toDay precision = iota
	toMonth
	toYear
)

func appendDate(b []byte, d day, p precision) []byte {
	y, m, dd := d.civil()
	b = strconv.AppendInt(b, int64(y), 10)
	if p == toYear {
		return b
	}
	b = append2(append(b, '-'), m)
	if p == toMonth {
		return b
	}
	return append2(append(b, '-'), dd)
}

// appendTime appends a dateTime. A negative millis omits the fraction.
func appendTime(b []byte, m moment, millis int, z zone) []byte {
	local := m
	if z != zulu {
		local += moment(z) * 60
	}
	d := local.date()
	secs := int(local - moment(d)*dayLength)
	b = append(appendDate(b, d, toDay), 'T')
	b = append(append2(b, secs/3600), ':')
	b = append(append2(b, secs/60%60), ':')
	b = append2(b, secs%60)
	if millis >= 0 {
		b = append2(append(b, '.', byte('0'+millis/100)), millis%100)
	}
	if z == zulu {
		return append(b, 'Z')
	}
	sign := byte('+')
	if z < 0 {
		sign, z = '-', -z
	}
	b = append2(append(b, sign), int(z)/60)
	return append2(append(b, ':'), int(z)%60)
}

func append2(b []byte, n int) []byte {
	return append(b, byte('0'+n/10), byte('0'+n%10))
}
