package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fhirkiln/spelling"
)

// Problem is a problem in a config file or, among the warnings, something that deserves a look.
// It never holds a secret.
type Problem struct {
	File    string // as given to [Load] or [Parse]
	Line    int    // from 1
	Column  int    // from 1, in characters
	Path    string // such as sources.bison.auth.token_url or feeds.members.groups[0]; empty for the whole document
	Message string // what is wrong, then what is allowed
}

// String returns the problem on one line, in the form that editors and terminals make
// clickable: file:line:column: path: message.
func (p Problem) String() string {
	if p.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Path, p.Message)
}

// Errors are all problems in a config file, at least one, sorted by line and column.
type Errors []Problem

// Error returns the problems, one per line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Check returns the [Source.Problems] of all sources in file order as an [Errors], or nil if
// there are none.
func (c *Config) Check() error {
	var all []Problem
	for _, s := range c.Sources {
		all = append(all, s.Problems...)
	}
	if len(all) == 0 {
		return nil
	}
	return Errors(sorted(all))
}

// valueProblem is problem for a value that is wrong in itself. A value from outside the file makes
// its source a doubtful one.
func (d *decoder) valueProblem(p position, path, format string, args ...any) {
	d.problem(p, path, format, args...)
	if d.outside[path] {
		d.doubtful[sourceOf(path)] = true
	}
}

// valueProblemAt is valueProblem with the position that problemAt has.
func (d *decoder) valueProblemAt(path, format string, args ...any) {
	d.valueProblem(d.where(path), path, format, args...)
}

// sourceOf returns the name of the source that a path is in, or "".
func sourceOf(path string) string {
	if keys := strings.SplitN(path, ".", 3); len(keys) == 3 && keys[0] == "sources" {
		return keys[1]
	}
	return ""
}

// stops returns the name of the source that a problem stops alone, or "" if it stops everything.
// All problems of a doubtful source stop it alone, so that one partner's missing secret does not
// stop the feeds of all others: what is wrong in the file may only follow from that, as a missing
// token_url does from an empty discover.
func (d *decoder) stops(p Problem) string {
	if name := cmp.Or(d.dueTo[p.Path], sourceOf(p.Path)); d.doubtful[name] {
		return name
	}
	return ""
}

// distribute gives each source its problems, if there are no others.
func (d *decoder) distribute(sources map[string]Source) {
	for name, s := range sources {
		for _, p := range d.problems {
			if d.stops(p) == name {
				s.Problems = append(s.Problems, p)
			}
		}
		s.Problems = sorted(s.Problems)
		sources[name] = s
	}
}

// position is a place in the file. Both numbers count from 1.
type position struct{ line, column int }

// sorted puts problems in file order. A value that several places use through an alias is
// reported once, at the first of its paths.
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

// didYouMean returns the end of a message about an unknown word: the candidate that was most
// likely meant, and all candidates.
func didYouMean(word string, candidates []string) string {
	all := "expected one of " + strings.Join(candidates, ", ")
	if len(candidates) == 1 {
		all = "expected " + candidates[0]
	}
	if best := spelling.Nearest(word, candidates); best != "" {
		return ", did you mean " + best + "?; " + all
	}
	return "; " + all
}
