package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"fhirkiln/bulk/bulktest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"fhirkiln": main})
}

// TestScripts runs testdata/*.txtar: what a user types, sees and gets. Each script has
// a server of its own at $FHIR and $TOKEN_URL, which a faulty one can be asked of with
// the command "fault".
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"fault": fault, "exits": exits},
	})
}

// practiceData is what the scripts' server exports.
func practiceData() bulktest.Files {
	return bulktest.Files{
		bulktest.Lines("Patient",
			`{"resourceType":"Patient","id":"p1","name":[{"family":"Planted-Surname"}]}`,
			`{"resourceType":"Patient","id":"p2","birthDate":"1950-05"}`),
		bulktest.Lines("Observation",
			`{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"weight"},"valueQuantity":{"value":70.50}}`),
	}
}

func setup(env *testscript.Env) error {
	server, err := bulktest.NewServer(bulktest.Options{
		Data: practiceData(), ClientID: "script", ClientSecret: "planted-secret",
	})
	if err != nil {
		return err
	}
	env.Defer(server.Close)
	env.Values[serverKey{}] = server
	env.Setenv("FHIR", server.FHIR())
	env.Setenv("TOKEN_URL", server.TokenURL())
	env.Setenv("URL", server.URL())
	env.Setenv("ADDR", strings.TrimPrefix(server.URL(), "http://"))
	env.Setenv("SECRET", "planted-secret")
	free, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Setenv("FREE_ADDR", free.Addr().String()) // for a server of the script's own
	if err := free.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(env.WorkDir, "config.yaml"), []byte(configYAML), 0o600)
}

type serverKey struct{}

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

// fault makes the server answer wrongly: fault ENDPOINT STATUS [BODY]
func fault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fault ENDPOINT STATUS [BODY]")
	}
	server := ts.Value(serverKey{}).(*bulktest.Server)
	body := ""
	if len(args) > 2 {
		body = args[2]
	}
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	server.Inject(bulktest.Fault{On: bulktest.Endpoint(args[0]), Times: bulktest.Always, Do: bulktest.Respond(status, nil, body)})
}
