package main

import (
	"strings"
	"testing"

	"fhirkiln/config"
	"fhirkiln/pipeline/lake"
)

// The command that demo prints for DuckDB works as is: a bucket needs a secret first.
func TestDuckDBCommand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		out      string
		settings config.S3
		begins   string
	}{
		{"/lake", config.S3{}, `SELECT resourceType`},
		{"/lake", config.S3{Endpoint: "http://localhost:9000", PathStyle: true}, `SELECT resourceType`},
		{"s3://lake/demo", config.S3{}, `INSTALL aws; CREATE SECRET (TYPE s3, PROVIDER credential_chain); SELECT resourceType`},
		{"s3://lake/demo", config.S3{Endpoint: "http://localhost:9000", PathStyle: true}, `INSTALL aws; CREATE SECRET (TYPE s3, PROVIDER credential_chain, ENDPOINT 'localhost:9000', URL_STYLE 'path', USE_SSL false); SELECT`},
		{"s3://lake/demo", config.S3{Endpoint: "https://s3.example.org"}, `INSTALL aws; CREATE SECRET (TYPE s3, PROVIDER credential_chain, ENDPOINT 's3.example.org', URL_STYLE 'vhost', USE_SSL true); SELECT`},
	} {
		got := duckdbCommand(tt.out, tt.settings, &lake.Report{Run: "r1"})
		if !strings.HasPrefix(got, `duckdb -c "`+tt.begins) || !strings.Contains(got, " FROM '"+tt.out+"/r4-core-1/") {
			t.Errorf("%s with %+v: %s", tt.out, tt.settings, got)
		}
	}
}
