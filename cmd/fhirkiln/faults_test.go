package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/setup"
	"fhirkiln/transport"
)

var update = flag.Bool("update", false, "write the table of faults in docs/conformance.md anew")

// ending is how a run against a server with a known fault ends.
type ending struct {
	fault string
	exit  int
	says  string // part of the message on stderr
	gets  string // for the table in docs/conformance.md, where the exit code does not tell

	auth, source, feed string                       // further settings in config.yaml
	rows               func(good []string) []string // nil: all rows if the exit code is 0 or 11, else none
	hurry              bool                         // the fault makes the client wait, so make it impatient
	unseen             bool                         // the fault is in the server's data, not in an answer
}

// TestKnownFaults runs fhirkiln against a server with each fault that bulktest knows. Either
// the published Parquet has the right rows, or nothing is published and stderr says why. The
// exit code is always the right one.
func TestKnownFaults(t *testing.T) {
	t.Parallel()
	all := endings()
	for _, known := range bulktest.KnownFaults() {
		if !slices.ContainsFunc(all, func(e ending) bool { return e.fault == known.Name }) {
			t.Errorf("what does the user get of %s (%s)?", known.Name, known.Does)
		}
	}
	all = append(all, ending{unseen: true}) // a server without faults
	// They wait more than they compute, so run more of them than there are cores.
	var group sync.WaitGroup
	turns := make(chan struct{}, 8)
	for _, e := range all {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			t.Run(strings.TrimSpace(e.fault+" "+e.setting()), func(t *testing.T) { e.check(t) })
		})
	}
	group.Wait()
}

// setting returns the further settings.
func (e ending) setting() string { return cmp.Or(e.auth, e.source, e.feed) }

// eager retries at once.
func eager() setup.Patience {
	return setup.Patience{Retry: transport.Retry{MinWait: time.Millisecond, MaxWait: 5 * time.Millisecond}}
}

func (e ending) check(t *testing.T) {
	data := faultData()
	o := bulktest.Options{Data: data, ClientID: "script", ClientSecret: "planted-secret"}
	if e.fault != "" {
		o.Faults = []string{e.fault}
	}
	server, err := bulktest.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	patience := eager()
	deadline := "30s"
	if e.hurry {
		patience.Header, patience.Stall, patience.Outage, deadline = 2*time.Second, 2*time.Second, 200*time.Millisecond, "10s"
	}
	if e.fault == "file-silent-forever" { // the only fault where a stall is expected
		patience.Stall = 300 * time.Millisecond
	}
	if e.fault == "poll-202-forever" {
		deadline = "300ms"
	}
	config := fmt.Sprintf(`sources:
  practice:
    fhir: %s
    auth: {type: client_credentials, token_url: "%s", client_id: script, client_secret: planted-secret, scope: bulk-data|user/*.rs, %s}
    poll: {min: 1ms, max: 5ms, deadline: %s}
    %s
feeds:
  everything:
    source: practice
    level: system
    %s
sink: {url: "%s"}
`, server.FHIR(), server.TokenURL(), e.auth, deadline, strings.ReplaceAll(e.source, "ORIGIN", server.StorageURL()), e.feed, lake)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}

	exit, stdout, stderr := inProcess(patience, "run", "-c", file, "--json")
	if exit != e.exit || !strings.Contains(stderr, e.says) {
		t.Errorf("exit code %d, want %d and %q on stderr:\n%s", exit, e.exit, e.says, stderr)
	}
	for _, planted := range []string{"planted-secret", "Planted-Surname", "X-Amz-Signature"} {
		if strings.Contains(stdout+stderr, planted) {
			t.Errorf("%s is on stdout or stderr:\n%s%s", planted, stdout, stderr)
		}
	}
	played := slices.ContainsFunc(server.Requests(), func(r bulktest.Request) bool { return r.Fault == e.fault })
	if !e.unseen && !played {
		t.Error("the fault was not played")
	}

	var want []string
	if e.exit == exitOK || e.exit == exitPartial {
		want = goodRows(t, data)
	}
	if e.rows != nil {
		want = e.rows(want)
	}
	slices.Sort(want)
	if diff := gocmp.Diff(want, publishedRows(t, lake)); diff != "" {
		t.Errorf("other rows are published (-want +got):\n%s\n%s", diff, stderr)
	}
}

