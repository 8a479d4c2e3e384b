package pipeline

import (
	"cmp"

	"fhirkiln/columnar"
)

// Parquet says how parts are encoded. Rows and columns do not depend on it: the parts of a run,
// and of runs that are live together, may be encoded differently. Compacted parts are encoded as
// [Compact] is told, whatever they were before.
type Parquet struct {
	// Codec compresses the pages. Default [columnar.Zstd]. Level is on the codec's own scale; 0
	// is its default. [columnar.Codec.Check] says which are valid; anything else ends a run
	// before it begins.
	Codec columnar.Codec
	Level int

	// BloomFilter adds a Bloom filter of the resources' ids to each row group.
	BloomFilter bool

	// IdentifyingBounds keeps the minimum and maximum of columns that identify people, in the
	// clear; see [columnar.Options].
	IdentifyingBounds bool

	// OmitFieldIDs leaves out field ids; see [columnar.Options].
	OmitFieldIDs bool
}

func (p Parquet) check() error { return cmp.Or(p.Codec, columnar.Zstd).Check(p.Level) }

// columnar returns the options that all parts of a run share.
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
