package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/spelling"
)

type testserverCommand struct {
	Data         string        `required:"" type:"existingdir" placeholder:"DIR" help:"Folder of *.ndjson and *.ndjson.gz files to serve."`
	Addr         string        `default:"127.0.0.1:8765" placeholder:"HOST:PORT" help:"Address to listen on. Default: 127.0.0.1:8765, which config.yaml points to."`
	ClientID     string        `default:"fhirkiln" env:"FHIRKILN_CLIENT_ID" help:"Id of the client that may get tokens. Default: fhirkiln."`
	ClientSecret string        `default:"practice-makes-parquet" env:"FHIRKILN_CLIENT_SECRET" help:"The client's secret. Default: practice-makes-parquet."`
	TokenTTL     time.Duration `name:"token-ttl" default:"5m" help:"How long a token is valid. Default: 5m."`
	Fault        []string      `placeholder:"NAME" help:"Misbehave in this way, as real servers are known to; may be repeated. See --faults."`
	Faults       faultsFlag    `help:"List the faults that --fault can name, with what the server does, and exit."`
}

// Help is shown by fhirkiln testserver --help.
func (testserverCommand) Help() string {
	return `Serves a folder as the Bulk Data IG says, and prints a config.yaml that points to it. With --fault it behaves
as badly as real servers do, so that you see how fhirkiln, or a client of your own, copes before your payer's
server does it. docs/conformance.md says how fhirkiln copes with each fault.

The folder is read at startup: restart the server when files change. Resources without meta.lastUpdated, such
as Synthea's, are sent again whatever _since says, since nobody knows when they changed.

  fhirkiln testserver --data ndjson
  fhirkiln testserver --faults
  fhirkiln testserver --data ndjson --fault file-truncated-chunked
  fhirkiln testserver --data ndjson --fault poll-429 --fault file-link-expired

Faults are injected into every export. If several are for the same endpoint, those that pass come first; of
those that last, the first one named is used.`
}

// faultsFlag prints the list of faults instead of running anything.
type faultsFlag bool

// BeforeReset is kong's hook for flags that act alone, even if required flags are missing.
func (faultsFlag) BeforeReset(app *kong.Kong) error {
	if err := printFaults(app.Stdout); err != nil {
		return err
	}
	app.Exit(exitOK)
	return nil
}

func printFaults(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	at := ""
	for _, f := range bulktest.KnownFaults() {
		if begins, _, _ := strings.Cut(f.Name, "-"); begins != at {
			if at != "" {
				fmt.Fprintln(w)
			}
			at = begins
		}
		seen := ""
		if f.Seen != "any" {
			seen = " (" + f.Seen + ")"
		}
		fmt.Fprintf(w, "%s\t%s%s\n", f.Name, f.Does, seen)
	}
	return w.Flush()
}

// Run implements the command testserver. It serves until a signal arrives.
func (t *testserverCommand) Run(ctx context.Context, line *cli, c console) error {
	data, err := bulktest.Folder(t.Data)
	if err != nil {
		return &usageError{err, "choose a folder with *.ndjson or *.ndjson.gz files (--data)"}
	}
	ui := newUI(c, line, "text", "info")
	defer ui.close()
	server, err := bulktest.NewServer(bulktest.Options{
		Data: data, Addr: t.Addr, ClientID: t.ClientID, ClientSecret: t.ClientSecret,
		TokenTTL: t.TokenTTL, RetryAfter: time.Second, Log: ui.log, Faults: t.Fault,
	})
	if unknown, ok := errors.AsType[*bulktest.UnknownFaultError](err); ok {
		return &usageError{err, nearFault(unknown.Name) + "fhirkiln testserver --faults lists them"}
	}
	if err != nil {
		return &usageError{err, "choose another HOST:PORT of this machine (--addr)"}
	}
	defer server.Close()
	ui.printf(`# Serving %d files from %s until interrupted. For config.yaml:
sources:
  practice:
    fhir: %s
    auth:
      type: client_credentials
      token_url: %s
      client_id: %s
      client_secret: %s
      scope: "%s"
feeds:
  everything:
    source: practice
    level: system
sink:
  url: ./fhirkiln-data
`, len(data.Files()), t.Data, server.FHIR(), server.TokenURL(), t.ClientID, secretSetting(t.ClientSecret), bulktest.DefaultScope)
	for _, f := range bulktest.KnownFaults() {
		if slices.Contains(t.Fault, f.Name) {
			ui.printf("# Fault %s: %s.\n", f.Name, f.Does)
		}
	}
	<-ctx.Done()
	return nil
}

// secretSetting returns the secret's setting in the printed config. It does not print a secret
// of the user's own.
func secretSetting(secret string) string {
	if secret == "practice-makes-parquet" { // the flag's default
		return "${FHIRKILN_CLIENT_SECRET:-" + secret + "}"
	}
	return "${FHIRKILN_CLIENT_SECRET} # set it to this server's secret"
}

// nearFault suggests a fault of a similar name, if there is one.
func nearFault(name string) string {
	var names []string
	for _, f := range bulktest.KnownFaults() {
		names = append(names, f.Name)
	}
	if near := spelling.Nearest(name, names); near != "" {
		return "--fault " + near + "; "
	}
	return ""
}
