package sink_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/sink"
)

// Someone with write access to the folder must not lead a run out of it by a link.
func TestLinksOutwardsAreNotFollowed(t *testing.T) {
	t.Parallel()
	root, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret.parquet")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := openDir(t, root)
	for link, to := range map[string]string{
		"folder":       outside,
		"file.parquet": secret,
		"put.parquet":  secret,
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()

	for _, key := range []string{"folder/secret.parquet", "file.parquet"} {
		if f, err := d.Open(ctx, key); err == nil {
			f.Close()
			t.Errorf("Open reads %s, which is outside", key)
		}
	}
	for _, key := range []string{"folder/new.parquet", "folder/sub/new.parquet", "file.parquet"} {
		r := stage(t, d, key, "secret") // as long as the file outside
		if err := d.Publish(ctx, r); err == nil {
			t.Errorf("Publish writes to %s, which is outside", key)
		}
		if err := os.Remove(stagedFile(t, root)); err != nil {
			t.Error(err)
		}
	}
	if err := d.Put(ctx, "folder/new.json", []byte("new")); err == nil {
		t.Error("Put writes to folder/new.json, which is outside")
	}
	if err := d.Abort(ctx, sink.Receipt{Key: "folder/secret.parquet", Size: 6}); err == nil {
		t.Error("Abort reaches folder/secret.parquet, which is outside")
	}
	if err := d.Put(ctx, "put.parquet", []byte("put")); err != nil {
		t.Error(err)
	}

	var listed []string
	err := d.List(ctx, "", func(key string, _ int64) error {
		listed = append(listed, key)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"put.parquet"}, listed); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside are now %v, %v", entries, err)
	}
	if b, err := os.ReadFile(secret); string(b) != "secret" {
		t.Errorf("the file outside is now %q, %v", b, err)
	}
}

func TestLinksInsideAreFollowed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root)
	if err := os.Mkdir(filepath.Join(root, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	r := stage(t, d, "link/p.parquet", "content")
	if err := d.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "real", "p.parquet")); string(b) != "content" {
		t.Errorf("read %q, %v", b, err)
	}
	if err := d.Abort(t.Context(), r); err != nil {
		t.Error(err)
	}
	if to, err := os.Readlink(filepath.Join(root, "link")); to != "real" {
		t.Errorf("the link leads to %q now, %v", to, err)
	}
	if entries, err := os.ReadDir(filepath.Join(root, "real")); err != nil || len(entries) > 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}
