package pipeline_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
)

// editLedgers changes all entries of the runs' ledgers.
func (w *world) editLedgers(t *testing.T, edit func([]byte) []byte) {
	t.Helper()
	for _, name := range w.ledgers(t) {
		name = filepath.Join(w.dir.String(), name)
		b, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(name, edit(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A run whose ledger cannot be read says so, and can be thrown away.
func TestADamagedLedger(t *testing.T) {
	t.Parallel()
	for name, throwAway := range map[string]func(w *world) error{
		"fresh": func(w *world) error {
			w.Fresh = true
			_, err := pipeline.Run(t.Context(), w.Options)
			return err
		},
		"cancel": func(w *world) error {
			_, err := pipeline.Cancel(t.Context(), w.Options)
			return err
		},
	} {
		for damage, content := range map[string]string{"cut": `{`, "of a newer one": `[{"unheard_of":{}}]`} {
			t.Run(name+", "+damage, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, bulktest.Options{Data: oneOfEach()})
				remove := w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.Respond(http.StatusGone, nil, "")})
				if _, err := pipeline.Run(t.Context(), w.Options); err == nil {
					t.Fatal("it did not fail")
				}
				remove()
				var entry string
				for _, f := range w.files(t, ".json") {
					if strings.Contains(f, "/ledger/") {
						entry = f // the last
					}
				}
				if err := os.WriteFile(filepath.Join(w.dir.String(), entry), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				var damaged *ledger.DamagedError
				if _, err := pipeline.Run(t.Context(), w.Options); !errors.As(err, &damaged) || !strings.Contains(damaged.Hint, "--fresh") {
					t.Fatalf("error %v", err)
				}
				if err := throwAway(w); err != nil {
					t.Fatal(err)
				}
				w.Fresh = false
				if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
					t.Fatal(err)
				}
				if rows := w.live(t); len(rows["Patient"]) < 20 || w.feed(t).Unfinished != nil {
					t.Errorf("live: %v", rows)
				}
				w.wantTidy(t)
			})
		}
	}
}
