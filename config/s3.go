package config

// S3 says how to reach and use a store that speaks S3. Credentials that it does not give are
// found as all AWS tools find them: environment, shared files, web identity (IRSA), container,
// machine.
type S3 struct {
	// Section is the path of these settings in the file: sink.s3 or state.s3. A state without
	// settings of its own has those of the sink.
	Section string `yaml:"-"`

	// Region of the bucket. Default: from AWS_REGION or the profile.
	Region string `yaml:"region" jsonschema:"pattern=^[A-Za-z0-9_-]+$" want:"a region such as eu-central-1"`
	// Profile in the shared AWS config and credentials files.
	Profile string `yaml:"profile"`
	// URL of a store other than AWS, such as MinIO, Ceph or R2.
	Endpoint string `yaml:"endpoint" want:"a URL such as https://minio.example.org:9000"`
	// Puts the bucket into the path of URLs instead of the host name. Default: true if endpoint is given, since most such stores need it.
	PathStyle bool `yaml:"path_style"`
	// Allows http:// for endpoints other than this machine. Patient data then travels unencrypted.
	AllowHTTP bool `yaml:"allow_http" jsonschema:"default=false"`

	// Id of a fixed access key.
	AccessKeyID string `yaml:"access_key_id"`
	// The access key's secret.
	SecretAccessKey Secret `yaml:"secret_access_key"`
	// The token of temporary credentials.
	SessionToken Secret `yaml:"session_token"`
	// ARN of a role to assume with the credentials.
	RoleARN string `yaml:"role_arn" jsonschema:"pattern=^arn:[^ ]+$" want:"an ARN such as arn:aws:iam::123456789012:role/fhirkiln"`
	// External id that the role's owner requires.
	ExternalID string `yaml:"external_id"`

	// How the store encrypts what is written: bucket uses the bucket's own settings, s3 keys of S3 (SSE-S3), kms a key of KMS (SSE-KMS).
	Encryption Encryption `yaml:"encryption" jsonschema:"enum=bucket,enum=s3,enum=kms,default=bucket"`
	// Id, ARN or alias of the key, with encryption: kms. Default: AWS's own key for S3.
	KMSKey string `yaml:"kms_key" jsonschema:"pattern=^[A-Za-z0-9:/_-]+$" want:"an id, an ARN or alias/name of a key"`
	// Saves requests to KMS by using a bucket key, with encryption: kms.
	BucketKey bool `yaml:"bucket_key" jsonschema:"default=false"`
	// Checksums that the store verifies: always, or required, only where S3 requires them, since not all stores support more. auto is always on AWS, and required if endpoint is given.
	Checksums Checksums `yaml:"checksums" jsonschema:"enum=auto,enum=always,enum=required,default=auto"`
	// Size of the chunks, in MiB, in which a part is uploaded. Each open part holds a few in memory.
	ChunkMiB int `yaml:"chunk_mib" jsonschema:"minimum=5,maximum=512,default=8"`
}

// Encryption says how a store encrypts what is written.
type Encryption string

const (
	// EncryptionBucket leaves it to the bucket's settings.
	EncryptionBucket Encryption = "bucket"
	// EncryptionS3 is SSE-S3.
	EncryptionS3 Encryption = "s3"
	// EncryptionKMS is SSE-KMS.
	EncryptionKMS Encryption = "kms"
)

// Checksums says which checksums to send.
type Checksums string

const (
	// ChecksumsAuto is ChecksumsAlways on AWS, ChecksumsRequired elsewhere.
	ChecksumsAuto Checksums = "auto"
	// ChecksumsAlways sends one with each upload and checks it with each download.
	ChecksumsAlways Checksums = "always"
	// ChecksumsRequired sends one only where S3 requires it.
	ChecksumsRequired Checksums = "required"
)

func (d *decoder) checkS3(path string, s *S3) {
	s.Section = path
	s.Endpoint = d.checkBase(join(path, "endpoint"), s.Endpoint, s.AllowHTTP)
	if s.Endpoint != "" && !d.given(join(path, "path_style")) {
		s.PathStyle = true
	}
	secret := s.SecretAccessKey != "" || d.failed[join(path, "secret_access_key")]
	switch {
	case secret && s.AccessKeyID == "" && !d.failed[join(path, "access_key_id")]:
		d.problemAt(join(path, "access_key_id"), "missing; secret_access_key requires it")
	case s.AccessKeyID != "" && !secret:
		d.problemAt(join(path, "secret_access_key"), "missing; access_key_id requires secret_access_key or secret_access_key_file")
	case s.SessionToken != "" && !secret:
		d.problemAt(d.secretPath(path, "session_token"), "is not used alone; set access_key_id and secret_access_key too")
	case s.AccessKeyID != "" && s.Profile != "":
		d.problemAt(join(path, "profile"), "access_key_id is also set; set only one of them")
	}
	if s.ExternalID != "" && s.RoleARN == "" && !d.failed[join(path, "role_arn")] {
		d.problemAt(join(path, "external_id"), "is not used without role_arn; set both")
	}
	if s.Encryption == EncryptionKMS || d.failed[join(path, "encryption")] {
		return
	}
	if s.KMSKey != "" {
		d.problemAt(join(path, "kms_key"), "is not used with encryption %s; set encryption: kms", s.Encryption)
	}
	if s.BucketKey {
		d.problemAt(join(path, "bucket_key"), "is not used with encryption %s; set encryption: kms", s.Encryption)
	}
}
