package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/transport"
)

// What this program itself refused to send would be refused again, so it is not retried.
func TestAnyFailure(t *testing.T) {
	t.Parallel()
	for err, again := range map[error]bool{
		transport.ErrPlainHTTP: false,
		transport.ErrHost:      false,
		transport.ErrRedirect:  false,
		http.ErrSchemeMismatch: false,
		io.ErrUnexpectedEOF:    true,
		errors.New("no route"): true,
	} {
		if got := transport.AnyFailure(nil, &url.Error{Op: "Get", URL: "https://h.example/", Err: fmt.Errorf("asking: %w", err)}); got != again {
			t.Errorf("%v: asked again is %v", err, got)
		}
	}
}

func TestRetryingDefaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		retryAfter string
		retry      transport.Retry
		calls      int
		lo, hi     time.Duration // of all pauses
	}{
		{"the longest pauses", "7200", transport.Retry{}, 5, 4 * time.Minute, 4 * time.Minute},
		{"the shortest", "0", transport.Retry{}, 5, 2 * time.Second, 2 * time.Second},
		{"of its own", "", transport.Retry{}, 5, 3750 * time.Millisecond, 7500 * time.Millisecond},
		{"once more", "0", transport.Retry{Max: 1, MinWait: 1}, 2, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					calls++
					return answer(r, 503, http.Header{"Retry-After": {test.retryAfter}}, ""), nil
				})}
				start := time.Now()
				resp, err := get(t, transport.Retrying(client, test.retry), "https://h.example/")
				if took := time.Since(start); err != nil || resp.StatusCode != 503 || calls != test.calls || took < test.lo || took > test.hi {
					t.Errorf("got %v, %v after %d calls and %v", resp, err, calls, took)
				}
			})
		})
	}
}

// asAChild tells a process that it is the child of [TestRetryingKeepsQuiet].
const asAChild = "FHIRKILN_TEST_QUIET"

// The retry library would print whole URLs to standard error, which it looks up when the
// process starts; hence the child process.
func TestRetryingKeepsQuiet(t *testing.T) {
	t.Parallel()
	const url = "http://127.0.0.1:1/?sig=S3CR3T"
	if os.Getenv(asAChild) != "" {
		if _, err := get(t, transport.Retrying(newClient(t, transport.Options{}), quick), url); err == nil {
			t.Error("there was an answer")
		}
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRetryingKeepsQuiet$", "-test.v")
	child.Env = []string{asAChild + "=yes"}
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") || strings.Contains(string(out), "127.0.0.1") {
		t.Errorf("%v\n%s", err, out)
	}
}
