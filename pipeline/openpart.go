package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"fhirkiln/pipeline/lake"
	"fhirkiln/sink"
)

// openPart is a part being written.
type openPart struct {
	sink.Staging
	sum hash.Hash // of the bytes written
}

func newOpenPart(s sink.Staging) *openPart { return &openPart{s, sha256.New()} }

// Write implements [io.Writer].
func (p *openPart) Write(b []byte) (int, error) {
	p.sum.Write(b)
	return p.Staging.Write(b)
}

// sha256 returns the SHA-256 of the bytes written, in hexadecimal.
func (p *openPart) sha256() string { return hex.EncodeToString(p.sum.Sum(nil)) }

// stage begins writing a file under key. The ledger first records that something may be there,
// so that whoever finds the ledger can clean up.
func (r *run) stage(ctx context.Context, key string) (sink.Staging, error) {
	if err := r.journal.add(ctx, entry{Keys: []string{key}}); err != nil {
		return nil, err
	}
	return r.storeOf(key).Stage(ctx, key)
}

// storeOf returns the store that a file of the run lives in.
func (r *run) storeOf(key string) Sink {
	if lake.InState(key) {
		return r.State
	}
	return r.Sink
}
