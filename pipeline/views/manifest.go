package views

import (
	"slices"
	"strings"
)

// ManifestKey returns the key, in the sink, of the symlink manifest of a feed's live parts of a
// resource type, or of its tombstones for the type "deleted". Each feed has its own, so that
// only the holder of the feed's lease ever writes it, by compare-and-swap.
//
// Manifests must be written after the feed's object was swapped, once for each type that had or
// has a live part, and before gc removes any file. A reader of a manifest sees all of a run or
// none of it, as far as that one type goes.
func ManifestKey(resourceType, feed string) string {
	return joinPath(manifestFolder(resourceType), feed+".txt")
}

// ManifestsFolder holds a folder of symlink manifests for each resource type.
const ManifestsFolder = "_fhirkiln/athena/"

func manifestFolder(resourceType string) string { return ManifestsFolder + resourceType }

// Manifest returns the content of a symlink manifest: the URLs of parts, one per line. Root is
// the sink's, as in s3://lake/claims, and keys are those of the live parts of one feed and type,
// in any order. Without keys it is empty, which is a manifest too.
func Manifest(root string, keys []string) []byte {
	var b strings.Builder
	for _, key := range slices.Sorted(slices.Values(keys)) {
		b.WriteString(joinPath(strings.TrimRight(root, "/"), key) + "\n")
	}
	return []byte(b.String())
}
