package setup_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/setup"
)

// A config and one run of a feed, with a practice server in place of a payer's.
func Example() {
	server, err := bulktest.NewServer(bulktest.Options{Data: bulktest.Files{
		bulktest.Lines("Patient", `{"resourceType":"Patient","id":"1"}`, `{"resourceType":"Patient","id":"2"}`),
		bulktest.Lines("Coverage", `{"resourceType":"Coverage","id":"3","beneficiary":{"reference":"Patient/1"}}`),
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	dir, err := os.MkdirTemp("", "fhirkiln")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
sources:
  practice:
    fhir: %s
    auth: {type: client_credentials, token_url: "%s", client_id: %s, client_secret: %s, scope: "%s"}
feeds:
  members: {source: practice, level: system}
sink: {url: lake}
`, server.FHIR(), server.TokenURL(), bulktest.DefaultClientID, bulktest.DefaultClientSecret, bulktest.DefaultScope), 0o600); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		log.Fatal(err)
	}
	session, err := setup.Open(ctx, cfg, setup.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	feed, _ := cfg.Feed("members")
	o, err := session.RunOptions(feed)
	if err != nil {
		log.Fatal(err)
	}
	report, err := pipeline.Run(ctx, o)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d resources in %d parts\n", report.Status, report.Resources, len(report.Parts))
	// Output: published: 3 resources in 2 parts
}
