package sink_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/sink"
)

const lockKey = "_fhirkiln/feeds/members.json"

// lockEnv makes the test binary a process that locks lockKey in the folder that the variable
// names, says so, and lives until its stdin ends.
const lockEnv = "FHIRKILN_TEST_LOCK"

func lockAndWait(folder string) int {
	d, err := sink.OpenDir(folder)
	if err != nil {
		return 1
	}
	if _, err := d.Lock(context.Background(), lockKey); err != nil {
		return 2
	}
	os.Stdout.WriteString("locked\n")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

func wantLocked(t *testing.T, d *sink.Dir) {
	t.Helper()
	unlock, err := d.Lock(t.Context(), lockKey)
	if err == nil {
		unlock()
		t.Fatal("two have the lock")
	}
	if !errors.Is(err, sink.ErrLocked) {
		t.Fatal(err)
	}
	wantError(t, err, "locking: "+filepath.Join(d.String(), lockKey)+": another process has locked it", d.String())
	if e := new(sink.Error); errors.As(err, &e) && e.Hint == "" {
		t.Error("there is no hint")
	}
}

func lock(t *testing.T, d *sink.Dir) (unlock func()) {
	t.Helper()
	unlock, err := d.Lock(t.Context(), lockKey)
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

func TestLock(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	one, other := openDir(t, root), openDir(t, root)
	unlock := lock(t, one)
	wantLocked(t, one)
	wantLocked(t, other)
	if another, err := other.Lock(t.Context(), lockKey+"2"); err != nil {
		t.Errorf("another key's lock: %v", err)
	} else {
		another()
	}
	unlock()
	now := lock(t, other)
	unlock() // again, which must not release the other's lock
	wantLocked(t, one)

	// The locked file itself can be swapped, and a lock file is not one of the sink's files.
	if _, err := one.Swap(t.Context(), lockKey, []byte("content"), ""); err != nil {
		t.Error(err)
	}
	var listed []string
	if err := one.List(t.Context(), "", func(key string, _ int64) error {
		listed = append(listed, key)
		return nil
	}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{lockKey}, listed); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	now()
	tidy(t, root)

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := one.Lock(canceled, lockKey); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock with a canceled context: %v", err)
	}
	for _, key := range []string{"", "../x", "/x"} {
		if _, err := one.Lock(t.Context(), key); err == nil {
			t.Errorf("Lock takes %q", key)
		}
	}
}

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

func TestLockGoesWithItsProcess(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), lockEnv+"="+root)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || said != "locked\n" {
		t.Fatalf("the other process says %q, %v", said, err)
	}
	d := openDir(t, root)
	wantLocked(t, d)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	lock(t, d)()
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
