package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Users find every exit code in docs/exit-codes.md and in --help, and no others.
func TestExitCodesAreDocumented(t *testing.T) {
	t.Parallel()
	constants := exitCodes(t, read(t, "main.go"), `(?m)^\texit\w+ += (\S+)`)
	if len(constants) == 0 {
		t.Fatal("main.go has no constants exit... = NUMBER")
	}

	rows := exitCodes(t, read(t, "../../docs/exit-codes.md"), `(?m)^\| (\d[^|]*) \|`)
	if diff := cmp.Diff(constants, rows); diff != "" {
		t.Errorf("docs/exit-codes.md (-constants +rows)\n%s", diff)
	}

	_, help, _ := strings.Cut(description, "Exit codes:")
	help, _, _ = strings.Cut(help, "\n\n")
	if diff := cmp.Diff(constants, exitCodes(t, help, `(\d+)`)); diff != "" {
		t.Errorf("--help (-constants +described)\n%s", diff)
	}
}

// exitCodes returns the numbers in a text that a pattern's group matches, in ascending order.
// A match may hold several: 129, 130, 143.
func exitCodes(t *testing.T, text, pattern string) []int {
	t.Helper()
	var codes []int
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		for code := range strings.SplitSeq(match[1], ", ") {
			n, err := strconv.Atoi(code)
			if err != nil {
				t.Fatalf("%q: %v", match[0], err)
			}
			codes = append(codes, n)
		}
	}
	slices.Sort(codes)
	return codes
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
