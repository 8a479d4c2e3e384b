package config_test

import (
	"fmt"
	"strings"
	"testing"

	"fhirkiln/config"
)

func TestDocument(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ doc, want string }{
		"empty":             {"", "config.yaml:1:1: the file is empty; expected at least sources, feeds and sink"},
		"comments alone":    {"# nothing\n", "config.yaml:1:1: the file is empty"},
		"text":              {"hello\n", "config.yaml:1:1: found a string; expected a mapping"},
		"list":              {"- a\n", "config.yaml:1:1: found a list; expected a mapping"},
		"two documents":     {minimal + "---\nsources: {}\n", "config.yaml:11:1: a second document starts here"},
		"broken second":     {minimal + "---\na: 'x\n", "config.yaml:13:1: not valid YAML: while scanning a quoted scalar"},
		"tab":               {"a:\n\tb: 1\n", "config.yaml:2:1: not valid YAML: the line starts with a tab; indent with spaces"},
		"unbalanced":        {"a: [1\nb: 2\n", "config.yaml:2:2: not valid YAML"},
		"variable in flow":  {"a: {b: ${X}}\n", "config.yaml:1:9: not valid YAML: while parsing a flow mapping did not find expected ',' or '}'; inside [ ] and { }, quote ${VAR}"},
		"unknown anchor":    {"a: b\nc: *d\n", "config.yaml:2:4: no anchor with that name is defined above"},
		"latin-1":           {"a: b\nc: d\xe9\n", "config.yaml:2:5: not UTF-8"},
		"UTF-16":            {"\xff\xfea\x00", "config.yaml:1:1: not UTF-8"},
		"control character": {"a: \u00e9\x00\n", "config.yaml:1:5: has the control character U+0000"},
		"no last newline":   {"  :\n  0", "config.yaml:2:1: not valid YAML"},
		"very deep":         {strings.Repeat("[", 100_000), "config.yaml:1:10001: not valid YAML"},
		"too large":         {strings.Repeat("# comment\n", 500_000), "config.yaml:1:1: the file is too large; the limit is 4 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(test.doc, "")
			if _, ok := err.(config.Errors); !ok || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got  %T: %v\nwant %s", err, err, test.want)
			}
		})
	}
}

// TestAnchors parses a file with many payers that share nearly everything.
func TestAnchors(t *testing.T) {
	t.Parallel()
	cfg, err := parse(`
x-oneup-auth: &auth
  type: client_credentials
  token_url: https://auth.example.org/token
  scope: shared
  client_id: shared
x-patient: &patient {downloads: 2, poll: &poll {max: 1m}}
x-oneup: &oneup
  <<: [*patient, {downloads: 64, method: POST}]
  fhir: https://fhir.example.org/r4
sources:
  a:
    <<: *oneup
    auth: {<<: *auth, client_id: a, client_secret: sa}
  b:
    <<: *oneup
    fhir: https://b.example.org/r4
    auth: &b
      client_secret: sb
      <<: *auth
  c:
    fhir: https://c.example.org/r4
    auth: *b
    poll: *poll
feeds:
  f: {source: a, level: &level system}
  g: {source: b, level: *level}
  h: {source: c, groups: &groups [1, 2]}
  i: {source: c, groups: *groups}
sink: {url: /data}
`, "")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, name := range []string{"a", "b", "c"} {
		s := cfg.Sources[name]
		fmt.Fprintln(&got, s.Name, s.FHIR, s.Auth.ClientID, s.Auth.ClientSecret.Reveal(), s.Auth.Scope, s.Downloads, s.Poll.Max, s.Method)
	}
	for _, f := range cfg.Feeds {
		fmt.Fprintln(&got, f.Name, f.Source, f.Level, f.Groups)
	}
	want := `a https://fhir.example.org/r4 a sa shared 2 1m0s POST
b https://b.example.org/r4 shared sb shared 2 1m0s POST
c https://c.example.org/r4 shared sb shared 4 1m0s GET
f a system []
g b system []
h c group [1 2]
i c group [1 2]
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", &got, want)
	}
}

func TestAnchorProblems(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ top, want string }{
		"merge of a text":  {"x-a: &a text\nsink:\n  <<: *a\n  url: /data\n", "config.yaml:3:7: sink: cannot merge a string; expected an alias of a mapping"},
		"merge of itself":  {"sink: &a\n  <<: *a\n  url: /data\n", "config.yaml:2:7: sink: merges itself"},
		"a list in itself": {"sink: &a\n  url: [*a]\n", "config.yaml:2:8: sink.url: found a list; expected a path"},
		"reported once":    {"x-s: &s {fhir: ftp://h, auth: {type: none}}\nsources: {s: *s, t: *s}\n", "config.yaml:1:16: sources.s.fhir: does not begin with https://"},
		"x- only on top":   {"sink:\n  x-a: b\n  url: /data\n", "config.yaml:2:3: sink.x-a: unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest := minimal
			if strings.Contains(test.top, "sink") {
				rest, _, _ = strings.Cut(rest, "sink")
			}
			if strings.Contains(test.top, "sources") {
				rest = rest[strings.Index(rest, "feeds"):]
			}
			_, err := parse(test.top+rest, "")
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one problem:\n%v", err)
			}
		})
	}
}

// TestLaughs parses a few lines that stand for billions of values: parsing must end and say
// why.
func TestLaughs(t *testing.T) {
	t.Parallel()
	var merges strings.Builder
	merges.WriteString("x-0: &a0 {url: /data}\n")
	for i := range 40 {
		fmt.Fprintf(&merges, "x-%d: &a%d {<<: [*a%d, *a%d]}\n", i+1, i+1, i, i)
	}
	merges.WriteString("sink: *a40\n")

	var wide strings.Builder
	wide.WriteString("x-ids: &ids [")
	for i := range 2_000 {
		fmt.Fprintf(&wide, "%d, ", i)
	}
	wide.WriteString("]\nfeeds:\n")
	for i := range 2_000 {
		fmt.Fprintf(&wide, "  f%d: {source: s, groups: *ids}\n", i)
	}
	for name, doc := range map[string]string{"merges": merges.String(), "lists": wide.String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(doc, "")
			if err == nil || !strings.Contains(err.Error(), "expand to too many values") {
				t.Errorf("got %.300v", err)
			}
		})
	}
}
