package sink_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"fhirkiln/sink"
	"fhirkiln/sink/sinktest"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(lockEnv); folder != "" {
		os.Exit(lockAndWait(folder))
	}
	// The tests must not depend on the machine's AWS settings and proxy.
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if upper := strings.ToUpper(name); strings.HasPrefix(upper, "AWS_") || strings.HasSuffix(upper, "_PROXY") {
			os.Unsetenv(name)
		}
	}
	for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		os.Setenv(name, os.DevNull)
	}
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if endpoint := os.Getenv(stageEnv); endpoint != "" {
		os.Exit(stageAndMeasure(endpoint))
	}
	clearUmask()
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sinktest.Test(t, func(t *testing.T) func() sinktest.Sink {
		root := filepath.Join(t.TempDir(), "lake")
		t.Cleanup(func() { tidy(t, root) })
		return func() sinktest.Sink { return openDir(t, root) }
	})
}

func openDir(t *testing.T, root string) *sink.Dir {
	t.Helper()
	d, err := sink.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// tidy checks that only the owner can read what is in root, that nothing is staged, and that
// no folder is empty except the staging folder, which stays until Close. It returns the paths
// of all files.
func tidy(t *testing.T, root string) []string {
	t.Helper()
	files := []string{}
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700 | fs.ModeDir
			entries, err := os.ReadDir(name)
			if err != nil {
				return err
			}
			if len(entries) == 0 && name != root && name != filepath.Join(root, "_fhirkiln", "staging") {
				t.Errorf("an empty folder is left: %s", name)
			}
		} else {
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			files = append(files, rel)
		}
		if info.Mode() != want && name != root { // the test may have created root itself
			t.Errorf("%s has the mode %v, want %v", name, info.Mode(), want)
		}
		if strings.HasSuffix(name, ".staged") {
			t.Errorf("a staged file is left: %s", name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return files
}

func stage(t *testing.T, d *sink.Dir, key, content string) sink.Receipt {
	t.Helper()
	staging, err := d.Stage(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := staging.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	r, err := staging.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stagedFile returns the path of the only staged file in root.
func stagedFile(t *testing.T, root string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "_fhirkiln", "staging", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("staged files: %q, %v", found, err)
	}
	return found[0]
}

func TestOpenDirCreatesOnlyTheFolder(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "new", "lake")
	if got := openDir(t, root).String(); got != root {
		t.Errorf("String is %s, not %s", got, root)
	}
	if files := tidy(t, root); len(files) > 0 {
		t.Errorf("a new folder holds %q", files)
	}
	for _, folder := range []string{root, filepath.Dir(root)} {
		if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has the mode %v, %v", folder, info.Mode(), err)
		}
	}
}

func TestOpenDirOfAnExistingFolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Chmod(root, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "mine.txt"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{root, link} {
		openDir(t, name)
	}
	if info, err := os.Stat(root); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the folder's mode was changed: %v, %v", info.Mode(), err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "mine.txt")); string(b) != "mine" {
		t.Errorf("the file in it is now %q, %v", b, err)
	}
}

func TestPublishRefusesADamagedPart(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root)
	r := stage(t, d, "a/p.parquet", "0123456789")
	if err := os.Truncate(stagedFile(t, root), 9); err != nil {
		t.Fatal(err)
	}
	err := openDir(t, root).Publish(t.Context(), r)
	wantError(t, err, "publishing a part: "+filepath.Join(root, r.Key)+": a different or damaged file is already there: it has 9 bytes, not 10", root)
	if err := d.Abort(t.Context(), r); err != nil {
		t.Error(err)
	}
	if files := tidy(t, root); len(files) > 0 {
		t.Errorf("files are left: %q", files)
	}
}

// While a file is put again and again, every reader sees one content, whole.
func TestPutIsAtomic(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root)
	contents := [][]byte{bytes.Repeat([]byte("a"), 50_000), bytes.Repeat([]byte("b"), 60_000)}
	if err := d.Put(t.Context(), "a/state.json", contents[0]); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				got, err := os.ReadFile(filepath.Join(root, "a", "state.json"))
				if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
					t.Errorf("read %d bytes that were not put, %v", len(got), err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range 50 {
		if err := d.Put(t.Context(), "a/state.json", contents[i%2]); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
	tidy(t, root)
}

// A part of several megabytes, written in odd pieces, is complete.
func TestDirLargePart(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root)
	s, err := d.Stage(t.Context(), "folder/part.parquet")
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for n := 1; len(want) < 9<<20; n = (n*7 + 13) % (3 << 20) {
		piece := bytes.Repeat([]byte{byte(n)}, n)
		if _, err := s.Write(piece); err != nil {
			t.Fatal(err)
		}
		want = append(want, piece...)
	}
	r, err := s.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(want); err == nil {
		t.Error("there is no error of a write after the end")
	}
	if err := d.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(root, r.Key)); err != nil || !bytes.Equal(got, want) || r.Size != int64(len(want)) {
		t.Errorf("%d bytes are there, the receipt says %d, want %d, %v", len(got), r.Size, len(want), err)
	}
}
