package pipeline

import (
	"cmp"

	"fhirkiln/columnar"
)

// Parquet says how parts are encoded. Rows and columns do not hang on it: the parts of a
// run, and of runs that are live together, may differ in it, and compacted ones get what
// [Compact] is told, whatever they had before.
type Parquet struct {
	// Codec compresses the pages, at a level of its own; 0 is its default. Default
	// [columnar.Zstd]. [columnar.Codec.Check] says what goes; anything else ends a run
	// before it begins.
	Codec columnar.Codec
	Level int

	// BloomFilter adds a bloom filter of the resources' ids to each row group.
	BloomFilter bool

	// IdentifyingBounds keeps the least and the greatest value of columns that identify
	// people, in the clear; see [columnar.Options].
	IdentifyingBounds bool

	// OmitFieldIDs leaves out the ids of fields; see [columnar.Options].
	OmitFieldIDs bool
}

func (p Parquet) check() error { return cmp.Or(p.Codec, columnar.Zstd).Check(p.Level) }

// columnar are the options that every part of a run shares.
func (o *Options) columnar() columnar.Options {
	return columnar.Options{
		TargetBytes:       o.PartBytes,
		RowGroupBytes:     o.RowGroupBytes,
		Codec:             o.Parquet.Codec,
		Level:             o.Parquet.Level,
		BloomFilter:       o.Parquet.BloomFilter,
		IdentifyingBounds: o.Parquet.IdentifyingBounds,
		OmitFieldIDs:      o.Parquet.OmitFieldIDs,
	}
}
