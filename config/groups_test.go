package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGroupsFile checks what the file may contain, and that no message quotes it.
func TestGroupsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, test := range map[string]struct {
		content, want string
		groups        []string
		warning       string
	}{
		"ids":            {content: "1\n 2 # two\n#3\n\n4", groups: []string{"1", "2", "4"}},
		"twice":          {content: "1\n2\n1\n", groups: []string{"1", "2"}, warning: "line 3 of the file: the id is already listed above; it is exported only once"},
		"several":        {content: "1\n1\n1\n1\n", groups: []string{"1"}, warning: "line 2 and 2 more of the file: the id is already listed above"},
		"empty":          {content: "", want: "the file names no group; expected one Group id per line"},
		"comments alone": {content: "# 1\n", want: "the file names no group"},
		"reference":      {content: "1\nGroup/planted\n", want: "line 2 of the file: not a Group id; expected Group ids such as 1234, without the Group/ prefix, one per line"},
		"another file":   {content: "<planted>\n<b>\n", want: "lines 1 and 2 of the file: not a Group id"},
		"too large":      {content: strings.Repeat("#", 4<<20+1), want: "cannot read the file: larger than 4096 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := strings.ReplaceAll(name, " ", "-")
			writeFile(t, filepath.Join(dir, file), test.content, 0o600)
			cfg, err := parse(strings.Replace(minimal, "level: system", "groups_file: "+file, 1), dir)
			if test.want != "" {
				if want := "config.yaml:8:18: feeds.f.groups_file: " + test.want; err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "planted") {
					t.Errorf("got %v, want %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.groups, cfg.Feeds[0].Groups); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := fmt.Sprint(cfg.Warnings); (got == "[]") != (test.warning == "") || !strings.Contains(got, test.warning) {
				t.Errorf("warnings %s, want %s", got, test.warning)
			}
		})
	}
}

// TestWarnings covers settings that work but do not do what they seem to.
func TestWarnings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ keys, want string }{
		"retire":                {"retire: full", "9:13: feeds.f.retire: without full_every, only full exports that you ask for retire anything"},
		"keep_runs":             {"keep_runs: 3", "9:16: feeds.f.keep_runs: without full_every, nothing is removed until you ask for a full export"},
		"keep_days":             {"keep_days: 3", "9:16: feeds.f.keep_days: without full_every, nothing is removed"},
		"all with full_every":   {"{retire: full, keep_runs: 3, keep_days: 3, full_every: 1d}", ""},
		"defaults":              {"retire: never", ""},
		"an overlap of nothing": {"overlap: 0s", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := "    " + test.keys + "\n"
			if strings.HasPrefix(test.keys, "{") {
				keys = "    <<: " + test.keys + "\n"
			}
			cfg, err := parse(strings.Replace(minimal, "    level: system\n", "    level: system\n"+keys, 1), "")
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, w := range cfg.Warnings {
				got += w.String() + "\n"
			}
			if test.want == "" && got != "" || !strings.Contains(got, test.want) || strings.Count(got, "\n") > 1 {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
