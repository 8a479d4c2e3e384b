package sink_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/sink"
)

// No other test sees what survives a power cut: a file is synced with all its content before
// it is renamed, then its folder is, with its new parents.
func TestDirSyncs(t *testing.T) {
	t.Parallel()
	const (
		key     = "a/b/x"
		content = "content"
	)
	root := t.TempDir()
	d := openDir(t, root)
	var synced []string
	d.OnSync(func(name string) {
		is := "there"
		if _, err := os.Lstat(filepath.Join(root, key)); err != nil {
			is = "not there"
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(name); err == nil && !info.IsDir() {
			rel = fmt.Sprintf("%s* of %d bytes", filepath.Dir(rel)+"/", info.Size())
		}
		synced = append(synced, rel+", x "+is)
	})
	var receipt sink.Receipt
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"Put into a new folder", func() error { return d.Put(t.Context(), key, []byte(content)) },
			[]string{"_fhirkiln/staging/* of 7 bytes, x not there", "a/b, x there", "a, x there", "., x there"}},
		{"Put again", func() error { return d.Put(t.Context(), key, []byte(content)) },
			[]string{"_fhirkiln/staging/* of 7 bytes, x there", "a/b, x there"}},
		{"Swap", func() error {
			_, version, err := d.Load(t.Context(), key)
			if err == nil {
				_, err = d.Swap(t.Context(), key, []byte(content+", new"), version)
			}
			return err
		}, []string{"_fhirkiln/staging/* of 12 bytes, x there", "a/b, x there"}},
		{"Remove", func() error { return d.Remove(t.Context(), key) },
			[]string{"a/b, x not there"}},
		{"Finish", func() error {
			receipt = stage(t, d, key, strings.Repeat(content, 1000))
			return nil
		}, []string{"_fhirkiln/staging/* of 7000 bytes, x not there", "_fhirkiln/staging, x not there", "_fhirkiln, x not there", "., x not there"}},
		{"Publish", func() error { return d.Publish(t.Context(), receipt) },
			[]string{"a/b, x there", "a, x there", "., x there"}},
		// The process that published it may have been killed before it synced the folder.
		{"Publish again", func() error { return d.Publish(t.Context(), receipt) },
			[]string{"a/b, x there"}},
		{"Abort", func() error { return d.Abort(t.Context(), receipt) },
			[]string{"a/b, x not there"}},
	} {
		synced = nil
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, synced); diff != "" {
			t.Errorf("%s syncs (-want +got):\n%s", step.name, diff)
		}
	}
}
