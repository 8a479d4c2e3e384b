package main

import (
	"cmp"
	"errors"
	"fmt"

	"fhirkiln/columnar"
	"fhirkiln/config"
)

// parquetFlags say how Parquet is written. They override sink.parquet of a config.
type parquetFlags struct {
	Compression           string `placeholder:"CODEC" enum:",zstd,snappy,gzip,none" default:"" help:"Compression of pages: zstd, snappy, gzip or none. Default: zstd."`
	CompressionLevel      *int   `placeholder:"LEVEL" help:"1 (fast) to 22 (small) for zstd, 1 to 9 for gzip. Default: 1 for zstd (base64: 3), 6 for gzip."`
	RowGroupMiB           *int   `name:"row-group-mib" placeholder:"MIB" help:"NDJSON per row group; as Parquet it takes about a tenth. Default: 256, or less if several workers or cores have one each."`
	BloomFilter           *bool  `negatable:"" help:"Write a bloom filter of resource ids into each row group. Default: none."`
	IdentifyingStatistics *bool  `negatable:"" help:"Write the minimum and maximum of columns that identify people, in the clear. Default: none."`
	OmitFieldIDs          *bool  `name:"omit-field-ids" negatable:"" help:"Leave out field ids, for Iceberg's add_files. Default: they are written."`
}

// over returns the config's c overridden by the flags. Without a config, c is zero.
func (f parquetFlags) over(c config.Parquet) (config.Parquet, error) {
	if codec := config.Compression(f.Compression); codec != "" && codec != c.Compression {
		c.Compression, c.CompressionLevel = codec, 0 // the level was for another codec
	}
	if f.CompressionLevel != nil {
		if c.CompressionLevel = *f.CompressionLevel; c.CompressionLevel == 0 {
			return c, &usageError{error: errors.New("--compression-level must be at least 1; to turn compression off, use --compression none")}
		}
	}
	if n := f.RowGroupMiB; n != nil {
		if *n < 1 || *n > 1024 {
			return c, &usageError{error: fmt.Errorf("--row-group-mib must be from 1 to 1024, not %d", *n)}
		}
		c.RowGroupMiB = *n
	}
	if f.BloomFilter != nil {
		c.BloomFilter = *f.BloomFilter
	}
	if f.IdentifyingStatistics != nil {
		c.IdentifyingStatistics = *f.IdentifyingStatistics
	}
	if f.OmitFieldIDs != nil {
		c.OmitFieldIDs = *f.OmitFieldIDs
	}
	c.Compression = cmp.Or(c.Compression, config.CompressionZstd)
	if err := columnar.Codec(c.Compression).Check(c.CompressionLevel); err != nil {
		return c, &usageError{error: fmt.Errorf("--compression-level: %w", err)}
	}
	return c, nil
}

// sinkParquet returns sink.parquet of a config, if there is one.
func sinkParquet(cfg *config.Config) config.Parquet {
	if cfg == nil {
		return config.Parquet{}
	}
	return cfg.Sink.Parquet
}
