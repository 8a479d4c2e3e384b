package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
)

func TestMain(m *testing.M) {
	// Under nohup, or with & in a script, these signals are ignored, and child processes would
	// inherit that. They do not if there is a handler.
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	// The tests must not depend on the machine's AWS settings and proxy.
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if upper := strings.ToUpper(name); strings.HasPrefix(upper, "AWS_") || strings.HasSuffix(upper, "_PROXY") {
			os.Unsetenv(name)
		}
	}
	for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		os.Setenv(name, os.DevNull)
	}
	code := m.Run()
	if dir, err := builtIn(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// environment is the machine's, for building: downloading modules may need its proxy.
var environment = os.Environ()

// builtIn builds fhirkiln once, in the root module, and returns the folder with the binary.
var builtIn = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fhirkiln-e2e-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir, "./cmd/fhirkiln")
	build.Dir, build.Env = "..", environment
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building fhirkiln: %w\n%s", err, out)
	}
	return dir, nil
})

// A program that takes longer than patience hangs. It is made to print where, and then ended.
const patience = 3 * time.Minute

// fhirkiln returns a command of the built program in the folder dir.
func fhirkiln(ctx context.Context, t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "fhirkiln"), args...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs fhirkiln to its end and returns stdout; a failure fails the test.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := fhirkiln(t.Context(), t, dir, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("fhirkiln %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// runReport runs fhirkiln with --json and returns its report.
func runReport(t *testing.T, dir string, args ...string) *lake.Report {
	t.Helper()
	var r lake.Report
	if err := json.Unmarshal([]byte(run(t, dir, append(args, "--json")...)), &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// serve starts a server and writes a config.yaml for it into a new folder.
func serve(t *testing.T, o bulktest.Options) (server *bulktest.Server, dir string) {
	t.Helper()
	server, err := bulktest.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	dir = t.TempDir()
	config := fmt.Sprintf(`
sources:
  practice:
    fhir: %s
    auth: {type: client_credentials, token_url: %s, client_id: %s, client_secret: %s, scope: "%s"}
    poll: {min: 10ms, max: 100ms}
feeds:
  everything: {source: practice, level: system}
sink: {url: lake}
`, server.FHIR(), server.TokenURL(), bulktest.DefaultClientID, bulktest.DefaultClientSecret, bulktest.DefaultScope)
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return server, dir
}

// exitCode returns the exit code of a finished process, or -1 if a signal ended it.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// restore turns a published part back into resources.
func restore(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := columnar.NewReader(f, info.Size())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer r.Close()
	var resources []string
	for {
		resource, err := r.Next()
		if errors.Is(err, io.EOF) {
			return resources
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resources = append(resources, string(resource))
	}
}
