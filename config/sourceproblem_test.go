package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/config"
)

// What a source lacks from outside the file is a problem of that source and no other. Sources
// that share a value each have its problem, which Check reports once.
func TestSourceProblems(t *testing.T) {
	t.Parallel()
	doc := `x-oneup: &oneup
  type: client_credentials
  token_url: https://h/token
  client_id: ${SHARED_ID}
sources:
  bison: {fhir: https://h/r4, auth: {<<: *oneup, client_secret_file: nowhere}}
  elk: {fhir: https://h/r4, auth: {<<: *oneup, client_secret: "${EMPTY}"}}
  moose:
    fhir: ${MOOSE_URL}
    auth: {type: bearer, token: "${BLANKS}"}
    proxy: ${BLANKS}
    headers: [{name: x-api-key, value: "${MOOSE_KEY}"}, {name: x-other-key, value: "${EMPTY}"}]
    method: ${MOOSE_METHOD}
  deer: {fhir: https://h/r4, auth: {type: none}}
feeds:
  a: {source: bison, level: system}
  b: {source: elk, level: system}
  c: {source: moose, level: patient, patients: [p]}
  d: {source: deer, level: system}
sink: {url: /lake}
`
	env := variables("EMPTY", "", "BLANKS", "private value")
	cfg, err := config.Parse("config.yaml", []byte(doc), "", env)
	if err != nil {
		t.Fatal(err)
	}
	const (
		shared  = `config.yaml:4:14: sources.bison.auth.client_id: the environment variable SHARED_ID is not set; set it, or write ${SHARED_ID:-default}`
		noFile  = `config.yaml:6:70: sources.bison.auth.client_secret_file: cannot read the file: no such file or directory; expected the path of a file that holds only the secret (relative paths start at the folder of the config file)`
		isEmpty = `config.yaml:7:63: sources.elk.auth.client_secret: is empty; type client_credentials requires client_secret or client_secret_file`
	)
	moose := []string{
		`config.yaml:9:11: sources.moose.fhir: the environment variable MOOSE_URL is not set; set it, or write ${MOOSE_URL:-default}`,
		`config.yaml:10:33: sources.moose.auth.token: has spaces or characters that an HTTP header cannot carry; expected only the token`,
		`config.yaml:11:12: sources.moose.proxy: not a proxy URL; expected http://, https:// or socks5://host:port`,
		`config.yaml:12:40: sources.moose.headers[0].value: the environment variable MOOSE_KEY is not set; set it, or write ${MOOSE_KEY:-default}`,
		`config.yaml:12:84: sources.moose.headers[1].value: is empty; expected value or value_file`,
		`config.yaml:13:13: sources.moose.method: the environment variable MOOSE_METHOD is not set; set it, or write ${MOOSE_METHOD:-default}`,
	}
	for name, want := range map[string][]string{
		"bison": {shared, noFile},
		"elk":   {strings.ReplaceAll(shared, "bison", "elk"), isEmpty},
		"moose": moose,
		"deer":  nil,
	} {
		var got []string
		for _, p := range cfg.Sources[name].Problems {
			got = append(got, p.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	all := strings.Join(append([]string{shared, noFile, isEmpty}, moose...), "\n")
	if err := cfg.Check(); err == nil || err.Error() != all {
		t.Errorf("Check:\n%v\nwant\n%s", err, all)
	}

	// With a mistake in the file itself, nothing can be used, and everything is reported.
	_, err = config.Parse("config.yaml", []byte(doc+"logs: {}\n"), "", env)
	if problems, ok := errors.AsType[config.Errors](err); !ok || len(problems) != 10 {
		t.Errorf("got %v", err)
	}
}

// Outside the sources, every problem stops everything.
func TestSinkProblems(t *testing.T) {
	t.Parallel()
	_, err := config.Parse("config.yaml", []byte(strings.Replace(minimal, "url: /data", "url: s3://lake\n  s3: {access_key_id: a, secret_access_key: '${UNSET}'}", 1)), "", variables())
	if _, ok := errors.AsType[config.Errors](err); !ok {
		t.Errorf("got %v", err)
	}
}
