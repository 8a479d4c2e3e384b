package sink

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// failed wraps a request's error in an [*Error]. If ctx has ended, nothing failed, and it
// returns ctx's cause instead.
func (s *S3) failed(ctx context.Context, doing, key string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{
		Doing: doing,
		Where: "s3://" + path.Join(s.bucket, s.object(key)),
		Hint:  s.hint(err),
		Err:   briefly(err),
	}
}

// s3Error is a short form of an SDK error, without its URLs. It wraps the SDK's error, and
// also [fs.ErrNotExist] if an object is missing.
type s3Error struct {
	text string
	errs []error
}

func (e *s3Error) Error() string   { return e.text }
func (e *s3Error) Unwrap() []error { return e.errs }

func briefly(err error) error {
	short := &s3Error{errs: []error{err}}
	if isMissing(err) {
		short.errs = append(short.errs, fs.ErrNotExist)
	}
	var api smithy.APIError
	var answer *awshttp.ResponseError
	var send *url.Error
	switch {
	case errors.As(err, &api):
		short.text = api.ErrorCode()
		if m := api.ErrorMessage(); m != "" && m != api.ErrorCode() {
			short.text += ": " + strings.TrimSuffix(m, ".")
		}
		// The store's support team asks for these.
		if errors.As(err, &answer) {
			short.text += fmt.Sprintf(" (status %d, request %s)", answer.HTTPStatusCode(), answer.ServiceRequestID())
		}
	case errors.As(err, &send):
		short.text = send.Err.Error()
	case errors.As(err, &answer):
		short.text = fmt.Sprintf("status %d: %v", answer.HTTPStatusCode(), answer.Err)
	default:
		return err
	}
	return short
}

func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

func statusOf(err error) int {
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return answer.HTTPStatusCode()
	}
	return 0
}

// isMissing reports whether the store answered that an object does not exist. A missing
// bucket does not count.
func isMissing(err error) bool {
	switch codeOf(err) {
	case "NoSuchKey", "NotFound": // the latter for HEAD, whose answer has no body
		return true
	}
	return false
}

// isRefused reports whether a condition failed: the object is at another version.
func isRefused(err error) bool { return statusOf(err) == http.StatusPreconditionFailed }

const hintExpired = "the credentials have expired: get new ones (aws sso login, or a new session token)"

func isExpired(err error) bool {
	switch codeOf(err) {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return true
	}
	return false
}

// rights maps operations to the IAM actions that they need.
var rights = map[string]string{
	"ListObjectsV2":           "s3:ListBucket",
	"GetObject":               "s3:GetObject",
	"HeadObject":              "s3:GetObject",
	"PutObject":               "s3:PutObject",
	"CreateMultipartUpload":   "s3:PutObject",
	"UploadPart":              "s3:PutObject",
	"CompleteMultipartUpload": "s3:PutObject",
	"ListParts":               "s3:ListMultipartUploadParts",
	"ListMultipartUploads":    "s3:ListBucketMultipartUploads",
	"AbortMultipartUpload":    "s3:AbortMultipartUpload",
	"DeleteObject":            "s3:DeleteObject",
}

// hint returns what the user can do about an error.
func (s *S3) hint(err error) string {
	switch code := codeOf(err); {
	case code == "NoSuchBucket":
		return "create the bucket, or correct its name in the URL; the credentials may also belong to another account"
	case code == "PermanentRedirect", code == "AuthorizationHeaderMalformed", code == "IllegalLocationConstraintException":
		if region := regionOf(err); region != "" {
			return "the bucket is in region " + region + ": set " + s.section + ".region"
		}
		return "set the bucket's region (" + s.section + ".region) or endpoint (" + s.section + ".endpoint)"
	case strings.HasPrefix(code, "KMS."), strings.Contains(err.Error(), "kms:"):
		return "check that the KMS key exists, is enabled and is in the bucket's region (" + s.section + ".kms_key), and allow these credentials kms:GenerateDataKey and kms:Decrypt on it"
	case isExpired(err):
		return hintExpired
	case code == "InvalidAccessKeyId", code == "SignatureDoesNotMatch", code == "InvalidToken", code == "InvalidClientTokenId", code == "UnrecognizedClientException":
		return "check the access key, its secret and its session token, and that they belong to this store"
	case code == "RequestTimeTooSkewed", code == "RequestExpired":
		return "correct this machine's clock"
	case code == "SlowDown", code == "ServiceUnavailable", code == "InternalError":
		return "the store is overloaded or failing: run again later"
	case code == "NotImplemented", code == "XAmzContentSHA256Mismatch", code == "XAmzContentChecksumMismatch", code == "InvalidDigest":
		return "the store may not support S3's newer checksums: try " + s.section + ".checksums: required"
	case statusOf(err) == http.StatusForbidden:
		return s.hintForbidden(err)
	}
	return s.hintNetwork(err)
}

// operationOf returns the operation that failed. It looks for the innermost one: an S3
// request also fails if its request for credentials does.
func operationOf(err error) (op smithy.OperationError) {
	var found *smithy.OperationError
	for errors.As(err, &found) {
		op, err = *found, found.Err
	}
	return op
}

func (s *S3) hintForbidden(err error) string {
	right := rights[operationOf(err).OperationName]
	if right == "" {
		return hintLogin
	}
	on := s.bucket + "/" + s.prefix + "*"
	switch right {
	case "s3:ListBucket", "s3:ListBucketMultipartUploads":
		on = s.bucket
	case "s3:GetObject":
		right += " (and s3:ListBucket, without which missing objects look forbidden)"
	}
	return fmt.Sprintf("allow these credentials %s on arn:aws:s3:::%s", right, on)
}

func (s *S3) hintNetwork(err error) string {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		network   net.Error
		op        *net.OpError
	)
	var without noConditions
	switch {
	case errors.As(err, &without):
		return "use a store that supports S3's conditional writes, without a cache or gateway in front of it that drops their headers"
	case errors.As(err, &authority):
		return "set AWS_CA_BUNDLE to the file of the authority that signed the store's certificate"
	case errors.As(err, &hostname), errors.As(err, &invalid):
		return "the store's certificate is invalid or not for this host: check the endpoint (" + s.section + ".endpoint) and " + s.section + ".path_style"
	case errors.As(err, &op), errors.As(err, &network):
		return "check the endpoint (" + s.section + ".endpoint), name resolution, proxy and firewall"
	case errors.Is(err, ErrChanged):
		return ""
	}
	return "check the store and its logs"
}
