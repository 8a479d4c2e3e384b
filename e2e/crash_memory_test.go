//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/bulk/bulktest/population"
)

// memoryVariable enables TestMemory, which takes a minute. Its value is the number of patients,
// of about 120 KB NDJSON each.
const memoryVariable = "FHIRKILN_MEMORY_PATIENTS"

// TestMemory measures the peak resident memory of a run to S3 with 8 parallel downloads.
func TestMemory(t *testing.T) {
	if os.Getenv(memoryVariable) == "" {
		t.Skipf("%s=8500 measures with about 1 GB", memoryVariable)
	}
	patients := int(envNumber(t, memoryVariable, 0))
	g := newGateway(t, nil, nil, nil)
	p := newBucket(t, g, "1m")
	server, err := bulktest.NewServer(bulktest.Options{Data: population.New(population.Options{Seed: 1, Patients: patients, PatientsPerFile: max(1, patients/8)})})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	w := &crashWorld{place: p, server: server, dir: t.TempDir(), feed: "everything"}
	config := fmt.Sprintf(`
sources:
  practice:
    fhir: %s
    auth: {type: client_credentials, token_url: %s, client_id: %s, client_secret: %s, scope: "%s"}
    downloads: 8
feeds:
  everything: {source: practice, level: system}
%s`, server.FHIR(), server.TokenURL(), bulktest.DefaultClientID, bulktest.DefaultClientSecret, bulktest.DefaultScope,
		// Like a user: without the proxy, and with the default chunks and lease.
		strings.NewReplacer(p.proxy.URL, g.endpoint, ", chunk_mib: 5", "").Replace(p.config))
	if err := os.WriteFile(filepath.Join(w.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	run := w.start(t)
	peak := 0
	for ended := false; !ended; {
		select {
		case <-run.ended:
			ended = true
		case <-time.After(20 * time.Millisecond):
		}
		peak = max(peak, residentPeak(run.Process.Pid))
	}
	if run.code() != 0 {
		t.Fatal(run)
	}
	f := w.open(t)
	defer f.Close()
	report := w.reports(t, f)[0]
	t.Logf("%d MiB at most, for %d MB of NDJSON in %d files, %v", peak>>10, report.NDJSONBytes/1e6, len(report.Files), time.Since(begin).Round(time.Second))
	if goal := 400; peak>>10 > goal {
		t.Errorf("more than %d MiB", goal)
	}
}

// residentPeak returns a process's peak in KiB, or 0 if the process is gone.
func residentPeak(pid int) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	n, _ := strconv.Atoi(number)
	return n
}
