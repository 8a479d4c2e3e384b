package main

import (
	"context"
	"time"

	"fhirkiln/bulk/bulktest"
)

type testserverCommand struct {
	Data         string        `required:"" type:"existingdir" placeholder:"DIR" help:"Folder of *.ndjson and *.ndjson.gz files to serve."`
	Addr         string        `default:"127.0.0.1:8765" placeholder:"HOST:PORT" help:"Where to listen. Default: 127.0.0.1:8765, which config.yaml points to."`
	ClientID     string        `default:"fhirkiln" env:"FHIRKILN_CLIENT_ID" help:"The client that gets tokens. Default: fhirkiln, or $FHIRKILN_CLIENT_ID."`
	ClientSecret string        `default:"practice-makes-parquet" env:"FHIRKILN_CLIENT_SECRET" help:"Its secret. Default: practice-makes-parquet, or $FHIRKILN_CLIENT_SECRET."`
	TokenTTL     time.Duration `name:"token-ttl" default:"5m" help:"How long a token is good. Default: 5m."`
}

// Run implements the command testserver. It serves until a signal.
func (t *testserverCommand) Run(ctx context.Context, line *cli, c console) error {
	data, err := bulktest.Folder(t.Data)
	if err != nil {
		return &usageError{err, "give --data a folder that holds *.ndjson or *.ndjson.gz"}
	}
	ui := newUI(c, line, "text", "info")
	defer ui.close()
	server, err := bulktest.NewServer(bulktest.Options{
		Data: data, Addr: t.Addr, ClientID: t.ClientID, ClientSecret: t.ClientSecret,
		TokenTTL: t.TokenTTL, RetryAfter: time.Second, Log: ui.log,
	})
	if err != nil {
		return &usageError{err, "give --addr another HOST:PORT of this machine"}
	}
	defer server.Close()
	ui.printf(`# Serving %d files of %s until interrupted. In config.yaml:
sources:
  practice:
    fhir: %s
    auth:
      type: client_credentials
      token_url: %s
      client_id: %s
      client_secret: ${FHIRKILN_CLIENT_SECRET:-practice-makes-parquet}
      scope: "%s"
feeds:
  everything:
    source: practice
    level: system
sink:
  url: ./fhirkiln-data
`, len(data.Files()), t.Data, server.FHIR(), server.TokenURL(), t.ClientID, bulktest.DefaultScope)
	<-ctx.Done()
	return nil
}
