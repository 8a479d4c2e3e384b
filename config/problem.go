package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a config file, or, among the warnings,
// one that deserves a look. It never holds a secret.
type Problem struct {
	File    string // as it was given to [Load] or [Parse]
	Line    int    // from 1
	Column  int    // from 1, in characters
	Path    string // such as sources.bison.auth.token_url or feeds.members.groups[0]; empty for the document
	Message string // what is wrong; what is allowed
}

// String is the problem on one line, in the form that editors and terminals
// make clickable: file:line:column: path: message.
func (p Problem) String() string {
	if p.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Path, p.Message)
}

// Errors are all problems of one config file, sorted by line and column; there
// is at least one.
type Errors []Problem

// Error prints one problem a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// position is a place in the file, both numbers from 1.
type position struct{ line, column int }

// sorted puts problems in the order of the file. A value that several places
// take through an alias is reported once, at the first of its paths.
func sorted(problems []Problem) []Problem {
	key := func(p Problem) string { return p.Path[strings.LastIndexByte(p.Path, '.')+1:] }
	slices.SortFunc(problems, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Message, b.Message),
			cmp.Compare(key(a), key(b)),
			cmp.Compare(a.Path, b.Path),
		)
	})
	return slices.CompactFunc(problems, func(a, b Problem) bool {
		return a.Line == b.Line && a.Column == b.Column && a.Message == b.Message && key(a) == key(b)
	})
}

// didYouMean ends a message about an unknown word with the candidate that the
// writer most likely meant, and with all candidates.
func didYouMean(word string, candidates []string) string {
	best, bestDistance := "", 3
	for _, c := range candidates {
		// A short word is close to everything: allow one edit for each three letters.
		if n := distance(strings.ToLower(word), c); n < bestDistance && n <= max(1, len(c)/3) {
			best, bestDistance = c, n
		}
	}
	all := "want one of " + strings.Join(candidates, ", ")
	if len(candidates) == 1 {
		all = "want " + candidates[0]
	}
	if best == "" {
		return "; " + all
	}
	return ", did you mean " + best + "?; " + all
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b. Words that are too long to be a slip are far.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
