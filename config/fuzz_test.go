package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirkiln/config"
)

// FuzzParse checks that, whatever the file, Parse does not panic, every error has positions
// inside the file, and no message holds anything from a variable or a secret file.
func FuzzParse(f *testing.F) {
	const planted = "pLaNtEd"
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(planted+" \n"), 0o600); err != nil {
		f.Fatal(err)
	}
	env := func(name string) (string, bool) {
		return planted + "/" + name, name != "UNSET"
	}
	data, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(minimal))
	f.Add([]byte(withAuth("type: bearer", "token_file: secret", "token: ${T}")))
	f.Add([]byte(withAuth("type: client_credentials", "token_url: ${U}", "client_id: ${UNSET}", "client_secret_file: ${F}")))
	f.Add([]byte("x-a: &a {<<: *a}\nsink: *a\nfeeds: {f: {since: ${S}, groups: [\"${G}\"], types: [${T}]}}\nlog: {level: \"${L}\"}\n"))
	f.Add([]byte("feeds: {f: {source: s, groups_file: secret, patients: [\"${P}\"], full_every: \"${D}\", keep_runs: \"${K}\"}, g: {group_search: \"${S}\"}}\n" +
		"sources: {s: {headers: [{name: \"${N}\", value: \"${V}\"}, {value_file: secret}], parameters: [{name: \"${N}\", value: \"${V}\", type: integer}]}}\n" +
		"sink: {url: \"s3://b\", parquet: {compression: \"${C}\", compression_level: \"${L}\", row_group_mib: 9}, s3: {endpoint: \"${E}\", kms_key: \"${K}\", session_token_file: secret}}\nstate: {s3: {region: \"${R}\"}}\n"))
	f.Add([]byte("sources: {s: {fhir: \"${F}\", downloads: \"${D}\", allow_http: \"${A}\", poll: {min: \"${M}\"}}}\nsink: {url: \"s3://${B}?\"}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(strings.ToLower(string(data)), strings.ToLower(planted)) {
			t.Skip("the file itself holds the word")
		}
		cfg, err := config.Parse("config.yaml", data, dir, env)
		if err == nil {
			if err = cfg.Check(); err != nil && strings.Contains(err.Error(), planted) {
				t.Errorf("a value is in the message: %v", err)
			}
			for _, s := range cfg.Sources {
				if len(s.Problems) > 0 {
					continue
				}
				if s.Downloads < 1 || s.Poll.Min <= 0 || s.Poll.Max < s.Poll.Min || s.Exports < 1 || s.Auth.Type == "" || s.FHIR == "" {
					t.Errorf("not valid: %+v", s)
				}
			}
			for _, feed := range cfg.Feeds {
				grouped := len(feed.Groups) > 0 || feed.GroupSearch != ""
				if _, ok := cfg.Sources[feed.Source]; !ok || feed.Level == "" || (feed.Level == config.LevelGroup) != grouped || feed.IDSpace == "" {
					t.Errorf("not valid: %+v", feed)
				}
			}
			if cfg.Sink.URL == "" || cfg.State.URL == "" || cfg.State.LeaseTTL < time.Second || cfg.Parallel < 1 {
				t.Errorf("not valid: %+v, %+v", cfg.Sink, cfg.State)
			}
			return
		}
		if strings.Contains(err.Error(), planted) {
			t.Errorf("a value is in the message: %v", err)
		}
		problems, ok := errors.AsType[config.Errors](err)
		if !ok {
			t.Fatalf("%T is not config.Errors", err)
		}
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u0085") +
			strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029") + 1
		for i, p := range problems {
			if p.Line < 1 || p.Line > lines || p.Column < 1 {
				t.Errorf("%v is not in the file of %d lines", p, lines)
			}
			if i > 0 && p.Line < problems[i-1].Line {
				t.Errorf("%v comes after %v", p, problems[i-1])
			}
		}
	})
}
