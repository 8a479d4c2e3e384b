package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/bulk/bulktest/population"
)

// memory measures the peak resident memory of fhirkiln on two cores.
func memory(ctx context.Context, b *bench) ([]result, error) {
	var results []result
	for _, c := range []struct {
		name    string
		measure func(context.Context) (usage, error)
	}{
		{fmt.Sprintf("one file of %d MB", b.bigMB), b.largeFile},
		{"10,000 output files of a server", b.manyFiles},
		{fmt.Sprintf("S3 sink, 8 fetchers, %d MB", b.bigMB), b.fetchers},
	} {
		u, err := c.measure(ctx)
		results = append(results, within(ofMemory, "peak resident memory, two cores, "+c.name, fmt.Sprintf("%d MiB", u.peak>>20), "≤ 400 MiB", float64(u.peak), 400<<20).orFails(err))
	}
	return results, nil
}

// largeFile converts one file through stdin while it is generated, so that 10 GB need no disk.
func (b *bench) largeFile(ctx context.Context) (usage, error) {
	folder, err := b.folder("lake")
	if err != nil {
		return usage{}, err
	}
	cmd := exec.CommandContext(ctx, b.bin, "convert", "-", "--out", folder, "--workers", "2", "--progress", "off")
	r, w := io.Pipe()
	defer func() { _ = r.Close() }()
	go func() { _ = w.CloseWithError(generate(w, "Observation", int64(b.bigMB)*1e6)) }()
	cmd.Stdin = r
	u, _, err := measure(cmd, 2)
	return u, err
}

// manyFiles runs an export of 10,000 output files, each with data of a single patient.
func (b *bench) manyFiles(ctx context.Context) (usage, error) {
	const files, patients = 10_000, 1000
	all := population.New(population.Options{Seed: seed, Patients: patients, PatientsPerFile: 1}).Files()
	if len(all) < files {
		return usage{}, fmt.Errorf("%d patients have only %d files", patients, len(all))
	}
	server, err := bulktest.NewServer(bulktest.Options{Data: bulktest.Files(all[:files])})
	if err != nil {
		return usage{}, err
	}
	defer server.Close()
	folder, err := b.configured(server, "lake", 4)
	if err != nil {
		return usage{}, err
	}
	u, report, err := b.runFeeds(ctx, folder, 2)
	if err == nil && len(report.Files) != files {
		err = fmt.Errorf("the run had %d output files", len(report.Files))
	}
	return u, err
}

// fetchers runs an export of all types with eight fetchers, into a real S3 server.
func (b *bench) fetchers(ctx context.Context) (usage, error) {
	world := population.New(population.Options{Seed: seed, Patients: b.bigMB*1e6/bytesOfPatient + 1, PatientsPerFile: 250})
	server, err := bulktest.NewServer(bulktest.Options{Data: world})
	if err != nil {
		return usage{}, err
	}
	defer server.Close()
	gateway, err := b.startGateway(ctx)
	if err != nil {
		return usage{}, err
	}
	defer gateway.stop()
	folder, err := b.configured(server, gateway.sink(), 8)
	if err != nil {
		return usage{}, err
	}
	u, _, err := b.runFeeds(ctx, folder, 2)
	if err != nil {
		return u, err
	}
	// Make sure that the run wrote to the bucket, which is a folder.
	written, err := bytesIn(filepath.Join(gateway.folder, bucket), ".parquet")
	if err == nil && written == 0 {
		err = fmt.Errorf("no Parquet in bucket %s", bucket)
	}
	return u, err
}

// configured makes a folder with a config.yaml for a server. sink is the YAML of sink.url.
func (b *bench) configured(server *bulktest.Server, sink string, downloads int) (string, error) {
	folder, err := b.folder("run")
	if err != nil {
		return "", err
	}
	config := fmt.Sprintf(`
sources:
  payer:
    fhir: %s
    auth: {type: client_credentials, token_url: %s, client_id: %s, client_secret: %s, scope: "%s"}
    poll: {min: 10ms, max: 100ms}
    downloads: %d
feeds:
  everything: {source: payer, level: system}
sink: {url: %s}
`, server.FHIR(), server.TokenURL(), bulktest.DefaultClientID, bulktest.DefaultClientSecret, bulktest.DefaultScope, downloads, sink)
	return folder, os.WriteFile(filepath.Join(folder, "config.yaml"), []byte(config), 0o600)
}