// faultData returns the servers' data: several files of some kilobytes each, even when
// compressed.
func faultData() bulktest.Files {
	lines := func(format string, from int) []string {
		all := make([]string, 40)
		for i := range all {
			id := fmt.Sprintf("%d", from+i)
			all[i] = fmt.Sprintf(format, id, fmt.Sprintf("%x", sha256.Sum256([]byte(id))))
		}
		return all
	}
	const patient = `{"resourceType":"Patient","id":"%s","name":[{"family":"Planted-Surname","text":"%s"}]}`
	return bulktest.Files{
		bulktest.Lines("Patient", lines(patient, 100)...),
		bulktest.Lines("Patient", lines(patient, 200)...),
		bulktest.Lines("Observation", lines(`{"resourceType":"Observation","id":"%s","status":"final","code":{"text":"%s"},"valueQuantity":{"value":70.50}}`, 300)...),
	}
}

// goodRows returns the resources of files.
func goodRows(t *testing.T, files bulktest.Files) []string {
	t.Helper()
	var all []string
	for _, f := range files {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, resources(t, r)...)
		r.Close()
	}
	return all
}

// publishedRows returns the published resources of a lake, sorted.
func publishedRows(t *testing.T, lake string) []string {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(lake, "r4-core-1/*/*/*/*/*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) == 0 {
		return nil
	}
	exit, stdout, stderr := inProcess(setup.Patience{}, append([]string{"restore"}, parts...)...)
	if exit != exitOK {
		t.Fatalf("restoring what is published: exit code %d\n%s", exit, stderr)
	}
	all := resources(t, strings.NewReader(stdout))
	slices.Sort(all)
	return all
}

// TestFaultsTable checks that the table of faults in docs/conformance.md is what
// TestKnownFaults tests.
func TestFaultsTable(t *testing.T) {
	t.Parallel()
	const (
		file  = "../../docs/conformance.md"
		start = "<!-- faults: go test ./cmd/fhirkiln -run TestFaultsTable -update -->\n"
		end   = "<!-- end of faults -->\n"
	)
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(was), start)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", file)
	}
	want := before + start + faultsTable() + end + after
	if string(was) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what is tested; go test ./cmd/fhirkiln -run TestFaultsTable -update writes it anew (-file +tested):\n%s", file, gocmp.Diff(string(was), want))
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// faultsTable lists every fault with all its endings.
func faultsTable() string {
	var b strings.Builder
	b.WriteString("| fault | what the server does | seen at | what the user gets | exit |\n|---|---|---|---|---|\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ").Replace
	for _, known := range bulktest.KnownFaults() {
		for _, e := range endings() {
			if e.fault != known.Name {
				continue
			}
			name := "`" + e.fault + "`"
			if s := e.setting(); s != "" {
				name += ", with `" + s + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %d |\n", name, cell(known.Does), cell(known.Seen), cell(e.told()), e.exit)
		}
	}
	return b.String()
}

// told describes what the user gets.
func (e ending) told() string {
	gets := e.gets
	if gets == "" {
		gets = "nothing"
		if e.exit == exitOK || e.exit == exitPartial {
			gets = "all rows"
			if e.rows != nil {
				gets = "all other rows"
			}
		}
	}
	if e.exit != exitOK {
		gets += ": `" + e.says + "`"
	}
	return gets
}

// resources reads NDJSON and returns each resource in canonical form.
func resources(t *testing.T, r io.Reader) []string {
	t.Helper()
	var all []string
	d := json.NewDecoder(r)
	for {
		var resource json.RawMessage
		if err := d.Decode(&resource); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, oneSpelling(string(resource)))
	}
}

// oneSpelling returns JSON with sorted members, or a hash if it is large.
func oneSpelling(resource string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(resource))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return resource
	}
	b, _ := json.Marshal(v) // v was JSON, so this cannot fail
	if len(b) > 10_000 {
		return fmt.Sprintf("%.60s... %x", b, sha256.Sum256(b))
	}
	return string(b)
}

// inProcess runs a command line.
func inProcess(p setup.Patience, args ...string) (exit int, stdout, stderr string) {
	var out, err bytes.Buffer
	exit = execute(args, console{stdout: &out, stderr: &err, env: func(string) (string, bool) { return "", false }, patience: p})
	return exit, out.String(), err.String()
}
