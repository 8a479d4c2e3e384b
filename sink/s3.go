package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// S3 is a folder of a bucket, on AWS or another store that speaks S3's protocol.
//
// A staged part is a multipart upload with all its bytes in place, not yet completed. Such
// uploads cost as much as objects until they are completed or aborted, so give the bucket a
// lifecycle rule that aborts uploads older than a week.
//
// Every method retries responses 500 and 503, timeouts and broken connections, with growing
// pauses, for up to S3Options.Attempts tries. Where a retry could hide that an earlier try
// succeeded, the method finds out. It stops when ctx ends.
//
// Safe for concurrent use, also by several processes.
type S3 struct {
	client      *s3.Client
	bucket      string
	prefix      string // "" or ends with a slash
	encryption  encryption
	checksums   bool
	chunkBytes  int64
	concurrency int
	uploading   chan struct{} // holds a token for every chunk being uploaded
	blocks      *blockPool
	attempts    int
	maxBackoff  time.Duration
	section     string
	log         *slog.Logger
}

// S3Options say where to write, and with which credentials. Only Bucket is required. What is
// left out comes from the environment, as for every AWS tool: AWS_REGION, AWS_PROFILE, keys,
// web identity (IRSA), roles of containers and machines, AWS_CA_BUNDLE.
type S3Options struct {
	Bucket string
	Prefix string // the folder in the bucket; "" is the whole bucket

	Region    string // if it is wrong, the bucket's is used where AWS reports it
	Endpoint  string // URL of a store other than AWS
	PathStyle bool   // https://host/bucket/key, which many other stores need

	// Credentials. If none of these is set, the environment's are used.
	Profile         string // in ~/.aws/config
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	RoleARN         string // a role to assume with the credentials above
	ExternalID      string // if the role requires one

	// Encryption defaults to the bucket's own settings. KMSKey is the key (id, ARN or
	// alias) for EncryptionKMS; "" is the account's. BucketKey reduces calls to KMS.
	Encryption Encryption
	KMSKey     string
	BucketKey  bool

	// Checksums says when to send CRC32s and to check those of responses. Bodies are
	// always signed.
	Checksums Checksums

	// ChunkBytes is the size of a part's chunks, except the last: at least 5 MiB, by
	// default 8 MiB. A part has at most 10,000 chunks. R2 requires them to be of equal size.
	ChunkBytes int64

	// Concurrency is how many chunks of a part are uploaded at once; by default 2.
	Concurrency int

	// UploadBytes bounds the chunks being uploaded, over all parts; by default 32 MiB.
	// Each part being staged holds up to one more chunk.
	UploadBytes int64

	// Attempts is the maximum number of tries of a request, by default 8. MaxBackoff is
	// the longest pause between two tries, by default 20 s.
	Attempts   int
	MaxBackoff time.Duration

	// Silence is how long a store may stay silent before a request is given up and retried.
	// A chunk must be uploaded within that time. The default is 5 minutes, since some stores
	// take minutes to complete an upload of many chunks, and longer for chunks over 9 MiB.
	Silence time.Duration

	Section   string       // where the user finds these settings, for hints; by default sink.s3
	CAFile    string       // PEM; replaces the system's authorities and AWS_CA_BUNDLE
	UserAgent string       // product/version, added to the SDK's
	Log       *slog.Logger // nil means no logging
}

// Encryption is how a store encrypts what is written, in S3's terms.
type Encryption string

// The encryptions. "" stands for the bucket's own settings.
const (
	EncryptionS3  Encryption = "AES256"
	EncryptionKMS Encryption = "aws:kms"
)

// Checksums says when checksums are sent and checked.
type Checksums string

const (
	ChecksumsAuto     Checksums = ""         // always on AWS, required elsewhere
	ChecksumsAlways   Checksums = "always"   // with all requests; those of responses are checked
	ChecksumsRequired Checksums = "required" // only where the protocol requires them: some stores support none
)

type encryption struct {
	mode      Encryption
	key       string
	bucketKey bool
}

const (
	minChunkBytes = 5 << 20 // S3's limit
	maxChunks     = 10_000  // S3's limit
)

