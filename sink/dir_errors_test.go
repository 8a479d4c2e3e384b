package sink_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/sink"
)

func TestOpenDirFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	locked := t.TempDir()
	if err := os.Chmod(locked, 0o500); err != nil {
		t.Fatal(err)
	}
	outwards := t.TempDir()
	if err := os.Symlink(t.TempDir(), filepath.Join(outwards, "_fhirkiln")); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, folder, why string }{
		{"a file", file, "not a directory"},
		{"below a file", filepath.Join(file, "lake"), "not a directory"},
		{"a link leads out of it", outwards, ""},
	}
	if runtime.GOOS == "linux" {
		tests = append(tests,
			struct{ name, folder, why string }{"cannot be created", "/proc/lake", "no such file or directory"},
			struct{ name, folder, why string }{"cannot be written to", "/proc/self", ""})
	}
	if os.Geteuid() != 0 { // root ignores modes
		tests = append(tests, struct{ name, folder, why string }{"a foreign folder", locked, "permission denied"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := sink.OpenDir(tt.folder)
			if err == nil {
				d.Close()
				t.Fatal("OpenDir does not fail")
			}
			wantError(t, err, "preparing the output folder: "+tt.folder+": "+tt.why, tt.folder)
			if e := new(sink.Error); errors.As(err, &e) && e.Hint == "" {
				t.Error("there is no hint")
			}
		})
	}
}

// wantError checks that an error is a [sink.Error] that a person can read.
func wantError(t *testing.T, err error, text, path string) {
	t.Helper()
	var e *sink.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no sink.Error", err)
	}
	if !strings.HasPrefix(err.Error(), text) {
		t.Errorf("the error is %q, want %q", err, text)
	}
	if n := strings.Count(err.Error(), path); n != 1 {
		t.Errorf("%q names the path %d times", err, n)
	}
	for _, noise := range []string{"openat", "renameat", "mkdirat", "unlinkat", "\n"} {
		if strings.Contains(err.Error(), noise) {
			t.Errorf("%q says %q", err, noise)
		}
	}
	if e.Hint != "" && strings.Contains(err.Error(), e.Hint) {
		t.Errorf("%q holds its hint", err)
	}
}

func TestDirErrors(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root)
	ctx := t.Context()
	if err := d.Put(ctx, "folder/file.parquet", []byte("content")); err != nil {
		t.Fatal(err)
	}
	in := func(key string) string { return filepath.Join(root, key) }
	for _, tt := range []struct {
		name, key, text string
		do              func(key string) error
	}{
		{"Publish what is not staged", "x/y.parquet", "publishing a part: " + in("x/y.parquet") + ": the part is not staged",
			func(key string) error { return d.Publish(ctx, sink.Receipt{Key: key, Size: 1}) }},
		{"Publish over another file", "folder/file.parquet", "publishing a part: " + in("folder/file.parquet") + ": a different or damaged file is already there: it has 7 bytes, not 3",
			func(key string) error {
				r := stage(t, d, key, "new")
				return errors.Join(d.Publish(ctx, r), d.Abort(ctx, r))
			}},
		{"Publish over a folder", "folder", "publishing a part: " + in("folder") + ": a different or damaged file is already there",
			func(key string) error { return d.Publish(ctx, sink.Receipt{Key: key, Size: 4096}) }},
		{"Publish below a file", "folder/file.parquet/x", "publishing a part: " + in("folder/file.parquet/x") + ": not a directory",
			func(key string) error { return d.Publish(ctx, sink.Receipt{Key: key}) }},
		{"Put over a folder", "folder", "writing a file: " + in("folder") + ": ",
			func(key string) error { return d.Put(ctx, key, []byte("x")) }},
		{"Put below a file", "folder/file.parquet/x", "writing a file: " + in("folder/file.parquet/x") + ": not a directory",
			func(key string) error { return d.Put(ctx, key, []byte("x")) }},
		{"Open what is not there", "x/y.parquet", "opening a file: " + in("x/y.parquet") + ": no such file or directory",
			func(key string) error { _, err := d.Open(ctx, key); return err }},
		{"Open a folder", "folder", "opening a file: " + in("folder") + ": not a regular file",
			func(key string) error { _, err := d.Open(ctx, key); return err }},
		{"Abort below a file", "folder/file.parquet/x", "removing a part: " + in("folder/file.parquet/x") + ": not a directory",
			func(key string) error { return d.Abort(ctx, sink.Receipt{Key: key}) }},
		{"Stage a name that is too long", strings.Repeat("x", 300), "creating a part: " + in(strings.Repeat("x", 300)) + ": file name too long",
			func(key string) error { _, err := d.Stage(ctx, key); return err }},
	} {
		err := tt.do(tt.key)
		if err == nil {
			t.Errorf("%s does not fail", tt.name)
			continue
		}
		wantError(t, err, tt.text, in(tt.key))
	}
	if b, err := os.ReadFile(in("folder/file.parquet")); string(b) != "content" {
		t.Errorf("the file in the way is now %q, %v", b, err)
	}
	if diff := cmp.Diff([]string{"folder/file.parquet"}, tidy(t, root)); diff != "" {
		t.Errorf("files after errors (-want +got):\n%s", diff)
	}
}
