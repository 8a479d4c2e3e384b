package sink_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

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
