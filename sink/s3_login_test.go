package sink_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirkiln/sink"
)

// fakeSTS gives out credentials for a role and records its requests.
func fakeSTS(t *testing.T, asked *[]string, refuse string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		action := r.PostForm.Get("Action")
		*asked = append(*asked, strings.Join([]string{action, r.PostForm.Get("RoleArn"), r.PostForm.Get("ExternalId"), r.PostForm.Get("WebIdentityToken")}, " "))
		w.Header().Set("Content-Type", "text/xml")
		if refuse != "" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>no</Message></Error><RequestId>REQUEST2</RequestId></ErrorResponse>", refuse)
			return
		}
		fmt.Fprintf(w, "<%[1]sResponse><%[1]sResult><Credentials><AccessKeyId>OF-%[1]s</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken><Expiration>%[2]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>",
			action, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// The tests of credentials are not parallel: the environment belongs to the process.

func TestS3CredentialsOfTheEnvironment(t *testing.T) {
	f := newFakeS3(t)
	folder := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(folder, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	var asked []string
	sts := fakeSTS(t, &asked, "")
	for _, tt := range []struct {
		name  string
		env   map[string]string
		set   func(*sink.S3Options)
		as    string // the access key that S3 sees
		asked string // of STS
	}{
		{"keys", map[string]string{"AWS_ACCESS_KEY_ID": "OF-ENV", "AWS_SECRET_ACCESS_KEY": "S"}, nil, "OF-ENV", ""},
		{"a profile", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": write("credentials", "[lake]\naws_access_key_id = OF-PROFILE\naws_secret_access_key = S\n")},
			func(o *sink.S3Options) { o.Profile = "lake" }, "OF-PROFILE", ""},
		{"web identity", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": write("token", "JWT"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/pod"}, nil,
			"OF-AssumeRoleWithWebIdentity", "AssumeRoleWithWebIdentity arn:aws:iam::1:role/pod  JWT"},
		{"a role that is assumed", map[string]string{"AWS_ACCESS_KEY_ID": "OF-ENV", "AWS_SECRET_ACCESS_KEY": "S"},
			func(o *sink.S3Options) { o.RoleARN, o.ExternalID = "arn:aws:iam::2:role/lake", "us" },
			"OF-AssumeRole", "AssumeRole arn:aws:iam::2:role/lake us "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("AWS_ENDPOINT_URL_STS", sts)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			asked = nil
			f.seen()
			o := f.options()
			o.AccessKeyID, o.SecretAccessKey = "", ""
			if tt.set != nil {
				tt.set(&o)
			}
			openS3(t, o)
			for _, r := range f.seen() {
				if !strings.Contains(r.Header.Get("Authorization"), "Credential="+tt.as+"/") {
					t.Errorf("asked as %q", r.Header.Get("Authorization"))
				}
			}
			if got := strings.Join(asked, ", "); got != tt.asked {
				t.Errorf("STS was asked %q, want %q", got, tt.asked)
			}
		})
	}
}

func TestS3WithoutCredentials(t *testing.T) {
	f := newFakeS3(t)
	o := f.options()
	o.AccessKeyID, o.SecretAccessKey = "", ""
	_, err := sink.OpenS3(t.Context(), o)
	wantS3Error(t, err, "getting credentials: s3://lake/some/folder: none found", "AWS_ACCESS_KEY_ID")

	var asked []string
	t.Setenv("AWS_ENDPOINT_URL_STS", fakeSTS(t, &asked, "AccessDenied"))
	o = f.options()
	o.RoleARN = "arn:aws:iam::2:role/lake"
	_, err = sink.OpenS3(t.Context(), o)
	wantS3Error(t, err, "getting credentials: s3://lake/some/folder: AccessDenied: no (status 403, request REQUEST2)", "provide credentials")

	t.Setenv("AWS_ENDPOINT_URL_STS", fakeSTS(t, &asked, "ExpiredTokenException"))
	_, err = sink.OpenS3(t.Context(), o)
	wantS3Error(t, err, "getting credentials: s3://lake/some/folder: ExpiredTokenException", "have expired")

	o = f.options()
	o.Profile, o.AccessKeyID, o.SecretAccessKey = "unknown", "", ""
	_, err = sink.OpenS3(t.Context(), o)
	wantS3Error(t, err, "opening the bucket: s3://lake/some/folder: failed to get shared config profile, unknown", "AWS_PROFILE")
}

// An unencrypted endpoint on another machine, set by the environment, gets a warning.
func TestS3EndpointInTheClear(t *testing.T) {
	for endpoint, warned := range map[string]bool{"http://192.0.2.1:9000": true, "http://127.0.0.1:1": false, "https://192.0.2.1:9000": false} {
		t.Setenv("AWS_ENDPOINT_URL", endpoint)
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nothing leaves this machine
		var logs bytes.Buffer
		o := fakeOptions("")
		o.Log = slog.New(slog.NewTextHandler(&logs, nil))
		if _, err := sink.OpenS3(ctx, o); err == nil {
			t.Error("a bucket was opened")
		}
		if strings.Contains(logs.String(), "is not encrypted") != warned {
			t.Errorf("%s: the log is %q", endpoint, logs.String())
		}
	}
}
