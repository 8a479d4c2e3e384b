package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/config"
)

// variables returns an environment for tests.
func variables(pairs ...string) func(string) (string, bool) {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	}
}

// parse parses a document in the folder dir. Problems of sources are errors too.
func parse(doc, dir string, pairs ...string) (*config.Config, error) {
	cfg, err := config.Parse("config.yaml", []byte(doc), dir, variables(pairs...))
	if err == nil {
		err = cfg.Check()
	}
	return cfg, err
}

// minimal has only what every file must have. Tests replace parts of it.
const minimal = `sources:
  s:
    fhir: https://fhir.example.org/r4
    auth: {type: none}
feeds:
  f:
    source: s
    level: system
sink:
  url: /data
`

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := parse(minimal+"log:\n", "")
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Sources: map[string]config.Source{"s": {
			Name:         "s",
			FHIR:         "https://fhir.example.org/r4",
			Auth:         config.Auth{Type: config.AuthNone, TokenMethod: "POST", ClientAuth: "form"},
			Operation:    config.OperationExport,
			Method:       "GET",
			SinceFormat:  "instant",
			ListFormat:   "comma",
			Exports:      1,
			DeleteExport: config.DeleteAuto,
			Poll:         config.Poll{Min: time.Second, Max: 5 * time.Minute, Deadline: 24 * time.Hour},
			Downloads:    4,
		}},
		Feeds:    []config.Feed{feed("f", "s", func(f *config.Feed) { f.Level = config.LevelSystem })},
		Sink:     config.Sink{URL: "/data", S3: defaultS3(), Parquet: config.Parquet{Compression: config.CompressionZstd}},
		State:    config.State{URL: "/data", S3: defaultS3(), LeaseTTL: time.Minute},
		Parallel: 4,
		Log:      config.Log{Format: "text", Level: "info"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAuthTypes covers the types that TestParseFillsEverything does not.
func TestAuthTypes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "key.pem"), "-----BEGIN\n...\n", 0o600)
	for name, test := range map[string]struct {
		source string
		want   func(*config.Source)
	}{
		"private_key_jwt": {
			"auth: {type: private_key_jwt, discover: true, client_id: a, private_key_file: key.pem, key_id: k, jku: 'https://c/jwks.json', scope: s, require_scope: true}",
			func(s *config.Source) {
				s.Auth.Discover, s.Auth.ClientID, s.Auth.PrivateKey, s.Auth.KeyID = true, "a", "-----BEGIN\n...", "k"
				s.Auth.PrivateKeyFile = filepath.Join(dir, "key.pem")
				s.Auth.JKU, s.Auth.Scope, s.Auth.RequireScope = "https://c/jwks.json", "s", true
			},
		},
		"oneup_user": {
			"auth: {type: oneup_user, client_id: a, client_secret: b, app_user_id: 007, code: c, refresh_token: r, refresh_token_store: state/r, " +
				"code_url: 'https://c/code', token_url: 'https://c/token', names: {user: u, code_secret: cs, token_secret: ts, code_grant: cg, refresh_grant: rg}}",
			func(s *config.Source) {
				s.Auth.ClientID, s.Auth.ClientSecret, s.Auth.AppUserID, s.Auth.Code, s.Auth.RefreshToken = "a", "b", "007", "c", "r"
				s.Auth.RefreshTokenStore, s.Auth.CodeURL, s.Auth.TokenURL = filepath.Join(dir, "state", "r"), "https://c/code", "https://c/token"
				s.Auth.Names = config.Names{User: "u", CodeSecret: "cs", TokenSecret: "ts", CodeGrant: "cg", RefreshGrant: "rg"}
			},
		},
		"oneup_headers": {
			"auth: {type: oneup_headers, client_id: a, client_secret: b, oneup_user_id: 12}",
			func(s *config.Source) { s.Auth.ClientID, s.Auth.ClientSecret, s.Auth.OneUpUserID = "a", "b", "12" },
		},
		"none": {
			"auth: {type: none}\n    token_origins: [https://h, 'http://127.0.0.1:80']\n    file_hosts: [https://b.example]\n" +
				"    tls: {client_cert: c.pem, client_key: /k.pem, ca: ca.pem}\n    proxy: http://me:pw@p:3128",
			func(s *config.Source) {
				s.TokenOrigins, s.FileHosts, s.Proxy = []string{"https://h", "http://127.0.0.1:80"}, []string{"https://b.example"}, "http://me:pw@p:3128"
				s.TLS = config.TLS{ClientCert: filepath.Join(dir, "c.pem"), ClientKey: "/k.pem", CA: filepath.Join(dir, "ca.pem")}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(strings.Replace(minimal, "auth: {type: none}", test.source, 1), dir)
			if err != nil {
				t.Fatal(err)
			}
			before, err := parse(minimal, dir)
			if err != nil {
				t.Fatal(err)
			}
			want := before.Sources["s"]
			want.Auth.Type = config.AuthType(name)
			test.want(&want)
			reveal := cmp.Transformer("reveal", func(s config.Secret) string { return s.Reveal() })
			if diff := cmp.Diff(want, got.Sources["s"], reveal); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	writeFile(t, path, strings.Replace(minimal, "/data", "data", 1), 0o600)
	got, err := config.Load(path, variables())
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "data"); got.Sink.URL != want {
		t.Errorf("sink %s, want %s", got.Sink.URL, want)
	}

	_, err = config.Load(filepath.Join(dir, "none.yaml"), variables())
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}

	writeFile(t, path, "nonsense: true\n", 0o600)
	_, err = config.Load(path, variables())
	if err == nil || !strings.HasPrefix(err.Error(), path+":1:1: ") {
		t.Errorf("the path is not in %v", err)
	}
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// Reading what was published needs none of the sources' secrets, but everything else.
func TestLoadPlaces(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	write := func(sink string) {
		content := "sources: {s: {fhir: https://h/r4, auth: {type: client_credentials, token_url: https://h/token, client_id: a, client_secret: '${UNSET}'}}}\n" +
			"feeds: {f: {source: s, level: system}}\nsink: {url: '" + sink + "'}\n"
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("/lake")
	if cfg, err := config.Load(path, variables()); err != nil || cfg.Check() == nil || !strings.Contains(cfg.Check().Error(), "UNSET") {
		t.Errorf("Load: %+v, %v", cfg, err)
	}
	if cfg, err := config.LoadPlaces(path, variables()); err != nil || cfg.Sink.URL != "/lake" || len(cfg.Feeds) != 1 || cfg.Sources != nil {
		t.Errorf("LoadPlaces: %+v, %v", cfg, err)
	}
	if err := os.WriteFile(path, []byte("sink: {url: /lake}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err := config.LoadPlaces(path, variables()); err != nil || cfg.Sink.URL != "/lake" || cfg.Feeds != nil {
		t.Errorf("LoadPlaces of a sink alone: %+v, %v", cfg, err)
	}
	write("${ALSO_UNSET}")
	if _, err := config.LoadPlaces(path, variables()); err == nil || strings.Contains(err.Error(), "${UNSET}") || !strings.Contains(err.Error(), "ALSO_UNSET") {
		t.Errorf("LoadPlaces: %v", err)
	}
}

// Booleans are spelled as in YAML 1.2.
func TestBooleans(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"true": true, "True": true, `"TRUE"`: true, "false": false, "False": false, "FALSE": false} {
		cfg, err := parse(strings.Replace(minimal, "level: system", "level: system\n    partial_manifests: "+text, 1), "")
		if err != nil || cfg.Feeds[0].PartialManifests != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
