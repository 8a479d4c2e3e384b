package main

import (
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// real returns an input of sample data of a type, or of all types for "". The data repeats until
// there is enough, each time with different people in a different order.
func (b *bench) real(ctx context.Context, resourceType string) (*input, error) {
	texts, err := b.readSamples(resourceType)
	if err != nil {
		return nil, err
	}
	whole := 0
	for _, text := range texts {
		whole += len(text)
	}
	if whole == 0 {
		return nil, fmt.Errorf("the sample data in %s has no %s", b.samples, cmp.Or(resourceType, "resources"))
	}
	name, folder := "real "+resourceType, b.realIn
	if resourceType == "" {
		name, folder = mixName+", real", filepath.Join(b.realIn, fmt.Sprintf("mix-%d", b.mb))
	}
	var files []inputFile
	for _, t := range slices.Sorted(maps.Keys(texts)) {
		file := inputFile{t, filepath.Join(folder, fmt.Sprintf("%s-%d.ndjson", t, b.mb))}
		err := b.make(ctx, file.path, func(w io.Writer) error {
			var other []byte
			people := byPatient(texts[t])
			for n := range uint64(b.mb*1e6/whole + 1) {
				other = other[:0]
				for _, p := range inOrderOf(people, n) {
					other = appendOther(other, p.lines, n)
				}
				if _, err := w.Write(other); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return newInput(ctx, name, files, nil)
}

// readSamples reads the sample data of a type, or of all types for "". It returns it by type: some
// types are split over several files, Condition.ndjson.gz and Condition-2.ndjson.gz.
func (b *bench) readSamples(resourceType string) (map[string][]byte, error) {
	names, err := sampleFiles(b.samples)
	if err != nil {
		return nil, err
	}
	texts := map[string][]byte{}
	for _, name := range names {
		t := sampleType(name)
		if resourceType != "" && t != resourceType {
			continue
		}
		if texts[t], err = appendUnzipped(texts[t], name); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return texts, nil
}

// appendUnzipped appends the uncompressed lines of a file.
func appendUnzipped(to []byte, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	to = append(to, text...)
	if len(to) > 0 && to[len(to)-1] != '\n' {
		to = append(to, '\n')
	}
	return to, nil
}

// appendOther appends the nth copy of text, about different people, since plain copies would be
// too easy for dictionaries. Every UUID is replaced consistently, so that references still
// resolve; all times of day are later by the same amount; and the last digit of fractions
// differs. The 0th copy is unchanged.
func appendOther(to, text []byte, n uint64) []byte {
	if n == 0 {
		return append(to, text...)
	}
	later, digit := int(mix(n)%86_400), byte(mix(n+1<<32)%9)
	from := len(to)
	to = append(to, text...)
	for i := from; i < len(to); i++ {
		switch rest := to[i:]; {
		case isUUID(rest):
			otherUUID(rest[:36], n)
			i += 35
		case isTime(rest):
			laterTime(rest[1:9], later)
			i += 8
		case rest[0] == '.' && i > from && isDigit(to[i-1]) && isFraction(to[from:i]):
			for i+1 < len(to) && isDigit(to[i+1]) {
				i++
			}
			if d := to[i]; d > '0' && d <= '9' { // trailing zeros stay
				to[i] = '1' + (d-'1'+digit)%9
			}
		}
	}
	return to
}

// mix is SplitMix64's mixing function: each bit of the result depends on each bit of n.
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isFraction reports whether before ends with the integer part of a JSON number.
func isFraction(before []byte) bool {
	i := len(before)
	for i > 0 && isDigit(before[i-1]) {
		i--
	}
	if i > 0 && before[i-1] == '-' {
		i--
	}
	return i > 0 && (before[i-1] == ':' || before[i-1] == '[' || before[i-1] == ',')
}

// isUUID reports whether b begins with a UUID in lower case, as Synthea writes them.
func isUUID(b []byte) bool {
	if len(b) < 36 || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return false
	}
	for i, c := range b[:36] {
		if hyphen := i == 8 || i == 13 || i == 18 || i == 23; !hyphen && !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// otherUUID replaces a UUID with the one for the nth copy.
func otherUUID(uuid []byte, n uint64) {
	const digits = "0123456789abcdef"
	var halves [2]uint64
	place := 0
	for _, c := range uuid {
		if c == '-' {
			continue
		}
		value := c - '0'
		if c >= 'a' {
			value = c - 'a' + 10
		}
		halves[place/16] = halves[place/16]<<4 | uint64(value)
		place++
	}
	halves[0] = mix(halves[0] ^ mix(n))
	halves[1] = mix(halves[1] ^ mix(n+1))
	place = 0
	for i, c := range uuid {
		if c != '-' {
			uuid[i] = digits[halves[place/16]>>(60-4*(place%16))&15]
			place++
		}
	}
}

// isTime reports whether b begins with the time of a dateTime, T12:34:56.
func isTime(b []byte) bool {
	return len(b) >= 9 && b[0] == 'T' && b[3] == ':' && b[6] == ':' &&
		isDigit(b[1]) && isDigit(b[2]) && isDigit(b[4]) && isDigit(b[5]) && isDigit(b[7]) && isDigit(b[8])
}

// laterTime moves a time such as 12:34:56 later by seconds, wrapping at midnight.
func laterTime(b []byte, seconds int) {
	two := func(i int) int { return int(b[i]-'0')*10 + int(b[i+1]-'0') }
	t := (two(0)*3600 + two(3)*60 + two(6) + seconds) % 86_400
	copy(b, fmt.Appendf(nil, "%02d:%02d:%02d", t/3600, t/60%60, t%60))
}
