package e2e

import (
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/bulk/bulktest/population"
	"fhirkiln/columnar"
)

// signalAt starts cmd, signals it when the server has seen n of its requests, and
// waits for its end. The request that brings the signal is not answered, so that the
// process cannot outrun it.
func signalAt(t *testing.T, server *bulktest.Server, cmd *exec.Cmd, n int, sig os.Signal) error {
	t.Helper()
	started := make(chan struct{})
	remove := server.Inject(bulktest.Fault{Skip: n, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		<-started
		cmd.Process.Signal(sig)
		<-r.Context().Done()
	}})
	defer remove()
	err := cmd.Start()
	close(started)
	if err != nil {
		t.Fatal(err)
	}
	return cmd.Wait()
}

// checkParts reads every published part to its end.
func checkParts(t *testing.T, lake string) (parts int) {
	t.Helper()
	err := filepath.WalkDir(lake, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".parquet") {
			return err
		}
		parts++
		if rows := len(restore(t, name)); rows == 0 {
			t.Errorf("the published part %s has no row", name)
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return parts
}

func TestKillLeavesNoBrokenPart(t *testing.T) {
	t.Parallel()
	data := population.New(population.Options{Seed: 3, Patients: 60, PatientsPerFile: 10})
	server, dir := serve(t, bulktest.Options{Data: data})
	random := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		cmd := fhirkiln(t.Context(), t, dir, "run")
		signalAt(t, server, cmd, random.IntN(30), os.Kill)
		checkParts(t, filepath.Join(dir, "lake"))
	}
	// And afterwards it works.
	runReport(t, dir, "run")
	if checkParts(t, filepath.Join(dir, "lake", columnar.LayoutPath)) == 0 {
		t.Error("nothing was published in the end")
	}
}

func TestSignalsEndARunInOrder(t *testing.T) {
	t.Parallel()
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			server, dir := serve(t, bulktest.Options{Data: population.New(population.Options{Seed: 3, Patients: 60, PatientsPerFile: 10})})
			cmd := fhirkiln(t.Context(), t, dir, "run")
			if got := exitCode(signalAt(t, server, cmd, 12, sig)); got != code {
				t.Errorf("exit code %d, want %d", got, code)
			}
			err := filepath.WalkDir(filepath.Join(dir, "lake"), func(name string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					t.Errorf("%s is left over", name)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			deleted := false
			for _, r := range server.Requests() {
				deleted = deleted || r.Method == http.MethodDelete
			}
			if !deleted {
				t.Error("the server still has the export")
			}
		})
	}
}
