// Package spelling suggests the word that a misspelled one was meant to be.
//
//	if best := spelling.Nearest("tokn_url", keys); best != "" {
//		// did you mean best?
//	}
package spelling

import "strings"

// Nearest returns the candidate that equals word or is its most likely correction: equal except
// for case, or at most two typing errors away. If there is none, it returns "".
func Nearest(word string, candidates []string) string {
	best, bestSlips := "", 3
	if len(word) > 64 {
		return ""
	}
	for _, c := range candidates {
		if c == word {
			return c
		}
		// Any two short words are a few slips apart, so allow one slip per three letters.
		// And people who mistype two letters rarely mistype the first one too:
		// ServiceDefinition is not DeviceDefinition.
		n := slips(strings.ToLower(word), strings.ToLower(c))
		if n < bestSlips && n <= len(c)/3 && (n < 2 || strings.EqualFold(word[:1], c[:1])) {
			best, bestSlips = c, n
		}
	}
	return best
}

// slips returns how many letters must be added, left out, replaced or swapped with their
// neighbor to turn a into b.
func slips(a, b string) int {
	var before, last []int // the rows above the current one
	for i := range len(a) + 1 {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			if i == 0 {
				row[j] = j
				continue
			}
			replaced := last[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(replaced, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
