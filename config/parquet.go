package config

// Parquet says how to write the sink's Parquet. It changes neither rows nor columns. Existing
// files stay as they are, and are read together with new ones.
type Parquet struct {
	// How to compress pages: zstd; snappy, which is about 40 % larger and no faster; gzip, for readers without zstd; or none.
	Compression Compression `yaml:"compression" jsonschema:"enum=zstd,enum=snappy,enum=gzip,enum=none,default=zstd"`
	// How hard to compress: 1 (fast) to 22 (small) for zstd, 1 to 9 for gzip; snappy and none have no levels. If left out: 1 for zstd, but 3 for base64 columns; 6 for gzip.
	CompressionLevel int `yaml:"compression_level" jsonschema:"minimum=1,maximum=22"`
	// How much NDJSON, in MiB, goes into one row group; its Parquet is about a tenth of that. Each file being written holds one row group in memory. If left out: 256, or less so that all downloads together stay within 384 and all cores within 512.
	RowGroupMiB int `yaml:"row_group_mib" jsonschema:"minimum=1,maximum=1024"`
	// Adds a bloom filter of the resources' ids to each row group, for queries that look up single ones.
	BloomFilter bool `yaml:"bloom_filter" jsonschema:"default=false"`
	// Keeps min and max values of columns that identify people (names, addresses, telecom, identifiers, dates of birth and death), in plain text at the end of each file.
	IdentifyingStatistics bool `yaml:"identifying_statistics" jsonschema:"default=false"`
	// Leaves out field ids. Iceberg's add_files needs that: it numbers a table's columns itself, and matches them by name only if a file has no ids.
	OmitFieldIDs bool `yaml:"omit_field_ids" jsonschema:"default=false"`
}

// Compression says how pages of Parquet are compressed.
type Compression string

const (
	// CompressionZstd gives the smallest files for its time.
	CompressionZstd Compression = "zstd"
	// CompressionSnappy makes larger files, and is no faster.
	CompressionSnappy Compression = "snappy"
	// CompressionGzip is for the oldest readers.
	CompressionGzip Compression = "gzip"
	// CompressionNone does not compress.
	CompressionNone Compression = "none"
)

// Compressions returns all compressions, in the order of the enum of [Parquet.Compression].
func Compressions() []Compression {
	return []Compression{CompressionZstd, CompressionSnappy, CompressionGzip, CompressionNone}
}

// levels returns the highest level, or 0 if there are no levels. The lowest is 1.
func (c Compression) levels() int {
	switch c {
	case CompressionZstd:
		return 22
	case CompressionGzip:
		return 9
	}
	return 0
}

// checkParquet checks that the compression has the given level.
func (d *decoder) checkParquet(path string, p *Parquet) {
	level := join(path, "compression_level")
	if !d.given(level) || d.failed[level] || d.failed[join(path, "compression")] || p.CompressionLevel == 0 {
		return
	}
	switch highest := p.Compression.levels(); {
	case highest == 0:
		d.problemAt(level, "is not used with compression %s, which has no levels; set compression: zstd or gzip, or remove compression_level", p.Compression)
	case p.CompressionLevel > highest:
		d.problemAt(level, "is out of range; expected a whole number from 1 to %d with compression %s", highest, p.Compression)
	}
}
