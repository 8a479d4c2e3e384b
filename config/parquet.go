package config

// Parquet says how the sink's Parquet is written. It changes neither rows nor columns:
// files that were written before stay as they are, and are read together with new ones.
type Parquet struct {
	// How pages are compressed: zstd; snappy, which is some 40 % larger and no faster; gzip for readers that know no zstd; or none.
	Compression Compression `yaml:"compression" jsonschema:"enum=zstd,enum=snappy,enum=gzip,enum=none,default=zstd"`
	// How hard to compress: zstd has 1 (fast) to 22 (small), gzip 1 to 9, snappy and none have no levels. Left out: 1 for zstd, but 3 for columns of base64; 6 for gzip.
	CompressionLevel int `yaml:"compression_level" jsonschema:"minimum=1,maximum=22"`
	// NDJSON, in MiB, whose rows make one row group; its Parquet is about a tenth. Each file that is being written has one in memory. Left out: 256, or what makes 384 for all downloads or 512 for all cores together if that is less.
	RowGroupMiB int `yaml:"row_group_mib" jsonschema:"minimum=1,maximum=1024"`
	// Adds a bloom filter of the resources' ids to each row group, for queries that look for single ones.
	BloomFilter bool `yaml:"bloom_filter" jsonschema:"default=false"`
	// Keeps the least and greatest value of columns that identify people (names, addresses, telecom, identifiers, dates of birth and death), which then stand in the clear at the end of each file.
	IdentifyingStatistics bool `yaml:"identifying_statistics" jsonschema:"default=false"`
	// Leaves out the ids of fields. Iceberg's add_files needs that: it numbers a table's columns itself, and goes by names only where a file has no ids.
	OmitFieldIDs bool `yaml:"omit_field_ids" jsonschema:"default=false"`
}

// Compression is how pages of Parquet are compressed.
type Compression string

const (
	// CompressionZstd is the best in size for its time.
	CompressionZstd Compression = "zstd"
	// CompressionSnappy is faster, and larger.
	CompressionSnappy Compression = "snappy"
	// CompressionGzip is what the oldest readers know.
	CompressionGzip Compression = "gzip"
	// CompressionNone is none.
	CompressionNone Compression = "none"
)

// levels is the highest level, 0 where there are none; the lowest is 1.
func (c Compression) levels() int {
	switch c {
	case CompressionZstd:
		return 22
	case CompressionGzip:
		return 9
	}
	return 0
}

// checkParquet holds the level to those that the compression has.
func (d *decoder) checkParquet(path string, p *Parquet) {
	level := join(path, "compression_level")
	if !d.given(level) || d.failed[level] || d.failed[join(path, "compression")] || p.CompressionLevel == 0 {
		return
	}
	switch most := p.Compression.levels(); {
	case most == 0:
		d.problemAt(level, "is not used with compression %s, which has no levels; want compression: zstd or gzip, or no compression_level", p.Compression)
	case p.CompressionLevel > most:
		d.problemAt(level, "is out of range; want a whole number from 1 to %d with compression %s", most, p.Compression)
	}
}
