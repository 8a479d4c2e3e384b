package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirkiln/auth"
)

func TestCredentialApply(t *testing.T) {
	t.Parallel()
	h := http.Header{"Authorization": {"Basic old"}, "Accept": {"*/*"}}
	auth.Bearer("x").Apply(h)
	if h.Get("Authorization") != "Bearer x" || len(h.Values("Authorization")) != 1 || h.Get("Accept") != "*/*" {
		t.Errorf("got %v", h)
	}
	auth.Credential{}.Apply(h)
	if h.Get("Authorization") != "Bearer x" {
		t.Errorf("no credential made it %v", h)
	}
}

// The caller's header may change after NewCredential, and its names stay as spelled.
func TestNewCredential(t *testing.T) {
	t.Parallel()
	given := http.Header{"client_id": {"me"}}
	c := auth.NewCredential(given, time.Time{})
	given["client_id"][0] = "another" //nolint:staticcheck // SA1008: the name stays as spelled
	h := http.Header{}
	if c.Apply(h); h["client_id"][0] != "me" || len(h) != 1 { //nolint:staticcheck // SA1008
		t.Errorf("got %v", h)
	}
}

// A Cache renews a credential of NewCredential before it expires.
func TestNewCredentialExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		cache := auth.NewCache(fetchFunc(func(context.Context) (auth.Credential, error) {
			fetches++
			return auth.NewCredential(http.Header{"X-Key": {"k"}}, time.Now().Add(time.Hour)), nil
		}))
		for _, test := range []struct {
			pause time.Duration
			want  int
		}{{0, 1}, {59 * time.Minute, 1}, {time.Minute, 2}} {
			time.Sleep(test.pause)
			if _, err := cache.Credential(t.Context()); err != nil || fetches != test.want {
				t.Errorf("after %v: %d fetches, %v; want %d", test.pause, fetches, err, test.want)
			}
		}
	})
}

func TestCredentialFetchesItself(t *testing.T) {
	t.Parallel()
	c, err := auth.Bearer("x").Fetch(t.Context())
	if err != nil || authorization(c) != "Bearer x" {
		t.Errorf("got %q, %v", authorization(c), err)
	}
}

const secret = "S3CR3T"

// wrapped holds a Credential as other packages would, in an unexported field too, on which
// fmt calls no methods.
type wrapped struct {
	Shown  auth.Credential
	hidden auth.Credential
	list   []auth.Credential
	byName map[string]auth.Credential
}

func everywhere() wrapped {
	c := auth.Bearer(secret)
	return wrapped{c, c, []auth.Credential{c}, map[string]auth.Credential{"c": c}}
}

func TestCredentialPrintsNoSecret(t *testing.T) {
	t.Parallel()
	c := auth.Bearer(secret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s"} {
		if got := fmt.Sprintf(verb, c); got != "[credential]" {
			t.Errorf("%s of a Credential is %q", verb, got)
		}
		if got := fmt.Sprintf(verb, &c); got != "[credential]" {
			t.Errorf("%s of a *Credential is %q", verb, got)
		}
		cache := auth.NewCache(c)
		if _, err := cache.Credential(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := everywhere()
		for _, v := range []any{all, &all, []any{all}, map[string]any{"all": all}, cache} {
			got := fmt.Sprintf(verb, v)
			if strings.Contains(got, secret) || strings.Contains(got, fmt.Sprintf("%x", secret)) || strings.Contains(got, fmt.Sprintf("%X", secret)) {
				t.Errorf("%s of a %T tells the secret: %.200s…", verb, v, got)
			}
		}
	}
	if got := fmt.Sprint(c); got != "[credential]" {
		t.Errorf("fmt.Sprint gives %q", got)
	}
	if err := fmt.Errorf("with %v", c); err.Error() != "with [credential]" {
		t.Errorf("fmt.Errorf gives %q", err)
	}
}

func TestCredentialLogsNoSecret(t *testing.T) {
	t.Parallel()
	c, all := auth.Bearer(secret), everywhere()
	var text, structured bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&structured, nil)} {
		slog.New(h).Info("m", "value", c, "pointer", &c, "struct", all, "ref", &all, slog.Group("group", "value", c))
	}
	for _, got := range []string{text.String(), structured.String()} {
		if strings.Contains(got, secret) || !strings.Contains(got, "[credential]") {
			t.Errorf("got the log %s", got)
		}
	}
	if got, err := json.Marshal(all); err != nil || bytes.Contains(got, []byte(secret)) {
		t.Errorf("got the JSON %s, %v", got, err)
	}
}
