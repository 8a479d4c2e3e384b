package views

import (
	"slices"
	"strings"
)

// ManifestKey is the key, in the sink, of the symlink manifest of a feed's live parts of
// a resource type; of its tombstones for the type "deleted". It is one for each feed,
// so that nobody but the holder of the feed's lease ever writes it, by compare and swap.
//
// It is to be written after the feed's object was swapped, once for each type that had
// or has a live part, and before gc removes any file. A reader of one of these sees all of
// a run or none of it, as far as one type goes.
func ManifestKey(resourceType, feed string) string {
	return below(manifestFolder(resourceType), feed+".txt")
}

// ManifestsFolder has a folder of symlink manifests for each resource type.
const ManifestsFolder = "_fhirkiln/athena/"

func manifestFolder(resourceType string) string { return ManifestsFolder + resourceType }

// Manifest is the content of a symlink manifest: the URLs of parts, one a line. Root is
// the sink's, as in s3://lake/claims, and keys are those of the live parts of one feed
// and type, in any order. Of no keys it is empty, which is a manifest too.
func Manifest(root string, keys []string) []byte {
	var b strings.Builder
	for _, key := range slices.Sorted(slices.Values(keys)) {
		b.WriteString(below(strings.TrimRight(root, "/"), key) + "\n")
	}
	return []byte(b.String())
}