func (o S3Options) withDefaults() (S3Options, error) {
	o.Prefix = strings.Trim(o.Prefix, "/")
	o.ChunkBytes = cmp.Or(o.ChunkBytes, 8<<20)
	o.Concurrency = cmp.Or(o.Concurrency, 2)
	o.UploadBytes = cmp.Or(o.UploadBytes, 32<<20)
	o.Attempts = cmp.Or(o.Attempts, 8)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 20*time.Second)
	const slowest = 32 << 10 // bytes a second
	o.Silence = cmp.Or(o.Silence, max(5*time.Minute, time.Duration(o.ChunkBytes/slowest)*time.Second))
	o.Section = cmp.Or(o.Section, "sink.s3")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Bucket == "":
		return o, errors.New("no bucket is given")
	case o.Prefix != "" && path.Clean(o.Prefix) != o.Prefix:
		return o, fmt.Errorf("the prefix %q has empty, . or .. folders", o.Prefix)
	case o.ChunkBytes < minChunkBytes:
		return o, fmt.Errorf("chunks of %d bytes are too small: the minimum is 5 MiB", o.ChunkBytes)
	case o.Concurrency < 0, o.UploadBytes < 0, o.Attempts < 0, o.MaxBackoff < 0, o.Silence < 0:
		return o, errors.New("an option is negative")
	case o.Checksums != ChecksumsAuto && o.Checksums != ChecksumsAlways && o.Checksums != ChecksumsRequired:
		return o, fmt.Errorf("unknown checksums %q: expected always or required", o.Checksums)
	case o.Encryption != "" && o.Encryption != EncryptionS3 && o.Encryption != EncryptionKMS:
		return o, fmt.Errorf("unknown encryption %q: expected %s or %s", o.Encryption, EncryptionS3, EncryptionKMS)
	case o.Encryption != EncryptionKMS && (o.KMSKey != "" || o.BucketKey):
		return o, fmt.Errorf("a KMS key or bucket key is used only with encryption %s", EncryptionKMS)
	case (o.AccessKeyID == "") != (o.SecretAccessKey == ""):
		return o, errors.New("an access key needs both its id and its secret")
	}
	return o, nil
}

// OpenS3 opens a bucket's folder and checks, before a run asks a server for anything, that
// all that a run needs of it works: listing, writing, reading and removing, multipart
// uploads, the encryption key, and that the store refuses conditional writes when it should.
// Otherwise the error is an [*Error] with a hint. ctx is only for opening.
//
// The small object that it tests with, _fhirkiln/probe.json, stays.
func OpenS3(ctx context.Context, o S3Options) (*S3, error) {
	s, err := dialS3(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.prove(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// ReadS3 opens a bucket's folder to read what was published, after checking that it can be
// listed. It writes nothing.
func ReadS3(ctx context.Context, o S3Options) (*S3, error) { return dialS3(ctx, o) }

func dialS3(ctx context.Context, o S3Options) (*S3, error) {
	where := "s3://" + path.Join(o.Bucket, o.Prefix)
	o, err := o.withDefaults()
	if err != nil {
		return nil, &Error{Doing: "opening the bucket", Where: where, Err: err, Hint: "correct the bucket's settings (" + o.Section + ")"}
	}
	s := &S3{
		bucket:      o.Bucket,
		encryption:  encryption{o.Encryption, o.KMSKey, o.BucketKey},
		checksums:   o.Checksums == ChecksumsAlways || o.Checksums == ChecksumsAuto && o.Endpoint == "",
		chunkBytes:  o.ChunkBytes,
		concurrency: o.Concurrency,
		uploading:   make(chan struct{}, max(1, o.UploadBytes/o.ChunkBytes)),
		blocks:      newBlockPool(o.UploadBytes),
		attempts:    o.Attempts,
		maxBackoff:  o.MaxBackoff,
		section:     o.Section,
		log:         o.Log,
	}
	if o.Prefix != "" {
		s.prefix = o.Prefix + "/"
	}
	if err := s.connect(ctx, o); err != nil {
		return nil, err
	}
	return s, nil
}

// Close releases the bucket. Staged parts stay staged.
func (s *S3) Close() error { return nil }

// String returns the folder's URL: s3://bucket/prefix.
func (s *S3) String() string { return "s3://" + path.Join(s.bucket, s.prefix) }

// object returns the name of the object at key.
func (s *S3) object(key string) string { return s.prefix + key }
