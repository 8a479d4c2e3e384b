package sink

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// connect creates the client and lists one object with it. If the answer is that the bucket
// is in another region, it switches to that region.
func (s *S3) connect(ctx context.Context, o S3Options) error {
	const doing = "opening the bucket"
	cfg, err := o.awsConfig(ctx, s)
	if err != nil {
		return &Error{Doing: doing, Where: s.String(), Err: briefly(err),
			Hint: "check the AWS settings in the environment (AWS_PROFILE, ~/.aws/config, AWS_CA_BUNDLE)"}
	}
	if o.Endpoint == "" { // an endpoint in the options is the caller's responsibility
		s.warnOfPlainHTTP(aws.ToString(s3.NewFromConfig(cfg).Options().BaseEndpoint))
	}
	if err := s.login(ctx, cfg); err != nil {
		return err
	}
	for moved := false; ; moved = true {
		s.client = s3.NewFromConfig(cfg, func(c *s3.Options) {
			c.UsePathStyle = o.PathStyle
			if o.Endpoint != "" {
				c.BaseEndpoint = aws.String(o.Endpoint)
			}
			// Nearly every object is from a multipart upload. Its CRC32 is one of its
			// chunks' CRC32s, which the SDK does not check and would log each time.
			c.DisableLogOutputChecksumValidationSkipped = true
		})
		_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
			Bucket: &s.bucket, Prefix: &s.prefix, MaxKeys: aws.Int32(1),
		}, func(c *s3.Options) { c.RetryMaxAttempts = min(3, o.Attempts) })
		if err == nil {
			return nil
		}
		right := regionOf(err)
		if moved || right == "" || right == cfg.Region {
			return s.failed(ctx, doing, "", err)
		}
		s.log.Info("the bucket is in another region than configured", "bucket", s.bucket, "said", cfg.Region, "region", right)
		cfg.Region = right
	}
}

// warnOfPlainHTTP logs a warning if the environment's endpoint (AWS_ENDPOINT_URL) is another
// machine, to which patient data would travel unencrypted.
func (s *S3) warnOfPlainHTTP(endpoint string) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip.IsLoopback() {
		return
	}
	s.log.Warn("the endpoint set in the environment is not encrypted: what is written there can be read in transit", "endpoint", u.Scheme+"://"+u.Host)
}

// login gets credentials up front, so that failing to get them is told apart from a refusal
// by the store.
func (s *S3) login(ctx context.Context, cfg aws.Config) error {
	// As a last resort, the SDK asks EC2's metadata service, which may not be there.
	timed, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("no answer in time"))
	defer cancel()
	_, err := cfg.Credentials.Retrieve(timed)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := &Error{Doing: "getting credentials", Where: s.String(), Err: briefly(err), Hint: hintLogin}
	switch {
	case operationOf(err).ServiceID == "ec2imds": // where the SDK looks last
		e.Err = errors.New("none found")
	case isExpired(err):
		e.Hint = hintExpired
	}
	return e
}

const hintLogin = "provide credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE (aws sso login?), or a role of the pod or machine that fhirkiln runs on"

// awsConfig returns the environment's configuration, overridden by the options.
func (o S3Options) awsConfig(ctx context.Context, s *S3) (aws.Config, error) {
	// The read timeout also runs while a chunk is uploaded. It is what ends a connection that
	// dies in the middle of a body.
	client := awshttp.NewBuildableClient().WithReadTimeout(o.Silence).WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = o.Silence
		t.MaxIdleConnsPerHost = 64
	})
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithLogger(logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) {
			o.Log.Debug("AWS SDK: " + fmt.Sprintf(format, v...))
		})),
		config.WithRetryer(o.retryer),
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if s.checksums {
		load = append(load,
			config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenSupported),
			config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenSupported))
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(o.Profile))
	}
	if o.AccessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.SecretAccessKey, o.SessionToken)))
	}
	if o.UserAgent != "" {
		name, version, _ := strings.Cut(o.UserAgent, "/")
		load = append(load, config.WithAPIOptions([]func(*middleware.Stack) error{
			awsmiddleware.AddUserAgentKeyValue(name, version),
		}))
	}
	if o.CAFile != "" {
		f, err := os.Open(o.CAFile)
		if err != nil {
			return aws.Config{}, err
		}
		defer f.Close()
		load = append(load, config.WithCustomCABundle(f))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return cfg, err
	}
	if cfg.Region == "" {
		// There, AWS answers with the bucket's region. Other stores mostly do not care.
		cfg.Region = "us-east-1"
	}
	if o.RoleARN != "" {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), o.RoleARN, func(r *stscreds.AssumeRoleOptions) {
			r.RoleSessionName = "fhirkiln"
			if o.ExternalID != "" {
				r.ExternalID = &o.ExternalID
			}
		})
		cfg.Credentials = aws.NewCredentialsCache(role, func(c *aws.CredentialsCacheOptions) {
			c.ExpiryWindow = 5 * time.Minute // longer than a chunk takes
		})
	}
	return cfg, nil
}

// retryer retries each request independently. The SDK's default, one token bucket for all
// requests, would end a run of many small requests in a bad quarter of an hour.
func (o S3Options) retryer() aws.Retryer {
	return retry.NewStandard(func(r *retry.StandardOptions) {
		r.MaxAttempts = o.Attempts
		r.MaxBackoff = o.MaxBackoff
		r.RateLimiter = ratelimit.None
		r.Retryables = append([]retry.IsErrorRetryable{
			retry.IsErrorRetryableFunc(neverRetried),
			retry.RetryableErrorCode{Codes: map[string]struct{}{
				"ConditionalRequestConflict": {}, // 409: another conditional write of the key is in progress
				"OperationAborted":           {}, // also 409
			}},
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}}, // R2 allows one write per key and second
		}, r.Retryables...)
	})
}

// neverRetried stops retries after certificate errors, which do not go away.
func neverRetried(err error) aws.Ternary {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	if errors.As(err, &unknown) || errors.As(err, &hostname) || errors.As(err, &invalid) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

var expecting = regexp.MustCompile(`expecting '([a-z0-9-]+)'`)

// regionOf returns the bucket's region if the store's answer names it, or "".
func regionOf(err error) string {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil {
		if region := answer.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
			return region
		}
	}
	if found := expecting.FindStringSubmatch(err.Error()); found != nil {
		return found[1]
	}
	return ""
}
