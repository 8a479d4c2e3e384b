package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// world is every host that a run may come across, each a separate TLS server that records what
// it receives. All hosts answer in the same way, so a stray request succeeds; only fhir and
// second require the credentials.
type world struct {
	hosts map[string]*httptest.Server
	wants func(place string) []string // the credentials that a place should get
	shape

	renews bool // the first status poll is told that its token has expired

	mu      sync.Mutex
	visits  []visit
	minted  int
	refused bool // that has happened
	polled  bool
}

// shape is what the servers do.
type shape struct {
	noToken   bool              // requiresAccessToken is false
	status    string            // host of the status URL; "" is fhir
	files     []string          // hosts of the output files
	next      string            // host of a second page
	redirects map[string]string // "kick-off", "status", "token", "delete": host that it redirects to
	lines     []string          // of each file of patients; nil means good ones
	outcomes  []string          // error files' diagnostics
	answers   map[string]answer // bad answers by request: "token", "kick-off", "status", "file"
}

// answer is a bad answer.
type answer struct {
	status int
	kind   string // Content-Type
	body   string
	length int // Content-Length, to cut the body short
}

var hostNames = []string{"fhir", "second", "token", "storage", "redirected", "pages", "foreign"}

func newWorld(t *testing.T, s shape, wants func(string) []string) *world {
	t.Helper()
	w := &world{hosts: map[string]*httptest.Server{}, wants: wants, shape: s}
	for _, name := range hostNames {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serve(name, rw, r) }))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.TLS = askingTLS()
		server.StartTLS()
		t.Cleanup(server.Close)
		w.hosts[name] = server
	}
	return w
}

func (w *world) url(host, path string) string { return w.hosts[host].URL + path }

// asked returns what a request is for.
func asked(r *http.Request) string {
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/smart-configuration"):
		return "discovery"
	case r.URL.Path == "/oauth/token":
		return "token"
	case r.URL.Path == "/oauth/code":
		return "code"
	case strings.HasSuffix(r.URL.Path, "/$export"):
		return "kick-off"
	case strings.HasPrefix(r.URL.Path, "/jobs/") && r.Method == http.MethodDelete:
		return "delete"
	case strings.HasPrefix(r.URL.Path, "/jobs/"):
		return "status"
	}
	return "file"
}

