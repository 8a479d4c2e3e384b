package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// serving is a fhirkiln testserver started by a script.
type serving struct {
	*exec.Cmd
	ended chan error
}

// serve starts fhirkiln testserver for the folder ndjson at a free port, and points $FHIR and
// $TOKEN_URL to it: serve ARG...
//
// Its output goes to the file testserver.txt. It ends with served, or with the script.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: serve ARG...")
	}
	said, err := os.Create(ts.MkAbs("testserver.txt"))
	ts.Check(err)
	defer said.Close()
	s := &serving{Cmd: exec.Command("fhirkiln", append([]string{"testserver", "--data", "ndjson", "--addr", "127.0.0.1:0",
		"--client-id", "script", "--client-secret", ts.Getenv("SECRET")}, args...)...), ended: make(chan error, 1)}
	s.Dir, s.Stdout, s.Stderr = ts.Getenv("WORK"), said, said
	ts.Check(s.Start())
	go func() { s.ended <- s.Wait() }()
	ts.Defer(func() { _ = s.Process.Kill() })
	ts.Value(serverKey{}).(*practice).script = s
	for {
		text := ts.ReadFile("testserver.txt")
		if fhir, token := setting(text, "fhir"), setting(text, "token_url"); fhir != "" && token != "" {
			ts.Setenv("FHIR", fhir)
			ts.Setenv("TOKEN_URL", token)
			return
		}
		select {
		case err := <-s.ended:
			ts.Fatalf("fhirkiln testserver: %v\n%s", err, text)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// setting returns a setting of the printed config, or "" if its line is not complete yet.
func setting(text, name string) string {
	found := regexp.MustCompile(`(?m)^ +` + name + `: (\S+)\n`).FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return found[1]
}

// served interrupts what serve started and waits for it: served
func served(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: served")
	}
	s := ts.Value(serverKey{}).(*practice).script
	ts.Check(s.Process.Signal(syscall.SIGINT))
	if err := <-s.ended; err != nil {
		ts.Fatalf("fhirkiln testserver: %v\n%s", err, strings.TrimSpace(ts.ReadFile("testserver.txt")))
	}
}
