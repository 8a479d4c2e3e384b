package sink

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Parts must be staged on the volume that they are published on, or nothing is fetched.
func TestStagingOnAnotherVolume(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	apart := filepath.Join(root, "_fhirkiln")
	if err := os.Mkdir(apart, dirMode); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", apart, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("this user may mount nothing: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(apart, 0); err != nil {
			t.Error(err)
		}
	}()
	_, err := OpenDir(root)
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Hint, "state.url") {
		t.Errorf("error %v", err)
	}
}
