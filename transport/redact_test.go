package transport_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"fhirkiln/transport"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	const jwt = "eyJhbGciOiJSUzM4NCJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
	for _, test := range []struct{ name, url, want string }{
		{"plain", "https://h.example/fhir/Patient", "https://h.example/fhir/Patient"},
		{"port", "http://127.0.0.1:8080/fhir", "http://127.0.0.1:8080/fhir"},
		{"IPv6", "http://[::1]:8080/fhir", "http://[::1]:8080/fhir"},
		{"query", "https://h.example/f?sig=SECRET&x=1", "https://h.example/f?…"},
		{"user", "https://me:SECRET@h.example/f", "https://h.example/f"},
		{"user alone", "https://SECRET@h.example/f", "https://h.example/f"},
		{"fragment", "https://h.example/f#access_token=SECRET", "https://h.example/f"},
		{"all at once", "https://me:SECRET@h.example/f?SECRET#SECRET", "https://h.example/f?…"},
		{"JWT in the path", "https://h.example/$export/Patient/" + jwt + ".ndjson", "https://h.example/$export/Patient/….ndjson"},
		{"JWT in the middle", "https://h.example/" + jwt + "/Patient.ndjson", "https://h.example/…/Patient.ndjson"},
		{"12 letters", "https://h.example/" + strings.Repeat("a", 12), "https://h.example/" + strings.Repeat("a", 12)},
		{"13 letters", "https://h.example/" + strings.Repeat("a", 13) + "/x", "https://h.example/…/x"},
		{"40 bytes", "https://h.example/" + strings.Repeat("export-", 5) + "files/1", "https://h.example/" + strings.Repeat("export-", 5) + "files/1"},
		{"41 bytes", "https://h.example/" + strings.Repeat("export-", 5) + "export/1", "https://h.example/…/1"},
		{"two words, one unknown", "https://h.example/bison-export/1", "https://h.example/bison-export/1"},
		{"three words, one unknown", "https://h.example/bison-bulk-export/1", "https://h.example/…/1"},
		{"a path of this machine", "/data/Mary_1950-05-07.ndjson", "/data/Mary_1950-05-07.ndjson"},
		{"a JWT in one", "/data/" + jwt + ".ndjson", "/data/….ndjson"},
		{"80 bytes in one", "/data/" + strings.Repeat("a", 80), "/data/" + strings.Repeat("a", 80)},
		{"81 bytes in one", "/data/" + strings.Repeat("a", 81), "/data/…"},
		{"relative", "/fhir/f?SECRET", "/fhir/f?…"},
		{"escaped path", "https://h.example/a%2Fb%0Ac", "https://h.example/…"},
		{"empty", "", ""},
		{"control character", "https://h.example/\nSECRET", "(an unreadable URL)"},
		{"bad escape", "https://h.example/%zzSECRET", "(an unreadable URL)"},
		{"bad port", "https://h.example:SECRET/", "(an unreadable URL)"},
		{"no scheme", "://SECRET", "(an unreadable URL)"},
		{"opaque", "urn:SECRET", "(a URL without a host)"},
		{"no host", "x:///Patient/Maria-Gonzalez/ssn-123456789", "(a URL without a host)"},
		{"a host that a terminal obeys", "https://h\u009b2J%c2%9d0;\u202e.evil/fhir/$export", "https://h%C2%9B2J%C2%9D0%3B%E2%80%AE.evil/fhir/$export"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := transport.Redact(test.url); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// URLs that servers are known to have, and which parts of them are a token, an id or
// patient data.
func TestRedactRealURLs(t *testing.T) {
	t.Parallel()
	const uuid = "b7a30a2b-64d3-4dc0-a0d8-6e2d4b8c1f55"
	for _, test := range []struct{ url, want string }{
		// 1upHealth
		{"https://gateway.1up.health/auth/realms/dev-portal/protocol/openid-connect/token", ""},
		{"https://gateway.1up.health/auth/realms/acme/protocol/openid-connect/token", ""},
		{"https://api.1up.health/user-management/v1/user/auth-code", ""},
		{"https://auth.1up.health/oauth2/token", ""},
		{"https://api.1up.health/fhir/r4/.well-known/smart-configuration", ""},
		{"https://gateway.1up.health/v1/bison/bulk-export/bulk-data/r4/$export", ""},
		{"https://gateway.1up.health/v1/bison/bulk-export/bulk-data/r4/Group/1234/$export?_type=Patient",
			"https://gateway.1up.health/v1/bison/bulk-export/bulk-data/r4/Group/…/$export?…"},
		{"https://analytics.1up.health/bulk-data/dstu2/$export?_type=Patient", "https://analytics.1up.health/bulk-data/dstu2/$export?…"},
		{"https://analytics.1up.health/bulk-data/r4/$export/job/Xk7abQ", "https://analytics.1up.health/bulk-data/r4/$export/job/…"},
		{"https://analytics.1up.health/bulk-data/r4/$export/file/k7abq9ze.ndjson", "https://analytics.1up.health/bulk-data/r4/$export/file/….ndjson"},
		{"https://analytics.1up.health/bulk-data/r4/$export/Patient/eyJhbGciOiJIUzI1NiJ9.eyJwIjoxfQ.c2ln.ndjson", "https://analytics.1up.health/bulk-data/r4/$export/Patient/….ndjson"},
		{"https://payer.example/r4/Group/1234/$davinci-data-export?_type=Patient", "https://payer.example/r4/Group/…/$davinci-data-export?…"},
		// BCDA, AB2D, DPC
		{"https://api.bcda.cms.gov/api/v2/Group/all/$export", ""},
		{"https://api.bcda.cms.gov/api/v2/jobs/48211", "https://api.bcda.cms.gov/api/v2/jobs/…"},
		{"https://api.bcda.cms.gov/data/48211/" + uuid + ".ndjson", "https://api.bcda.cms.gov/data/…/….ndjson"},
		{"https://api.bcda.cms.gov/data/48211/blank.ndjson", "https://api.bcda.cms.gov/data/…/blank.ndjson"},
		{"https://api.ab2d.cms.gov/api/v2/fhir/Job/" + uuid + "/$status", "https://api.ab2d.cms.gov/api/v2/fhir/Job/…/$status"},
		{"https://api.ab2d.cms.gov/api/v2/fhir/Job/" + uuid + "/file/Z0001_0001.ndjson", "https://api.ab2d.cms.gov/api/v2/fhir/Job/…/file/….ndjson"},
		{"https://prod.dpc.cms.gov/api/v1/Data/" + uuid + ".patient.ndjson", "https://prod.dpc.cms.gov/api/v1/Data/….ndjson"},
		// HAPI, Oracle, Netsmart, storage
		{"https://hapi.example/fhir/$export-poll-status?_jobId=" + uuid, "https://hapi.example/fhir/$export-poll-status?…"},
		{"https://hapi.example/fhir/Binary/UBgKbIBm4f4FzVlmlwNv4bBI6yVQvAkD", "https://hapi.example/fhir/Binary/…"},
		{"https://careconnect.example/fhir/Binary/1234567/$binary-access-read", "https://careconnect.example/fhir/Binary/…/$binary-access-read"},
		{"https://fhir.example/" + uuid + "/bulk-export/jobs/" + uuid, "https://fhir.example/…/bulk-export/jobs/…"},
		{"https://bucket.s3.us-east-1.amazonaws.com/exports/2024-01-01/Patient.ndjson?X-Amz-Signature=SECRET",
			"https://bucket.s3.us-east-1.amazonaws.com/exports/…/Patient.ndjson?…"},
		{"https://acct.blob.core.windows.net/fhir-export/Patient-1.ndjson.gz?sig=SECRET", "https://acct.blob.core.windows.net/fhir-export/Patient-1.ndjson.gz?…"},
		{"https://h.example/part-00000-" + uuid + "-c000.ndjson", "https://h.example/….ndjson"},
		// patients
		{"https://h.example/files/Mary-Smith.ndjson", "https://h.example/files/….ndjson"},
		{"https://h.example/files/mary.ndjson", "https://h.example/files/….ndjson"},
		{"https://h.example/files/Patient_mary_1.ndjson", "https://h.example/files/….ndjson"},
		{"https://h.example/files/Mary/1.ndjson", "https://h.example/files/…/1.ndjson"},
		{"https://h.example/files/mary-smith/1.ndjson", "https://h.example/files/…/1.ndjson"},
		{"https://h.example/files/1950-05-07/1.ndjson", "https://h.example/files/…/1.ndjson"},
		{"https://h.example/r4/Patient/7/$everything", "https://h.example/r4/Patient/…/$everything"},
		{"https://h.example/r4/Patient/mary/$export", "https://h.example/r4/Patient/…/$export"},
		{"https://h.example/r4/Patient/$export", ""},
		{"https://h.example/r4/Account/mary/$export", "https://h.example/r4/Account/…/$export"},
	} {
		if test.want == "" {
			test.want = test.url
		}
		if got := transport.Redact(test.url); got != test.want {
			t.Errorf("Redact(%s)\n got %s\nwant %s", test.url, got, test.want)
		}
	}
}

func TestWithoutQuery(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://me:SECRET@h.example/job/48211/b7a30a2b.ndjson?sig=SECRET#SECRET": "https://h.example/job/48211/b7a30a2b.ndjson",
		"https://h.example/Patient/eyJhbGciOiJIUzI1NiJ9.eyJwIjoxfQ.c2ln.ndjson":   "https://h.example/Patient/….ndjson",
		"https://h.example/" + strings.Repeat("a", 81) + "/1.ndjson":              "https://h.example/…/1.ndjson",
		"/data/Patient.ndjson":  "/data/Patient.ndjson",
		"https://h.example/%zz": "(an unreadable URL)",
	} {
		if got := transport.WithoutQuery(url); got != want {
			t.Errorf("WithoutQuery(%s) = %s, want %s", url, got, want)
		}
	}
}

func TestRedactNeverTellsASecret(t *testing.T) {
	t.Parallel()
	const secret = "S3CR3T"
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z0-9=&%_.~-]{0,12}`)
		raw := fmt.Sprintf("https://%s:%s@h.example/%s%s/%s?%s%s%s#%s%s", word.Draw(t, "user"), secret, word.Draw(t, "path"), secret, word.Draw(t, "name"),
			word.Draw(t, "before"), secret, word.Draw(t, "after"), word.Draw(t, "fragment"), secret)
		if got := transport.Redact(raw); strings.Contains(got, secret) {
			t.Errorf("Redact(%q) = %q", raw, got)
		}
	})
}

func TestClean(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"plain", "no such group", "no such group"},
		{"white space", "  a\r\n\tb  c ", "a b c"},
		{"terminal escapes", "a\x1b[31mred\x07", "a [31mred"},
		{"line separators", "a\u2028b\u0085c", "a b c"},
		{"right to left", "a\u202eb", "a b"},
		{"not UTF-8", "a\xff\xfeb", "a\uFFFDb"},
		{"signed URL", "cannot read https://h.example/f?sig=SECRET, (http://x/#SECRET) why?", "cannot read https://h.example/f?… (http://x/#… why?"},
		{"a URL without its scheme", "://h.example/f?sig=SECRET", "://h.example/f?…"},
		{"JWT at the start", "eyJhbGciOiJSUzM4NCJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl", "…"},
		{"21 bytes that begin as one", "x=eyJ" + strings.Repeat("a", 18), "x=…"},
		{"20 bytes are none", "x=eyJ" + strings.Repeat("a", 17), "x=eyJ" + strings.Repeat("a", 17)},
		{"JWT", "no token:eyJhbGciOiJSUzM4NCJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl here", "no token:… here"},
		{"no JWT", "eyJ begins one", "eyJ begins one"},
		{"other scripts", "größer als 日本", "größer als 日本"},
		{"500 bytes", strings.Repeat("a", 500), strings.Repeat("a", 500)},
		{"501 bytes", strings.Repeat("a", 501), strings.Repeat("a", 500) + "…"},
		{"cut inside a letter", strings.Repeat("a", 499) + "é", strings.Repeat("a", 499) + "…"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := transport.Clean(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCleanIsOneShortLine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "in"))
		got := transport.Clean(in)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\t\x1b\x00") || len(got) > 500+len("…") {
			t.Errorf("Clean(%q) = %q", in, got)
		}
	})
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		err  transport.Error
		want string
	}{
		{"doing alone", transport.Error{Doing: "asking"}, "asking"},
		{"all", transport.Error{Doing: "asking", URL: "https://h.example/f?SECRET", Status: 400, Said: "no", Err: errors.New("why"), Hint: "HINT"},
			"asking at https://h.example/f?…: the server answered 400 Bad Request: no: why"},
		{"a status without a name", transport.Error{Doing: "asking", Status: 520, Said: "no"}, "asking: the server answered 520: no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.err.Error(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if errors.Unwrap(&test.err) != test.err.Err {
				t.Error("the cause is not there")
			}
		})
	}
}

func TestCauseStripsEveryURL(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	inner := &url.Error{Op: "Get", URL: "https://h.example/?SECRET", Err: why}
	for _, err := range []error{why, inner, fmt.Errorf("outer: %w", inner), &url.Error{Op: "Get", URL: "?SECRET", Err: inner}} {
		if got := transport.Cause(err); got != why {
			t.Errorf("Cause(%v) = %v", err, got)
		}
	}
}

func TestReadBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		body io.Reader
		want string
		err  error
	}{
		{"shorter", strings.NewReader("12"), "12", nil},
		{"as long as may be", strings.NewReader("123"), "123", nil},
		{"longer", strings.NewReader("1234"), "", transport.ErrTooLong},
		{"cut", io.MultiReader(strings.NewReader("12"), broken{}), "", io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := &closing{Reader: test.body}
			got, err := transport.ReadBody(&http.Response{Body: body}, 3)
			if !bytes.Equal(got, []byte(test.want)) || !errors.Is(err, test.err) {
				t.Errorf("got %q, %v", got, err)
			}
			if !body.closed {
				t.Error("the body was not closed")
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestKindOf(t *testing.T) {
	t.Parallel()
	for kind, statuses := range map[transport.Kind][]int{
		transport.Unavailable: {408, 425, 429, 500, 502, 503, 504, 520},
		transport.Denied:      {401, 403},
		transport.NotThere:    {300, 301, 302, 307, 308, 399, 404, 405, 501},
		transport.Refused:     {400, 406, 409, 410, 415, 422},
		transport.Broken:      {100, 204, 206},
	} {
		for _, status := range statuses {
			if got := transport.KindOf(status); got != kind {
				t.Errorf("KindOf(%d) = %d, want %d", status, got, kind)
			}
		}
	}
}
