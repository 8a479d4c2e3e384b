package config_test

import (
	"errors"
	"path/filepath"
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

// Whatever a variable makes of a source's values stops that source alone.
func TestWrongVariableStopsItsSource(t *testing.T) {
	t.Parallel()
	const (
		base    = "fhir: https://h/r4, "
		oneUp   = "client_id: a, client_secret: b, "
		noPath  = "is empty; expected the path of a file"
		noURL   = "not a URL"
		wantURL = "is empty; expected a base URL"
	)
	for settings, want := range map[string]string{
		`fhir: "${EMPTY}", auth: {type: none}`:                  "fhir: " + wantURL,
		`fhir: "${JUNK}", auth: {type: none}`:                   "fhir: " + noURL,
		`fhir: "https://h/r4?${JUNK}", auth: {type: none}`:      "fhir: " + noURL,
		`fhir: "https://h/r4?x=${EMPTY}", auth: {type: none}`:   "fhir: has a ?",
		`fhir: "https://h/$export${EMPTY}", auth: {type: none}`: "fhir: contains $export",
		base + `auth: {type: "${EMPTY}"}`:                       "auth.type: is empty",
		base + `auth: {type: "${JUNK}"}`:                        `auth.type: "${JUNK}" is not valid`,
		base + `auth: {type: bearer, token_file: "${EMPTY}"}`:   "auth.token_file: " + noPath,
		base + `auth: {type: client_credentials, token_url: https://h, client_id: a, client_secret_file: "${EMPTY}"}`: "auth.client_secret_file: " + noPath,
		base + `auth: {type: client_credentials, ` + oneUp + `token_url: "${EMPTY}"}`:                                 "auth.token_url: is empty",
		base + `auth: {type: client_credentials, ` + oneUp + `token_url: "${JUNK}"}`:                                  "auth.token_url: " + noURL,
		base + `auth: {type: client_credentials, ` + oneUp + `discover: "${UNSET}"}`:                                  "auth.discover: the environment variable UNSET",
		base + `auth: {type: client_credentials, ` + oneUp + `token_url: https://h, token_method: "${JUNK}"}`:         `auth.token_method: "${JUNK}" is not valid`,
		base + `auth: {type: private_key_jwt, token_url: https://h, client_id: a, private_key: b, jku: "${JUNK}"}`:    "auth.jku: " + noURL,
		base + `auth: {type: oneup_user, ` + oneUp + `app_user_id: "${EMPTY}"}`:                                       "auth.app_user_id: is empty; type oneup_user requires app_user_id or code or refresh_token",
		base + `auth: {type: oneup_user, ` + oneUp + `refresh_token_file: "${EMPTY}"}`:                                "auth.refresh_token_file: " + noPath,
		base + `auth: {type: oneup_headers, ` + oneUp + `oneup_user_id: "${EMPTY}"}`:                                  "auth.oneup_user_id: is empty",
		base + `auth: {type: oneup_headers, ` + oneUp + `oneup_user_id: "${JUNK}"}`:                                   `auth.oneup_user_id: "${JUNK}" is not valid`,
		base + `auth: {type: none}, token_origins: ["${EMPTY}"]`:                                                      "token_origins[0]: is empty",
		base + `auth: {type: none}, file_hosts: ["${JUNK}"]`:                                                          `file_hosts[0]: "${JUNK}" is not valid`,
		base + `auth: {type: none}, parameters: [{name: "${EMPTY}"}]`:                                                 "parameters[0].name: is empty",
		base + `auth: {type: none}, parameters: [{name: a, type: integer, value: "${JUNK}"}]`:                         "parameters[0].value: is not a valid integer",
		base + `auth: {type: none}, tls: {client_cert: "${EMPTY}", client_key: k}`:                                    "tls.client_cert: is empty; client_key requires it",
		base + `auth: {type: none}, tls: {client_cert: c, client_key: "${EMPTY}"}`:                                    "tls.client_key: is empty; client_cert requires it",
		base + `auth: {type: none}, method: "${JUNK}"`:                                                                `method: "${JUNK}" is not valid`,
		base + `auth: {type: none}, exports: "${JUNK}"`:                                                               `exports: "${JUNK}" is not a whole number`,
		base + `auth: {type: none}, poll: {min: 1h, max: "1${MINUTE}"}`:                                               "poll.min: is longer than max",
		`fhir: http://h/r4, auth: {type: none}, allow_http: "${UNSET}"`:                                               "allow_http: the environment variable UNSET",
		`fhir: http://h/r4, auth: {type: none}, allow_http: "${EMPTY}"`:                                               "fhir: is not encrypted",
		base + `auth: {type: client_credentials, ` + oneUp + `discover: "${EMPTY}"}`:                                  "auth.token_url: missing",
		base + `auth: {type: oneup_user, ` + oneUp + `oneup_user_id: "${EMPTY}"}`:                                     "auth: does not say whose data to export",
		base + `auth: {type: none}, lenient: "${EMPTY}", downloads: many`:                                             `downloads: "many" is not a whole number`,
	} {
		cfg, err := config.Parse("config.yaml", []byte("sources:\n  bison: {"+settings+"}\n  deer: {fhir: https://h/r4, auth: {type: none}}\n"+
			"feeds:\n  a: {source: bison, level: group, groups: [g]}\n  b: {source: deer, level: system}\nsink: {url: /lake}\n"), "", variables("EMPTY", "", "JUNK", "j u\tnk", "MINUTE", "m"))
		if err != nil {
			t.Errorf("%s stops everything: %v", settings, err)
			continue
		}
		got := cfg.Sources["bison"].Problems
		if len(got) != 1 || !strings.Contains(got[0].String(), "sources.bison."+want) || len(cfg.Sources["deer"].Problems) > 0 {
			t.Errorf("%s: got %v, want %s", settings, got, want)
		}
	}
}

// A setting of a feed may only fit another value of its source than an empty variable leaves.
func TestFeedsOfAnEmptyVariable(t *testing.T) {
	t.Parallel()
	for source, feed := range map[string]string{
		`method: "${EMPTY}"`:    "patients: [p]",
		`operation: "${EMPTY}"`: "export_type: a#b",
	} {
		doc := "sources:\n  bison: {fhir: https://h/r4, auth: {type: none}, " + source + "}\n  deer: {fhir: https://h/r4, auth: {type: none}}\n" +
			"feeds:\n  a: {source: bison, groups: [g], " + feed + "}\n  b: {source: deer, level: system}\nsink: {url: /lake}\n"
		cfg, err := config.Parse("config.yaml", []byte(doc), "", variables("EMPTY", ""))
		if err != nil {
			t.Errorf("%s stops everything: %v", source, err)
			continue
		}
		key, _, _ := strings.Cut(feed, ":")
		if got := cfg.Sources["bison"].Problems; len(got) != 1 || got[0].Path != "feeds.a."+key || len(cfg.Sources["deer"].Problems) > 0 {
			t.Errorf("%s: got %v", source, got)
		}
		file := filepath.Join(t.TempDir(), "config.yaml")
		writeFile(t, file, doc, 0o600)
		if _, err := config.LoadPlaces(file, variables("EMPTY", "")); err != nil {
			t.Errorf("%s: LoadPlaces: %v", source, err)
		}
		for _, wrong := range []string{strings.Replace(doc, "b: {", "b: {"+feed+", ", 1), strings.Replace(doc, "groups: [g]", "level: zoo", 1)} {
			if _, err := config.Parse("config.yaml", []byte(wrong), "", variables("EMPTY", "")); err == nil {
				t.Errorf("a mistake elsewhere stops only bison:\n%s", wrong)
			}
		}
	}
}

// Names may be long: sources whose names begin alike do not share problems or positions.
func TestLongNamesAreDistinct(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 99)
	doc := "sources:\n  " + long + "b: {fhir: https://h/r4, auth: {type: bearer, token: '${UNSET}'}}\n  " + long + "c: {fhir: https://h/r4, auth: {type: none}}\n" +
		"feeds:\n  f: {source: " + long + "c, level: system}\nsink: {url: /lake}\n"
	cfg, err := config.Parse("config.yaml", []byte(doc), "", variables())
	if err != nil {
		t.Fatal(err)
	}
	if b, c := cfg.Sources[long+"b"].Problems, cfg.Sources[long+"c"].Problems; len(b) != 1 || len(c) != 0 {
		t.Errorf("got %v and %v", b, c)
	}
}

// The same values, written into the file itself, are mistakes in the file.
func TestWrongValueInTheFileStopsEverything(t *testing.T) {
	t.Parallel()
	for _, settings := range []string{`fhir: "", auth: {type: none}`, `fhir: j, auth: {type: none}`, `fhir: https://h/r4, auth: {type: "$${EMPTY"}`} {
		_, err := config.Parse("config.yaml", []byte("sources:\n  bison: {"+settings+"}\nfeeds:\n  a: {source: bison, level: system}\nsink: {url: /lake}\n"), "", variables())
		if _, ok := errors.AsType[config.Errors](err); !ok {
			t.Errorf("%s: got %v", settings, err)
		}
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
