package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"fhirkiln": main})
}

// tests runs the package's tests, as opposed to the commands that scripts start from its
// binary.
type tests struct{ m *testing.M }

// Run runs the tests; none may leave a goroutine behind.
func (all tests) Run() int {
	// The tests must not depend on the machine's AWS settings and proxy.
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if upper := strings.ToUpper(name); strings.HasPrefix(upper, "AWS_") || strings.HasSuffix(upper, "_PROXY") {
			os.Unsetenv(name)
		}
	}
	code := all.m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestScripts runs testdata/*.txtar: what a user types, sees and gets. Each script has its own
// server at $FHIR and $TOKEN_URL, and configYAML as config.yaml unless it has its own. Besides
// testscript's own commands there are those of scriptCommands.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               startServer,
		Cmds:                scriptCommands,
	})
}

var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	"exits": exits, "fault": fault, "heal": heal, "asked": askedFor, "hold": hold, "unread": unread,
	"serve": serve, "served": served,
}

// practiceData returns what the scripts' server exports.
func practiceData() bulktest.Files {
	return bulktest.Files{
		bulktest.Lines("Patient",
			`{"resourceType":"Patient","id":"p1","name":[{"family":"Planted-Surname"}]}`,
			`{"resourceType":"Patient","id":"p2","birthDate":"1950-05"}`),
		bulktest.Lines("Observation",
			`{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"weight"},"valueQuantity":{"value":70.50}}`),
	}
}

func startServer(env *testscript.Env) error {
	server, err := bulktest.NewServer(bulktest.Options{
		Data: practiceData(), ClientID: "script", ClientSecret: "planted-secret",
	})
	if err != nil {
		return err
	}
	env.Defer(server.Close)
	env.Values[serverKey{}] = &practice{Server: server}
	env.Setenv("AWS_EC2_METADATA_DISABLED", "true") // look for no credentials beyond this machine
	env.Setenv("FHIR", server.FHIR())
	env.Setenv("TOKEN_URL", server.TokenURL())
	env.Setenv("URL", server.URL())
	env.Setenv("ADDR", strings.TrimPrefix(server.URL(), "http://"))
	env.Setenv("SECRET", "planted-secret")
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	env.Setenv("ROOT", root)
	config := filepath.Join(env.WorkDir, "config.yaml")
	if _, err := os.Stat(config); err == nil {
		return nil // the script has its own
	}
	return os.WriteFile(config, []byte(configYAML), 0o600)
}

type serverKey struct{}

// practice is a script's server with its faults, and the server that the script started itself,
// if any.
type practice struct {
	*bulktest.Server
	heal   []func()
	script *serving
}

const configYAML = `sources:
  practice:
    fhir: ${FHIR}
    auth:
      type: client_credentials
      token_url: ${TOKEN_URL}
      client_id: script
      client_secret: ${SECRET}
      scope: bulk-data|user/*.rs
    poll: {min: 10ms, max: 10ms}
feeds:
  everything: {source: practice, level: system}
sink: {url: lake}
`

// exits runs fhirkiln and checks its exit code: exits CODE ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	err := ts.Exec("fhirkiln", args[1:]...)
	code := "0"
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		code = strconv.Itoa(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("running fhirkiln: %v", err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s\n%s", code, args[0], ts.ReadFile("stderr"))
	}
}

// fault makes the server answer with an error: fault ENDPOINT STATUS [BODY]
func fault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fault ENDPOINT STATUS [BODY]")
	}
	server := ts.Value(serverKey{}).(*practice)
	body := ""
	if len(args) > 2 {
		body = args[2]
	}
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	server.heal = append(server.heal, server.Inject(bulktest.Fault{On: bulktest.Endpoint(args[0]), Times: bulktest.Always,
		Do: bulktest.Respond(status, nil, body)}))
}

// heal ends all faults: heal
func heal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: heal")
	}
	server := ts.Value(serverKey{}).(*practice)
	for _, remove := range server.heal {
		remove()
	}
}

// askedFor checks how many requests an endpoint got so far: asked TIMES ENDPOINT
func askedFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: asked TIMES ENDPOINT")
	}
	times := 0
	for _, r := range ts.Value(serverKey{}).(*practice).Requests() {
		if r.Endpoint == bulktest.Endpoint(args[1]) {
			times++
		}
	}
	if args[0] != strconv.Itoa(times) {
		ts.Fatalf("the server was asked for %s %d times, want %s", args[1], times, args[0])
	}
}

// hold makes the test another process that works on a feed until the script ends:
// hold DIR FEED SOURCE PURPOSE
func hold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: hold DIR FEED SOURCE PURPOSE")
	}
	dir, err := sink.OpenDir(ts.MkAbs(args[0]))
	ts.Check(err)
	lease, err := ledger.Acquire(context.Background(), dir, ledger.Options{Feed: args[1], Source: args[2], Purpose: args[3], Holder: "night-host 4711"})
	ts.Check(err)
	ts.Defer(func() {
		ts.Check(lease.Release(context.Background()))
		dir.Close()
	})
}

// unread runs fhirkiln with a stdout or stderr that nobody reads, and checks its exit
// code: unread CODE stdout|stderr ARG...
func unread(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || args[1] != "stdout" && args[1] != "stderr" {
		ts.Fatalf("usage: unread CODE stdout|stderr ARG...")
	}
	reader, writer, err := os.Pipe()
	ts.Check(err)
	ts.Check(reader.Close())
	defer writer.Close()
	cmd := exec.Command("fhirkiln", args[2:]...)
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), os.Environ()
	for _, name := range []string{"FHIR", "TOKEN_URL", "SECRET"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	if args[1] == "stdout" {
		cmd.Stdout = writer
	} else {
		cmd.Stderr = writer
	}
	err = cmd.Run()
	if code := strconv.Itoa(cmd.ProcessState.ExitCode()); code != args[0] {
		ts.Fatalf("exit code %s (%v), want %s", code, err, args[0])
	}
}
