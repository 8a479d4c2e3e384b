package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"fhirkiln/config"
)

// withAuth returns a file whose source has the given lines under auth.
func withAuth(lines ...string) string {
	return strings.Replace(minimal, "auth: {type: none}", "auth:\n      "+strings.Join(lines, "\n      "), 1)
}

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	const planted = "hunter2-planted"
	doc := withAuth(
		"type: client_credentials",
		"token_url: https://auth.example.org/token",
		"client_id: me",
		"client_secret: ${PLANTED}",
		"headers: [{name: x-api-key, value: \"${PLANTED}\"}]",
	)
	doc = strings.Replace(doc, "      headers", "    headers", 1)
	doc = strings.Replace(doc, "url: /data", "url: s3://lake\n  s3: {access_key_id: a, secret_access_key: \"${PLANTED}\", session_token: \"${PLANTED}\"}", 1)
	cfg, err := parse(doc, "", "PLANTED", planted)
	if err != nil {
		t.Fatal(err)
	}
	secret := cfg.Sources["s"].Auth.ClientSecret
	if secret.Reveal() != planted || cfg.Sources["s"].Headers[0].Value != planted || cfg.State.S3.SessionToken != planted {
		t.Fatalf("Reveal gives %q", secret.Reveal())
	}
	prints := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
		prints[verb+" of the config"] = fmt.Sprintf(verb, cfg)
		prints[verb+" of the source"] = fmt.Sprintf(verb, cfg.Sources["s"])
		prints[verb] = fmt.Sprintf(verb, secret)
	}
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	prints["JSON"] = string(asJSON)
	asYAML, err := yaml.Dump(cfg)
	if err != nil {
		t.Fatal(err)
	}
	prints["YAML"] = string(asYAML)
	var text, jsonLog bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&jsonLog, nil)} {
		slog.New(h).Info("x", "secret", secret, "config", cfg, "source", cfg.Sources["s"])
	}
	prints["text log"], prints["JSON log"] = text.String(), jsonLog.String()
	prints["error"] = fmt.Errorf("secret %v: %w", secret, os.ErrInvalid).Error()
	prints["String"] = secret.String()
	prints["GoString"] = secret.GoString()
	hex := fmt.Sprintf("%x", planted)
	for how, print := range prints {
		if strings.Contains(print, planted) || strings.Contains(strings.ToLower(print), hex) {
			t.Errorf("%s shows the secret: %s", how, print)
		}
	}
	for _, how := range []string{"%v", "%#v", "%x", "%v of the config", "JSON", "YAML", "text log", "JSON log"} {
		if !strings.Contains(prints[how], "[redacted]") {
			t.Errorf("%s does not say that something is hidden: %s", how, prints[how])
		}
	}
}

// TestSecretNotInProblems puts a secret where it belongs, with mistakes around it, including
// invalid YAML.
func TestSecretNotInProblems(t *testing.T) {
	t.Parallel()
	const planted = "hunter2-planted"
	for _, value := range []string{
		planted, "'" + planted, "*" + planted, "!" + planted + " x", "!%" + planted, "&" + planted, "@" + planted,
		"[" + planted, "{" + planted + "}", "'a' " + planted, "${" + planted, "a${ }" + planted, "|" + planted,
		"\"\\q" + planted + "\"", planted + ": " + planted + ": x", "{a: ${PLANTED}}", "${PLANTED}",
	} {
		for _, key := range []string{"client_secret", "token", "client_secret_file"} {
			if key == "client_secret_file" && !strings.HasPrefix(value, "${P") && value != planted {
				continue // this key holds a path; only secrets put there by mistake matter
			}
			_, err := parse(withAuth("type: oauth", key+": "+value), "", "PLANTED", planted)
			if err == nil {
				t.Fatalf("%s: %s is no problem", key, value)
			}
			if strings.Contains(err.Error(), planted) {
				t.Errorf("%s: %s\nis in the message: %v", key, value, err)
			}
		}
	}
}

func TestSecretFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		writeFile(t, filepath.Join(dir, name), content, 0o600)
		return name
	}
	load := func(file string) (*config.Config, error) {
		return parse(withAuth("type: bearer", "token_file: "+file), dir, "DIR", dir)
	}
	for name, test := range map[string]struct{ file, want string }{
		"no newline":      {write("a", "tok"), "tok"},
		"newline":         {write("b", "tok\n"), "tok"},
		"windows newline": {write("c", "tok\r\n"), "tok"},
		"not expanded":    {write("d", "${DIR}$$"), "${DIR}$$"},
		"absolute":        {filepath.Join(dir, "a"), "tok"},
		"variable":        {"${DIR}/a", "tok"},
		"largest":         {write("e", strings.Repeat("x", 64<<10)), strings.Repeat("x", 64<<10)},
	} {
		cfg, err := load(test.file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := cfg.Sources["s"].Auth.Token.Reveal(); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
		if len(cfg.Warnings) > 0 {
			t.Errorf("%s: warnings %v", name, cfg.Warnings)
		}
	}
	for name, test := range map[string]struct{ file, want string }{
		"missing":      {"nowhere", "cannot read the file: no such file or directory"},
		"folder":       {".", "cannot read the file: not a regular file"},
		"device":       {os.DevNull, "cannot read the file: not a regular file"},
		"empty":        {write("f", ""), "cannot read the file: the file is empty"},
		"newlines":     {write("g", "\n\n"), "cannot read the file: the file is empty"},
		"too large":    {write("h", strings.Repeat("x", 64<<10+1)), "cannot read the file: larger than 64 KiB"},
		"two newlines": {write("i", "tok\n\n"), "has spaces or characters that an HTTP header cannot carry"},
	} {
		_, err := load(test.file)
		if want := "config.yaml:6:19: sources.s.auth.token_file: " + test.want; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one problem: %v", name, err)
		}
	}
}

func TestSecretFileOfEveryone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "open"), "tok", 0o644)
	cfg, err := parse(withAuth("type: bearer", "token_file: open"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) != 1 || !strings.HasPrefix(cfg.Warnings[0].String(), "config.yaml:6:19: sources.s.auth.token_file: every user of this machine can read") {
		t.Errorf("warnings: %v", cfg.Warnings)
	}
}

// Files that other packages read are checked too.
func TestOtherFilesOfEveryone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	for key, source := range map[string]string{
		"tls.client_key":           "auth: {type: none}\n    tls: {client_cert: cert, client_key: key}",
		"auth.refresh_token_store": "auth: {type: oneup_user, client_id: a, client_secret: b, app_user_id: c, refresh_token_store: key}",
	} {
		for mode, want := range map[os.FileMode]int{0o644: 1, 0o600: 0} {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "key"), "PRIVATE KEY", mode)
			cfg, err := parse(strings.Replace(minimal, "auth: {type: none}", source, 1), dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(cfg.Warnings) != want || want > 0 && !strings.Contains(cfg.Warnings[0].String(), "sources.s."+key+": every user of this machine can read") {
				t.Errorf("%s, mode %o, warnings: %v", key, mode, cfg.Warnings)
			}
		}
	}
}

// TestSecretOfTwo checks that an empty variable falls back to the file.
func TestSecretOfTwo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "f"), "from-file", 0o600)
	doc := withAuth("type: bearer", "token: ${T:-}", "token_file: ${F:-}")
	for _, test := range []struct{ env, value, want string }{
		{"T", "from-env", "from-env"},
		{"F", "f", "from-file"},
	} {
		cfg, err := parse(doc, dir, test.env, test.value)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Sources["s"].Auth.Token.Reveal(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
