//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sink_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// From fork to exec, a child of this process has its descriptors, so Close alone would
// release a lock only at the exec.
func TestUnlockBesideAChild(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root)
	unlock := lock(t, d)
	found, err := filepath.Glob(filepath.Join(root, "_fhirkiln", "locks", "*.lock"))
	if err != nil || len(found) != 1 {
		t.Fatalf("locked files: %q, %v", found, err)
	}
	childs := duplicate(t, found[0])
	unlock()
	lock(t, d)()
	if err := syscall.Close(childs); err != nil {
		t.Error(err)
	}
}

// duplicate returns another descriptor of a file that this process has open.
func duplicate(t *testing.T, name string) int {
	t.Helper()
	var want, is syscall.Stat_t
	if err := syscall.Stat(name, &want); err != nil {
		t.Fatal(err)
	}
	for fd := range 1 << 10 {
		if err := syscall.Fstat(fd, &is); err != nil || is.Dev != want.Dev || is.Ino != want.Ino {
			continue
		}
		other, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		return other
	}
	t.Fatalf("%s is not open", name)
	return -1
}

// A process that is stopped while it swaps must not hang the others forever.
func TestSwapWaitsAsLongAsItsContext(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root)
	v, err := d.Swap(t.Context(), lockKey, []byte("old"), "")
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(root, "_fhirkiln", "locks", "*.swap"))
	if err != nil || len(found) != 1 {
		t.Fatalf("files to lock: %q, %v", found, err)
	}
	stopped, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(stopped.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.Swap(ctx, lockKey, []byte("new"), v); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Swap: %v", err)
	}
	stopped.Close()
	if _, err := d.Swap(t.Context(), lockKey, []byte("new"), v); err != nil {
		t.Error(err)
	}
}

func TestOpenDirSweepsWhatKilledPutsHaveLeft(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := openDir(t, root)
	part := stage(t, d, "a/p.parquet", "staged")
	staging := filepath.Join(root, "_fhirkiln", "staging")
	for _, name := range []string{"DEAD.put", "LIVE.put"} {
		if err := os.WriteFile(filepath.Join(staging, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	live, err := os.Open(filepath.Join(staging, "LIVE.put"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(live.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	left := func() (names []string) {
		entries, err := os.ReadDir(staging)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if filepath.Ext(e.Name()) == ".put" {
				names = append(names, e.Name())
			}
		}
		return names
	}
	openDir(t, root)
	if diff := cmp.Diff([]string{"LIVE.put"}, left()); diff != "" {
		t.Errorf("after OpenDir (-want +got):\n%s", diff)
	}
	// As the end of its process would. Close alone may not, if another test is just starting
	// a child.
	if err := syscall.Flock(int(live.Fd()), syscall.LOCK_UN); err != nil {
		t.Error(err)
	}
	live.Close()
	openDir(t, root)
	if names := left(); len(names) > 0 {
		t.Errorf("after its process, %q is left", names)
	}
	if err := d.Publish(t.Context(), part); err != nil {
		t.Error(err)
	}
	tidy(t, root)
}
