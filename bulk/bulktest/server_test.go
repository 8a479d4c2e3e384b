package bulktest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"fhirkiln/bulk/bulktest"
)

func TestOpenFiles(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients(), OpenFiles: true})
	m := c.export("/$export", "")
	if m.RequiresAccessToken {
		t.Error("requiresAccessToken")
	}
	c.request("GET", m.Output[0].URL, "").want(t, 200)
	if a := c.get(m.Output[0].URL); a.status != 400 || !strings.Contains(string(a.body), "<Error>") {
		t.Errorf("with a token: %d %s", a.status, a.body)
	}
}

func TestNoAuth(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients(), NoAuth: true})
	c.token = "none"
	m := c.export("/$export", "")
	if m.RequiresAccessToken {
		t.Error("requiresAccessToken")
	}
	c.request("GET", m.Output[0].URL, "").want(t, 200)
	c.get(m.Output[0].URL).want(t, 200)
}

func TestLinksNameTheHostThatWasAsked(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients()})
	r, err := http.NewRequestWithContext(t.Context(), "GET", c.server.FHIR()+"/$export", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "payer.example:8080"
	r.Header = http.Header{"Authorization": {"Bearer " + c.token}, "Accept": {"*/*"}, "Prefer": {"respond-async"}}
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Location"); !strings.HasPrefix(got, "http://payer.example:8080/fhir/") {
		t.Errorf("Content-Location: %s", got)
	}
}

func TestParallelDownloads(t *testing.T) {
	t.Parallel()
	var files bulktest.Files
	for i := range 8 {
		var lines []string
		for j := range 500 {
			lines = append(lines, fmt.Sprintf(`{"resourceType":"Patient","id":"%d-%d","meta":{"lastUpdated":"2026-01-01T00:00:00Z"}}`, i, j))
		}
		files = append(files, bulktest.Lines("Patient", lines...))
	}
	c := start(t, bulktest.Options{Data: files})
	for _, m := range []manifest{c.export("/$export", ""), c.export("/$export?_since=2020-01-01&_elements=id", "")} {
		plain, zipped := make([]answer, len(m.Output)), make([]answer, len(m.Output))
		var wg sync.WaitGroup
		for i, f := range m.Output {
			for _, get := range []struct {
				encoding string
				to       *answer
			}{{"identity", &plain[i]}, {"gzip", &zipped[i]}} {
				wg.Go(func() {
					var err error
					*get.to, err = c.try("GET", f.URL, "", "Authorization", "Bearer "+c.token, "Accept-Encoding", get.encoding)
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		for i := range m.Output {
			if got := string(plain[i].body); strings.Count(got, "\n") != 500 || gunzip(t, zipped[i].body) != got {
				t.Errorf("%d: %d bytes", i, len(got))
			}
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	file, closed := endless()
	server, err := bulktest.NewServer(bulktest.Options{NoAuth: true, Data: bulktest.Files{file}})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, server: server, http: &http.Client{Transport: &http.Transport{}}}
	status := c.kickOff("/$export", "")
	c.get(status).want(t, 202) // so it counts
	hangs := make(chan struct{})
	server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		close(hangs)
		bulktest.Hang()(w, r, next)
	}})
	hung := make(chan error)
	go func() {
		_, err := c.try("GET", server.URL()+"/fhir/$export/job/x", "")
		hung <- err
	}()
	<-hangs
	server.Close()
	select {
	case <-closed:
	default:
		t.Error("still counting")
	}
	server.Close()
	if err := <-hung; err == nil {
		t.Error("the hanging request was answered")
	}
	if _, err := c.try("GET", server.URL(), ""); err == nil {
		t.Error("the server still answers")
	}
}

func TestCannotListen(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{})
	addr := strings.TrimPrefix(c.server.URL(), "http://")
	if s, err := bulktest.NewServer(bulktest.Options{Addr: addr}); err == nil {
		s.Close()
		t.Error("two servers on one address")
	}
}

func TestAllAddresses(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients(), Addr: ":0"})
	if !strings.HasPrefix(c.server.URL(), "http://127.0.0.1:") {
		t.Errorf("URL %s", c.server.URL())
	}
}
