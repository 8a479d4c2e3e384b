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

// S3 is a folder of a bucket: AWS's, or that of a store that speaks its protocol.
//
// A part that is staged is a multipart upload with all its bytes in place that is not
// yet completed. Such uploads cost as objects do until they are completed or aborted,
// so give the bucket a lifecycle rule that aborts those of more than a week.
//
// Answers of 500 and 503, time-outs and broken connections are tried again by every
// method, with growing pauses, for S3Options.Attempts times. Where that may hide that
// the first try came through, the method finds out. A ctx that ends, ends it.
//
// Safe for concurrent use, by several processes too.
type S3 struct {
	client      *s3.Client
	bucket      string
	prefix      string // "" or ends with a slash
	encryption  encryption
	checksums   bool
	chunkBytes  int64
	concurrency int
	uploading   chan struct{} // holds a token for every chunk on its way
	blocks      *blockPool
	attempts    int
	maxBackoff  time.Duration
	log         *slog.Logger
}

// S3Options say where and as whom to write. Bucket alone must be set; what is left out
// comes from the environment, as for every AWS tool: AWS_REGION, AWS_PROFILE, keys,
// web identity (IRSA), roles of containers and machines, AWS_CA_BUNDLE.
type S3Options struct {
	Bucket string
	Prefix string // the folder in it; "" is all of the bucket

	Region    string // that of the bucket is found out where AWS tells it
	Endpoint  string // URL of another store than AWS
	PathStyle bool   // https://host/bucket/key, which many other stores want

	// Who is asking. With none of these, whoever the environment says.
	Profile         string // of ~/.aws/config
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	RoleARN         string // a role that the above then assumes
	ExternalID      string // that the role asks for

	// Encryption is the bucket's own by default. KMSKey names the key (id, ARN or alias)
	// of EncryptionKMS; "" is the account's. BucketKey makes fewer calls of KMS.
	Encryption Encryption
	KMSKey     string
	BucketKey  bool

	// Checksums says when to send CRC32s and check those of answers. Bodies are signed in
	// any case.
	Checksums Checksums

	// ChunkBytes is how large the chunks of a part are, but for the last: 5 MiB at
	// least. A part has 10,000 at most, and R2 wants all of one size. 8 MiB by default.
	ChunkBytes int64

	// Concurrency is how many chunks of one part are on their way at once; 2 by default.
	Concurrency int

	// UploadBytes bounds the chunks on their way of all parts together. Each part that
	// is being staged holds up to one more chunk. 32 MiB by default.
	UploadBytes int64

	// Attempts is how often a request is tried, 8 by default, and MaxBackoff the
	// longest pause between two tries, 20 s by default.
	Attempts   int
	MaxBackoff time.Duration

	// Silence is for how long a store may say nothing before a request is given up and tried
	// again; a chunk has to be with it by then. By default 5 minutes, since completing an upload
	// of many chunks takes some stores minutes; longer with chunks of more than 9 MiB.
	Silence time.Duration

	CAFile    string       // PEM, in place of the system's and of AWS_CA_BUNDLE
	UserAgent string       // is added to the SDK's: a product's name, "/" and its version
	Log       *slog.Logger // nothing is logged without
}

// Encryption is how a store encrypts what is written, in S3's words.
type Encryption string

// Encryptions, besides that of the bucket's own settings, which is "".
const (
	EncryptionS3  Encryption = "AES256"
	EncryptionKMS Encryption = "aws:kms"
)

// Checksums says when checksums go along.
type Checksums string

// When checksums go along.
const (
	ChecksumsAuto     Checksums = ""         // always on AWS, required elsewhere
	ChecksumsAlways   Checksums = "always"   // and those of answers are checked
	ChecksumsRequired Checksums = "required" // where the protocol wants them, since some stores know none
)

type encryption struct {
	mode      Encryption
	key       string
	bucketKey bool
}

const (
	minChunkBytes = 5 << 20 // S3's own
	maxChunks     = 10_000  // S3's own
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
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Bucket == "":
		return o, errors.New("it has no bucket")
	case o.Prefix != "" && path.Clean(o.Prefix) != o.Prefix:
		return o, fmt.Errorf("the prefix %q has empty or dotted folders", o.Prefix)
	case o.ChunkBytes < minChunkBytes:
		return o, fmt.Errorf("chunks of %d bytes: 5 MiB is the least", o.ChunkBytes)
	case o.Concurrency < 0, o.UploadBytes < 0, o.Attempts < 0, o.MaxBackoff < 0, o.Silence < 0:
		return o, errors.New("a number is negative")
	case o.Checksums != ChecksumsAuto && o.Checksums != ChecksumsAlways && o.Checksums != ChecksumsRequired:
		return o, fmt.Errorf("checksums are always or required, not %q", o.Checksums)
	case o.Encryption != "" && o.Encryption != EncryptionS3 && o.Encryption != EncryptionKMS:
		return o, fmt.Errorf("encryption is %s or %s, not %q", EncryptionS3, EncryptionKMS, o.Encryption)
	case o.Encryption != EncryptionKMS && (o.KMSKey != "" || o.BucketKey):
		return o, fmt.Errorf("a KMS key is for the encryption %s alone", EncryptionKMS)
	case (o.AccessKeyID == "") != (o.SecretAccessKey == ""):
		return o, errors.New("of an access key, id and secret belong together")
	}
	return o, nil
}

// OpenS3 opens a bucket's folder and proves, before a run asks a server for anything,
// that all that a run needs of it works: to list, write, read and remove, multipart
// uploads, the key of the encryption, and that conditional writes are refused when
// they should be. Otherwise the error is an [*Error] with a hint. ctx is for opening.
//
// A small object that it tries with, _fhirkiln/probe.json, stays.
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

// ReadS3 opens a bucket's folder to read what was published, having proved that it can
// be listed. It writes nothing.
func ReadS3(ctx context.Context, o S3Options) (*S3, error) { return dialS3(ctx, o) }

func dialS3(ctx context.Context, o S3Options) (*S3, error) {
	where := "s3://" + path.Join(o.Bucket, o.Prefix)
	o, err := o.withDefaults()
	if err != nil {
		return nil, &Error{Doing: "opening the bucket", Where: where, Err: err, Hint: "correct the sink's settings"}
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

// Close lets go of the bucket. Parts that are staged stay so.
func (s *S3) Close() error { return nil }

// String is the folder's URL: s3://bucket/prefix.
func (s *S3) String() string { return "s3://" + path.Join(s.bucket, s.prefix) }

// object is the store's name of a key.
func (s *S3) object(key string) string { return s.prefix + key }
