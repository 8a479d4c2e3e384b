package auth_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fhirkiln/auth"
	"fhirkiln/transport"
)

// A token that was renewed in its file is used once the server refuses the old one.
func TestBearerFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "planted-path")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cache := auth.NewCache(auth.BearerFile(file))
	want := func(token string) auth.Credential {
		t.Helper()
		c, err := cache.Credential(t.Context())
		if err != nil || authorization(c) != "Bearer "+token {
			t.Errorf("got %q, %v, want %s", authorization(c), err, token)
		}
		return c
	}
	write("first\n")
	want("first")
	write("second\r\n")
	cache.Reject(want("first"))
	rejected := want("second")

	cache.Reject(rejected)
	for _, test := range []struct{ text, said string }{{"", "is empty"}, {"planted with blanks", "blanks"}, {"plänted", "no HTTP header"}, {"-", "no such file"}} {
		if write(test.text); test.text == "-" {
			os.Remove(file)
		}
		_, err := cache.Credential(t.Context())
		if e := wantError(t, err, transport.Unavailable, "reading the token from its file", test.said); strings.Contains(e.Error()+e.Hint, "planted") || !strings.Contains(e.Hint, "token_file") {
			t.Errorf("%v, with the hint %q", e, e.Hint)
		}
	}
	write("third")
	want("third")
}
