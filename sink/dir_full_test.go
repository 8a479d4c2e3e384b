package sink

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The test replaces a staged file by a device that is always full. It cannot be synced
// either, so Finish fails.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	stageOnFull := func() Staging {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skipf("there is no device that is always full: %v", err)
		}
		staging, err := d.Stage(t.Context(), "a/p.parquet")
		if err != nil {
			t.Fatal(err)
		}
		s := staging.(*dirStaging)
		s.file.Close()
		s.file = full
		return s
	}

	staging := stageOnFull()
	n, err := staging.Write([]byte("content"))
	if n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Write: %d, %v", n, err)
	}
	want := "writing a part: " + filepath.Join(root, "a/p.parquet") + ": no space left on device"
	if err == nil || err.Error() != want {
		t.Errorf("the error is %q, want %q", err, want)
	}
	if e := new(Error); !errors.As(err, &e) || !strings.Contains(e.Hint, "make room") {
		t.Errorf("the hint is %q", e.Hint)
	}
	if err := staging.Abort(t.Context()); err != nil {
		t.Error(err)
	}

	staging = stageOnFull()
	if r, err := staging.Finish(t.Context()); err == nil {
		t.Errorf("Finish gives a receipt of bytes that are not on disk: %v", r)
	}
	if err := staging.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	d.Close()
	if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	d := &Dir{path: "/lake"}
	for _, tt := range []struct {
		err  error
		hint string
	}{
		{syscall.ENOSPC, "make room"},
		{syscall.EDQUOT, "make room"},
		{syscall.EACCES, "allow this user to write"},
		{syscall.EPERM, "allow this user to write"},
		{syscall.EROFS, "allow this user to write"},
		{syscall.EFBIG, "file size limit"},
		{syscall.EIO, "check the disk"},
	} {
		err := d.failed("writing a part", "a/p.parquet", &fs.PathError{Op: "write", Path: "/lake/a/p.parquet", Err: tt.err})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("the hint for %v is %q", err, e.Hint)
		}
		if !errors.Is(err, tt.err) {
			t.Errorf("%v is not %v", err, tt.err)
		}
		if n := strings.Count(err.Error(), "/lake/a/p.parquet"); n != 1 {
			t.Errorf("%q names the path %d times", err, n)
		}
	}
}
