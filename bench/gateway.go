package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bucket is the name of the gateway's bucket.
const bucket = "lake"

// gateway is a real S3 server on local disk, in a separate process.
type gateway struct {
	address string // host:port
	folder  string // holds a folder per bucket
	ended   chan struct{}
	process *os.Process
}

// startGateway starts versitygw, which is built from e2e/versitygw and cached by the go command.
func (b *bench) startGateway(ctx context.Context) (*gateway, error) {
	find := exec.CommandContext(ctx, "go", "tool", "-n", "versitygw")
	find.Dir = filepath.Join(b.root, "e2e", "versitygw")
	program, err := find.Output()
	if err != nil {
		return nil, fmt.Errorf("building versitygw in %s: %w", find.Dir, err)
	}
	folder, err := b.folder("s3")
	if err == nil {
		err = os.Mkdir(filepath.Join(folder, bucket), 0o700)
	}
	if err != nil {
		return nil, err
	}
	free, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := free.Addr().String()
	_ = free.Close()
	cmd := exec.CommandContext(ctx, strings.TrimSpace(string(program)), "--port", address, "--region", "eu-central-1", "--quiet", "--keep-alive", "posix", folder)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &log, &log, folder
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=fhirkiln", "ROOT_SECRET_KEY=not-so-secret")
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting versitygw: %w", err)
	}
	g := &gateway{address: address, folder: folder, ended: make(chan struct{}), process: cmd.Process}
	go func() {
		_ = cmd.Wait()
		close(g.ended)
	}()
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "tcp", address); err == nil {
			_ = conn.Close()
			return g, nil
		}
		select {
		case <-g.ended:
			return nil, errors.Join(fmt.Errorf("versitygw did not start: %s", &log), ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// sink returns the bucket as YAML for the sink of a config.
func (g *gateway) sink() string {
	return fmt.Sprintf("s3://%s/claims, s3: {endpoint: %q, region: eu-central-1, access_key_id: fhirkiln, secret_access_key: not-so-secret}",
		bucket, "http://"+g.address)
}

// stop kills the server.
func (g *gateway) stop() {
	_ = g.process.Kill()
	<-g.ended
}
