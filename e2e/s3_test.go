package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"fhirkiln/sink"
)

// gatewayIn builds versitygw, a real S3 server, in its own module, and returns its path. The Go
// command caches it.
var gatewayIn = sync.OnceValues(func() (string, error) {
	var failed bytes.Buffer
	cmd := exec.Command("go", "tool", "-n", "versitygw")
	cmd.Dir, cmd.Env, cmd.Stderr = "versitygw", environment, &failed
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("building versitygw: %w\n%s", err, &failed)
	}
	return strings.TrimSpace(string(out)), nil
})

const (
	gatewayKey    = "fhirkiln"
	gatewaySecret = "not-so-secret"
	gatewayRegion = "eu-central-1"
)

// gateway is an S3 server for a test.
type gateway struct {
	endpoint string
	folder   string // holds a folder for each bucket
	client   *s3.Client
}

// newGateway starts versitygw on local disk; it ends with the test. args are added to its own
// arguments ("--cert", ...), posix to those of its backend, after "posix".
func newGateway(t *testing.T, client *http.Client, args, posix []string) *gateway {
	t.Helper()
	program, err := gatewayIn()
	if err != nil {
		t.Fatal(err)
	}
	scheme := "http"
	if len(args) > 0 {
		scheme = "https"
	}
	if client == nil {
		client = http.DefaultClient
	}
	folder := t.TempDir()
	own := "own-" + strings.ToLower(rand.Text()[:12])
	if err := os.Mkdir(filepath.Join(folder, own), 0o700); err != nil {
		t.Fatal(err)
	}
	// If another process takes the port meanwhile, try another one.
	for try := 1; ; try++ {
		port := freePort(t)
		args := append([]string{"--port", port, "--region", gatewayRegion, "--quiet", "--keep-alive"}, args...)
		cmd := exec.Command(program, append(append(append(args, "posix"), posix...), folder)...)
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+gatewayKey, "ROOT_SECRET_KEY="+gatewaySecret)
		cmd.Dir = folder
		var log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &log, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(ended)
		}()
		g := &gateway{endpoint: scheme + "://" + port, folder: folder}
		g.client = s3.New(s3.Options{
			BaseEndpoint: &g.endpoint, UsePathStyle: true, Region: gatewayRegion, HTTPClient: client,
			Credentials: credentials.NewStaticCredentialsProvider(gatewayKey, gatewaySecret, ""),
		})
		if g.await(own, ended) {
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				<-ended
				if t.Failed() && log.Len() > 0 {
					t.Logf("versitygw:\n%s", &log)
				}
			})
			return g
		}
		if try == 5 {
			t.Fatalf("versitygw does not start:\n%s", &log)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// await waits until this very server, which has the bucket own, answers or has ended. Another
// server may listen at the port, or something that never answers.
func (g *gateway) await(own string, ended <-chan struct{}) bool {
	for {
		select {
		case <-ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, err := g.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &own}, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
		cancel()
		if err == nil {
			return true
		}
	}
}

// bucket creates a bucket that must have no uploads when the test ends.
func (g *gateway) bucket(t *testing.T) string {
	t.Helper()
	name := "lake-" + strings.ToLower(rand.Text()[:12])
	if _, err := g.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left := g.uploads(t, name); len(left) > 0 {
			t.Errorf("uploads are left over: %q", left)
		}
	})
	return name
}

// uploads returns the keys of a bucket's multipart uploads.
func (g *gateway) uploads(t *testing.T, bucket string) []string {
	t.Helper()
	out, err := g.client.ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Error(err)
		return nil
	}
	var keys []string
	for _, u := range out.Uploads {
		keys = append(keys, aws.ToString(u.Key))
	}
	return keys
}

// options returns the options for a sink in a bucket of the gateway.
func (g *gateway) options(bucket string) sink.S3Options {
	return sink.S3Options{
		Bucket: bucket, Prefix: "some/lake", Region: gatewayRegion, Endpoint: g.endpoint, PathStyle: true,
		AccessKeyID: gatewayKey, SecretAccessKey: gatewaySecret,
		ChunkBytes: 5 << 20, MaxBackoff: 20 * time.Millisecond,
	}
}

func openS3(t *testing.T, o sink.S3Options) *sink.S3 {
	t.Helper()
	s, err := sink.OpenS3(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
