package sink_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/sink"
)

// A process killed while it writes a part leaves no receipt, but the key is known: the part
// can be aborted, and the key used again.
func TestAfterAKilledProcess(t *testing.T) {
	t.Parallel()
	const key = "a/p.parquet"
	for name, do := range map[string]func(d *sink.Dir) error{
		"Abort":   func(d *sink.Dir) error { return d.Abort(t.Context(), sink.Receipt{Key: key}) },
		"Discard": func(d *sink.Dir) error { return d.Discard(t.Context(), key) },
		"Stage":   func(d *sink.Dir) error { return d.Publish(t.Context(), stage(t, d, key, "whole")) },
	} {
		root := t.TempDir()
		killed, err := openDir(t, root).Stage(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		defer killed.Abort(t.Context()) // for the file descriptor
		if _, err := killed.Write([]byte("more than half of")); err != nil {
			t.Fatal(err)
		}
		stagedFile(t, root)
		if err := do(openDir(t, root)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		files := tidy(t, root)
		switch b, err := os.ReadFile(filepath.Join(root, key)); {
		case name != "Stage" && len(files) > 0:
			t.Errorf("%s leaves %q", name, files)
		case name == "Stage" && (string(b) != "whole" || len(files) != 1):
			t.Errorf("%s: %q, %v, among %q", name, b, err, files)
		}
	}
}

// Before Publish, no file on disk may have a name that a reader's glob matches.
func TestStagedIsOutsideOfGlobs(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root)
	glob := func() (found []string) {
		err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
			if filepath.Ext(name) == ".parquet" {
				found = append(found, name)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return found
	}
	r := stage(t, d, "r4-core-1/Patient/p1.parquet", "content")
	if found := glob(); len(found) > 0 {
		t.Errorf("staged parts are found: %q", found)
	}
	if _, err := os.Stat(filepath.Join(root, "r4-core-1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the part's folder is there before it: %v", err)
	}
	if info, err := os.Stat(stagedFile(t, root)); err != nil || info.Mode() != 0o600 {
		t.Errorf("the staged file has the mode %v, %v", info.Mode(), err)
	}
	if err := d.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Join(root, r.Key)}, glob()); diff != "" {
		t.Errorf("published parts (-want +got):\n%s", diff)
	}
	tidy(t, root)
}

// The staging folder is removed with each Dir, and other folders with their last file, while
// others need them.
func TestFoldersComeAndGo(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 50 {
				d, err := sink.OpenDir(root)
				if err != nil {
					t.Error(err)
					return
				}
				key := fmt.Sprintf("a/b/%d-%d.parquet", g, i)
				staging, err := d.Stage(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				r, err := staging.Finish(t.Context())
				if err == nil {
					err = d.Publish(t.Context(), r)
				}
				if err == nil {
					err = d.Put(t.Context(), "a/c", []byte("content"))
				}
				if err := errors.Join(err, d.Remove(t.Context(), key), d.Remove(t.Context(), "a/c"), d.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}
