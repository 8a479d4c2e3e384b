package main

import (
	"strings"
	"testing"
)

// TestParse checks that command lines that would measure nothing, or replace the document's
// tables with weaker ones, are rejected before anything runs.
func TestParse(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                             "",
		"-mb 1 -big 1 -runs 1":         "",
		"-mb 0":                        "1 or more",
		"-runs 0":                      "1 or more",
		"-big -1":                      "1 or more",
		"columns":                      `"columns"`,
		"-clock sun":                   "wall or cpu",
		"-only nothing":                "see -list",
		"-only columns,columns":        "",
		"-write":                       "-big 10000",
		"-write -big 10000":            "",
		"-write -big 10000 -runs 7":    "",
		"-write -big 10000 -runs 4":    "-runs 5",
		"-write -big 10000 -mb 50":     "-mb 50",
		"-write -big 10000 -only size": "needs columns",
		"-write -only same":            "",
		"-write -only growth,codecs":   "",
		"-write -only growth -runs 1":  "",
		"-write -only growth -mb 20":   "-mb 20",
		"-write -only growth,columns":  "needs inferred",
	} {
		_, err := parse(strings.Fields(args))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", args, err)
		}
	}
	o, err := parse(strings.Fields("-only columns,size,columns"))
	if err != nil || len(o.suites) != 2 || o.writes("growth") {
		t.Errorf("chosen: %v, %v", o, err)
	}
}
