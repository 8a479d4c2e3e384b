package transport_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"fhirkiln/transport"
)

// askedOf is the environment variable with the URL for TestProxyFromEnvironment's child process.
const askedOf = "FHIRKILN_TEST_ASK"

// net/http reads HTTPS_PROXY and the like once per process, so each case runs in a process
// of its own.
func TestProxyFromEnvironment(t *testing.T) {
	t.Parallel()
	const secret = "S3CR3T"
	for _, test := range []struct {
		name     string
		ask      string
		variable string // holds the proxy's URL
		more     []string
		connects int
	}{
		{"https", "https://fhir.invalid/r4?sig=" + secret, "HTTPS_PROXY", nil, 1},
		{"in lower case", "https://fhir.invalid/r4", "https_proxy", nil, 1},
		{"not for this host", "https://fhir.invalid/r4", "HTTPS_PROXY", []string{"NO_PROXY=other.invalid,fhir.invalid"}, 0},
		{"not for this domain", "https://fhir.invalid/r4", "HTTPS_PROXY", []string{"no_proxy=.invalid"}, 0},
		{"for other hosts not", "https://fhir.invalid/r4", "HTTPS_PROXY", []string{"NO_PROXY=other.invalid"}, 1},
		{"http has another", "https://fhir.invalid/r4", "HTTP_PROXY", nil, 0},
		{"this machine needs none", "https://127.0.0.1:1/r4", "HTTPS_PROXY", nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var seen visits
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodConnect || r.Host != "fhir.invalid:443" || !strings.HasPrefix(r.Header.Get("Proxy-Authorization"), "Basic ") ||
					strings.Contains(r.RequestURI, secret) || r.Header.Get("Authorization") != "" {
					t.Errorf("the proxy got %s %s %v", r.Method, r.RequestURI, r.Header)
				}
				seen.add(r)
				w.WriteHeader(http.StatusForbidden)
			}))
			t.Cleanup(proxy.Close)
			at, err := url.Parse(proxy.URL)
			if err != nil {
				t.Fatal(err)
			}
			at.User = url.UserPassword("me", secret)
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAskAsAChild$", "-test.v")
			child.Env = append([]string{askedOf + "=" + test.ask, test.variable + "=" + at.String()}, test.more...)
			out, err := child.CombinedOutput()
			if err != nil || strings.Contains(string(out), secret) {
				t.Errorf("%v\n%s", err, out)
			}
			if seen.count() != test.connects {
				t.Errorf("the proxy was asked %d times, want %d\n%s", seen.count(), test.connects, out)
			}
		})
	}
}

// TestAskAsAChild is the child. Its requests fail, at the proxy or because the name does not
// exist.
func TestAskAsAChild(t *testing.T) {
	t.Parallel()
	ask := os.Getenv(askedOf)
	if ask == "" {
		t.Skip("it is for TestProxyFromEnvironment")
	}
	client := newClient(t, transport.Options{ConnectTimeout: 10 * time.Second})
	req := newRequest(t, t.Context(), http.MethodGet, ask, "")
	req.Header.Set("Authorization", "Bearer S3CR3T")
	resp, err := client.Do(req)
	if err == nil {
		resp.Body.Close()
		t.Fatal("there was an answer")
	}
	var e *transport.Error
	if err := transport.NoAnswer(t.Context(), "asking", ask, err); !errors.As(err, &e) || e.Kind != transport.Unavailable {
		t.Errorf("got %v", err)
	}
	t.Log(e)
}