func (w *world) serve(host string, rw http.ResponseWriter, r *http.Request) {
	v := newVisit(host, r)
	w.mu.Lock()
	w.visits = append(w.visits, v)
	want := w.wants(w.place(v))
	begun := w.refused
	renew := v.asked == "status" && w.renews && !begun
	w.refused = begun || renew
	w.mu.Unlock()

	rw.Header().Set("Set-Cookie", "session="+plantedCookie)
	rw.Header().Set("Retry-After", "0")
	to, redirects := w.redirects[v.asked]
	bad, isBad := w.answers[v.asked]
	strict := (host == "fhir" || host == "second") && w.place(v) != "public"
	switch {
	case strict && (renew || !slices.Equal(v.credentials, want)):
		rw.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(rw, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"login","diagnostics":%q}]}`, v.text()+patientWords)
	case redirects && host != to:
		target := *r.URL
		target.RawQuery = "sig=" + plantedSign
		http.Redirect(rw, r, w.url(to, target.String()), http.StatusTemporaryRedirect)
	case isBad:
		bad.write(rw)
	default:
		w.answer(v, rw, r)
	}
}

func (a answer) write(rw http.ResponseWriter) {
	rw.Header().Set("Content-Type", a.kind)
	if a.length > 0 {
		rw.Header().Set("Content-Length", fmt.Sprint(a.length))
	}
	rw.WriteHeader(a.status)
	io.WriteString(rw, a.body)
}

// answer answers like a good server.
func (w *world) answer(v visit, rw http.ResponseWriter, r *http.Request) {
	switch v.asked {
	case "token":
		fmt.Fprintf(rw, `{"access_token":%q,"refresh_token":%q,"token_type":"bearer","expires_in":300,"scope":"system/*.rs openid"}`, w.mint(), w.mint())
	case "discovery":
		fmt.Fprintf(rw, `{"token_endpoint":%q}`, w.url("token", "/oauth/token"))
	case "code":
		fmt.Fprintf(rw, `{"code":%q}`, w.mint())
	case "kick-off":
		host := w.status
		if host == "" {
			host = "fhir"
		}
		rw.Header().Set("Content-Location", w.url(host, "/jobs/1?sig="+plantedSign))
		rw.WriteHeader(http.StatusAccepted)
	case "delete":
		rw.WriteHeader(http.StatusAccepted)
	case "status":
		w.mu.Lock()
		first := !w.polled
		w.polled = true
		w.mu.Unlock()
		if first {
			rw.Header().Set("X-Progress", "50% done with "+patientWords)
			rw.WriteHeader(http.StatusAccepted)
			return
		}
		json.NewEncoder(rw).Encode(w.manifest(r.URL.Path == "/jobs/1" && w.next != ""))
	default:
		w.file(rw, r)
	}
}

func (w *world) mint() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.minted++
	return fmt.Sprintf("%s-%d", plantedMinted, w.minted)
}

// manifest returns one page. If there are two, the second has the files.
func (w *world) manifest(first bool) map[string]any {
	m := map[string]any{"transactionTime": "2026-01-02T03:04:05Z", "requiresAccessToken": !w.noToken, "output": []any{}, "error": []any{}}
	if first {
		m["link"] = []any{map[string]string{"relation": "next", "url": w.url(w.next, "/jobs/2?sig="+plantedSign)}}
		return m
	}
	var output, errs []any
	for n, host := range w.files {
		path := fmt.Sprintf("/files/%d/%s-%s-%s.ndjson?sig=%s", n, plantedFamily, plantedGiven, plantedBirth, plantedSign)
		if n%2 == 1 {
			path = fmt.Sprintf("/files/%d/%s/%s.ndjson?sig=%s&patient=%s", n, plantedMRN, plantedJWT, plantedSign, plantedMRN)
		}
		output = append(output, map[string]any{"type": "Patient", "url": w.url(host, path)})
	}
	for n := range w.outcomes {
		errs = append(errs, map[string]any{"type": "OperationOutcome", "url": w.url("storage", fmt.Sprintf("/outcomes/%d/%s?sig=%s", n, plantedFamily, plantedSign))})
	}
	m["output"], m["error"] = output, errs
	return m
}

func (w *world) file(rw http.ResponseWriter, r *http.Request) {
	var n int
	if _, err := fmt.Sscanf(r.URL.Path, "/outcomes/%d/", &n); err == nil {
		fmt.Fprintln(rw, w.outcomes[n])
		return
	}
	if _, err := fmt.Sscanf(r.URL.Path, "/files/%d/", &n); err != nil {
		rw.WriteHeader(http.StatusNotFound)
		return
	}
	lines := w.lines
	if lines == nil {
		lines = []string{patientLine("p")}
	}
	rw.Header().Set("Content-Type", "application/fhir+ndjson")
	for _, line := range lines {
		fmt.Fprintln(rw, line)
	}
}

func patientLine(id string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"identifier":[{"value":%q}],"name":[{"family":%q,"given":[%q]}],"birthDate":%q}`,
		id, plantedMRN, plantedFamily, plantedGiven, plantedBirth)
}

// place returns the place whose credentials a visit is checked against: a host, or public for
// requests that need none.
func (w *world) place(v visit) string {
	if v.asked == "file" && w.noToken || v.asked == "discovery" {
		return "public"
	}
	if v.host == "token" {
		return v.asked
	}
	return v.host
}

// outcome is what a run left behind.
type outcome struct {
	code           int
	stdout, stderr string
	sink           string // folder
	published      bool   // rows were published
}

// run runs the command on a source with these settings besides fhir.
func (w *world) run(t *testing.T, source string, flags ...string) outcome {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.hosts["fhir"].Certificate().Raw})))
	write("secret", plantedSecret+"\n")
	for name, key := range signingKeys() {
		write(name, key)
	}
	cert, key := clientPair()
	write("cert.pem", cert)
	write("key.pem", key)
	replaced := []string{"{ca}", ca}
	for name := range w.hosts {
		replaced = append(replaced, "{"+name+"}", w.url(name, ""))
	}
	text := strings.NewReplacer(replaced...).Replace(source)
	if !strings.Contains(text, "tls:") {
		text += "tls: {ca: '" + ca + "'}\n"
	}
	config := write("config.yaml", "sources:\n  planted:\n    fhir: "+w.url("fhir", "/r4")+"\n    poll: {min: 1ms, max: 2ms}\n    "+
		strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")+
		"\nfeeds:\n  everything: {source: planted, level: patient, max_quarantined: 60%, type_filters: [\"Patient?identifier="+plantedMRN+"\"]}\nsink: {url: lake}\n")
	env := map[string]string{"SECRET": plantedSecret, "TOKEN": plantedToken, "REFRESH": plantedRefresh, "CODE": plantedCode, "APP_USER": plantedUser, "GATEWAY": plantedGateway}
	var stdout, stderr strings.Builder
	args := append([]string{"run", "-c", config, "--log-level", "debug"}, flags...)
	code := execute(args, console{stdout: &stdout, stderr: &stderr, patience: eager(),
		env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	return outcome{code: code, stdout: stdout.String(), stderr: stderr.String(), sink: filepath.Join(dir, "lake"),
		published: (code == exitOK || code == exitPartial) && len(w.files) > 0}
}
