package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/config"
)

const example = "../config.yaml"

// TestExample loads config.yaml as is, with no variable set.
func TestExample(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(example, variables())
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("warnings: %v", cfg.Warnings)
	}
	practice := cfg.Sources["practice"]
	if got, want := practice.FHIR, "http://127.0.0.1:8765/fhir"; got != want {
		t.Errorf("fhir %s, want the practice server, %s", got, want)
	}
	if got, want := practice.Auth.Scope, "bulk-data|user/*.rs"; got != want {
		t.Errorf("scope %s, want %s", got, want)
	}
	if len(cfg.Feeds) != 1 || cfg.Feeds[0].Level != config.LevelSystem || cfg.Feeds[0].Source != "practice" {
		t.Errorf("feeds %+v, want one, of everything", cfg.Feeds)
	}
	if got := cfg.Sink.URL; got != filepath.Join("..", "fhirkiln-data") {
		t.Errorf("sink %s, want fhirkiln-data beside config.yaml", got)
	}
}

// TestExampleUncommented removes the # of every setting that is commented out, as the head of
// config.yaml tells users to, and loads the result.
func TestExampleUncommented(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	doc := regexp.MustCompile(`(?m)^#(  +\S)`).ReplaceAllString(string(data), "$1")
	secrets := t.TempDir()
	for _, name := range []string{"oneup-provider", "oneup-payer", "fhir-token", "smart-key", "smart-tls", "smart-tls-key", "smart-ca"} {
		if !strings.Contains(doc, "/run/secrets/"+name) {
			t.Errorf("config.yaml does not use /run/secrets/%s", name)
		}
		writeFile(t, filepath.Join(secrets, name), name+"\n", 0o600)
	}
	doc = strings.ReplaceAll(doc, "/run/secrets", secrets)
	cfg, err := parse(doc, "", "ONEUP_PROVIDER_CLIENT_ID", "provider", "ONEUP_PAYER_CLIENT_ID", "payer",
		"SMART_CLIENT_ID", "smart", "ONEUP_CLIENT_ID", "oneup", "ONEUP_CLIENT_SECRET", "oneup-secret")
	if err != nil {
		t.Fatal(err)
	}
	const realm = "https://gateway.1up.health/auth/realms/dev-portal/protocol/openid-connect/token"
	for _, name := range []string{"bison-provider-access", "bison-payer-to-payer"} {
		s := cfg.Sources[name]
		if s.Auth.TokenURL != realm || s.Auth.TokenMethod != "POST" || s.Auth.Scope != "bulk-data|user/*.rs" {
			t.Errorf("%s: %+v", name, s.Auth)
		}
		if !strings.HasPrefix(s.Auth.ClientSecret.Reveal(), "oneup-") {
			t.Errorf("%s has no secret of its file", name)
		}
	}
	var purposes []config.Purpose
	for _, f := range cfg.Feeds {
		purposes = append(purposes, f.Purpose)
	}
	wantPurposes := []config.Purpose{
		config.PurposeBackfill, config.PurposeProviderAccess, config.PurposeProviderAccess, config.PurposePayerToPayer, config.PurposeBackfill,
	}
	if diff := cmp.Diff(wantPurposes, purposes); diff != "" {
		t.Errorf("purposes of the feeds (-want +got):\n%s", diff)
	}
	if cfg.State.URL != "s3://fhirkiln-state/production" || cfg.State.S3.KMSKey != "alias/fhirkiln" {
		t.Errorf("state %+v", cfg.State)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("warnings: %v", cfg.Warnings)
	}

	// For an optional setting, config.yaml shows the default or an example.
	active, err := config.Load(example, variables())
	if err != nil {
		t.Fatal(err)
	}
	a, b := active.Sources["practice"], cfg.Sources["practice"]
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("the defaults that config.yaml shows are not those of the code (-code +file):\n%s", diff)
	}
	parquet := active.Sink.Parquet
	parquet.CompressionLevel, parquet.RowGroupMiB = 1, 256 // their defaults depend on other values
	if diff := cmp.Diff(parquet, cfg.Sink.Parquet); diff != "" {
		t.Errorf("the defaults that config.yaml shows are not those of the code (-code +file):\n%s", diff)
	}
	if key := cfg.Sources["with-a-key"]; key.Auth.PrivateKey.Reveal() != "smart-key" || key.TLS.CA != secrets+"/smart-ca" {
		t.Errorf("with-a-key: %+v", key)
	}
}

// TestRunningExample loads the config of the CronJob in docs/running.md.
func TestRunningExample(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/running.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(doc), "  config.yaml: |\n")
	file, _, ends := strings.Cut(after, "---\n")
	if !found || !ends {
		t.Fatal("docs/running.md shows no ConfigMap")
	}
	if _, err := parse(strings.ReplaceAll(file, "\n    ", "\n")[4:], "", "ONEUP_CLIENT_ID", "a", "ONEUP_CLIENT_SECRET", "b"); err != nil {
		t.Error(err)
	}
}
