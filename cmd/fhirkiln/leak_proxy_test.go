package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestProxyPasswordStaysWithTheProxy runs through a proxy that requires a password. The proxy
// gets the password and nothing else, nobody else gets it, and no output contains it.
func TestProxyPasswordStaysWithTheProxy(t *testing.T) {
	t.Parallel()
	for name, refuses := range map[string]bool{"good": false, "refuses": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var seen []visit
			proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				mu.Lock()
				seen = append(seen, newVisit("proxy", r))
				mu.Unlock()
				if refuses {
					http.Error(rw, "no "+r.Header.Get("Proxy-Authorization")+" "+plantedProxy, http.StatusProxyAuthRequired)
					return
				}
				tunnel(t, rw, r)
			}))
			t.Cleanup(proxy.Close)
			way := byCode()
			w := newWorld(t, shape{files: []string{"fhir", "storage"}}, func(place string) []string { return way.sends[place] })
			got := w.run(t, way.auth+"\nfile_hosts: ['{storage}']\nproxy: http://me:"+plantedProxy+"@"+strings.TrimPrefix(proxy.URL, "http://")+"\n")
			want := exitOK
			if refuses {
				want = exitUnavailable
			}
			if got.code != want {
				t.Errorf("exit code %d, want %d\n%s", got.code, want, got.stderr)
			}
			got.tellsNothing(t)
			mu.Lock()
			defer mu.Unlock()
			if len(seen) == 0 {
				t.Error("the proxy was not asked")
			}
			for _, v := range seen {
				if v.method != http.MethodConnect || !slices.Equal(v.credentials, []string{"header Proxy-Authorization (Basic): proxy password"}) {
					t.Errorf("the proxy got a %s with %q", v.method, v.credentials)
				}
			}
			for _, v := range w.visits {
				if !slices.Equal(v.credentials, way.sends[w.place(v)]) {
					t.Errorf("%s got %q", v.host, v.credentials)
				}
			}
		})
	}
}

// tunnel connects a CONNECT request to its destination.
func tunnel(t *testing.T, rw http.ResponseWriter, r *http.Request) {
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		t.Error(err)
		return
	}
	here, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		io.Copy(there, here)
		there.Close()
	}()
	io.Copy(here, there)
	here.Close()
}
