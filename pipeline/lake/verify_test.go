package lake_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

var verified = []string{"Patient", "Encounter", "deleted"}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 2 {
		w.publish(t, a{types: verified})
	}
	w.publish(t, a{feed: "another"})
	var told []string
	v, err := w.Verify(t.Context(), func(_ string, n, of int) { told = append(told, fmt.Sprintf("%d/%d", n, of)) })
	must(t, err)
	if v.Feeds != 2 || v.Runs != 3 || v.Parts != 7 || v.Rows != 7 || len(v.Problems) > 0 || len(v.Unclaimed) > 0 || v.NotLive > 0 {
		t.Errorf("verification %+v", v)
	}
	if len(told) != 7 || told[0] != "1/7" || told[6] != "7/7" {
		t.Errorf("told of %q", told)
	}
	w.change(t, "another", func(f *ledger.Feed) { f.Drop([]string{f.Runs[0].Run}, w.now) })
	if v, err = w.Verify(t.Context(), nil); err != nil || v.NotLive != 1 || v.Parts != 6 || len(v.Unclaimed) > 0 {
		t.Errorf("of a run that was dropped: %+v, %v", v, err)
	}
}

func TestVerifyFindsWhatWasChanged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, part string){
		"gone": func(t *testing.T, part string) { must(t, os.Remove(part)) },
		"cut":  func(t *testing.T, part string) { must(t, os.Truncate(part, 1000)) },
		"one byte other": func(t *testing.T, part string) {
			b, err := os.ReadFile(part)
			must(t, err)
			b[len(b)/2] ^= 1
			must(t, os.WriteFile(part, b, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			key := w.publish(t, a{types: verified}).Parts[1].Key
			damage(t, filepath.Join(w.dir.String(), key))
			v, err := w.Verify(t.Context(), nil)
			must(t, err)
			if len(v.Problems) != 1 || v.PartProblems != 1 || !strings.Contains(v.Problems[0], key) {
				t.Errorf("problems %q, want one with the damaged part", v.Problems)
			}
		})
	}
	t.Run("a part too many", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		key := path.Join(path.Dir(w.publish(t, a{types: verified}).Parts[0].Key), "p09999-killed.parquet")
		w.put(t, w.dir, key)
		v, err := w.Verify(t.Context(), nil)
		if err != nil || len(v.Problems) > 0 || len(v.Unclaimed) != 1 || v.Unclaimed[0] != key {
			t.Errorf("verification %+v, %v", v, err)
		}
	})
}

// A part may match what was published to the byte, and still be unreadable.
func TestVerifyFindsWhatIsUnreadable(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(part []byte)
		want  string
	}{
		"no Parquet":          {func(part []byte) { clear(part) }, ".parquet: "},
		"pages that are none": {func(part []byte) { clear(part[4:100]) }, ".parquet: row 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.publish(t, a{types: verified})
			name := filepath.Join(w.dir.String(), r.Parts[0].Key)
			part, err := os.ReadFile(name)
			must(t, err)
			tt.spoil(part)
			must(t, os.WriteFile(name, part, 0o600))
			sum := sha256.Sum256(part)
			r.Parts[0].SHA256 = hex.EncodeToString(sum[:])
			must(t, w.PutReport(t.Context(), r))
			v, err := w.Verify(t.Context(), nil)
			if err != nil || len(v.Problems) != 1 || v.PartProblems != 1 || !strings.Contains(v.Problems[0], tt.want) || v.Rows != 2 {
				t.Errorf("verification %+v, %v", v, err)
			}
		})
	}
}

// A run's own records contradict each other.
func TestVerifyFindsWhatDoesNotAgree(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(r *lake.Report)
		want   string
	}{
		"a file that is not what the manifest said": {func(r *lake.Report) { r.Files[0].Count = new(int64(7)) }, "the manifest said 7"},
		"resources that are in no part":             {func(r *lake.Report) { r.Resources++; r.Files[0].Resources++ }, "its parts 3 rows"},
		"another row than the part has":             {func(r *lake.Report) { r.Parts[0].Rows++; r.Resources++; r.Files[0].Resources++ }, "was published with 2"},
		"no part":                                   {func(r *lake.Report) { r.Parts = r.Parts[1:] }, "but feed members says 3 parts with"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.publish(t, a{types: verified})
			tt.change(r)
			must(t, w.PutReport(t.Context(), r))
			v, err := w.Verify(t.Context(), nil)
			must(t, err)
			if !strings.Contains(strings.Join(v.Problems, "\n"), tt.want) {
				t.Errorf("problems %q, want %q", v.Problems, tt.want)
			}
		})
	}
	t.Run("a report of other parts", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		r := w.publish(t, a{types: verified})
		r.Parts[0].SHA256 = r.Parts[1].SHA256
		content, err := r.JSON()
		must(t, err)
		must(t, w.dir.Put(t.Context(), lake.ReportKey(r.Run), content)) // and parts.json stays
		v, err := w.Verify(t.Context(), nil)
		if err != nil || len(v.Problems) != 1 || v.RunProblems != 1 || !strings.Contains(v.Problems[0], "list different parts") {
			t.Errorf("verification %+v, %v", v, err)
		}
	})
	t.Run("what is gone or damaged", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for n, spoil := range []func(run string) error{
			func(run string) error { return w.dir.Remove(t.Context(), lake.ReportKey(run)) },
			func(run string) error { return w.dir.Put(t.Context(), lake.ReportKey(run), []byte("{")) },
			func(run string) error { return w.dir.Remove(t.Context(), lake.PartsKey(run)) },
			func(run string) error { return w.dir.Put(t.Context(), lake.PartsKey(run), []byte("{")) },
			func(string) error { return w.dir.Put(t.Context(), ledger.FeedKey("f4"), []byte("{")) },
		} {
			must(t, spoil(w.publish(t, a{feed: fmt.Sprint("f", n)}).Run))
		}
		v, err := w.Verify(t.Context(), nil)
		if err != nil || v.RunProblems != 4 || v.FeedProblems != 1 || v.PartProblems != 0 || len(v.Problems) != 5 {
			t.Errorf("verification %+v, %v", v, err)
		}
	})
}

// Symlink manifests must name what is live, wherever the lake is looked at, once nobody is
// working on the feed.
func TestVerifyFindsStaleManifests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, a{})
	first, _, err := w.dir.Load(t.Context(), manifest)
	must(t, err)
	w.publish(t, a{})
	verify := func(problems int) {
		t.Helper()
		v, err := w.Verify(t.Context(), nil)
		if err != nil || v.ManifestProblems != problems || len(v.Problems) != problems || problems > 0 && !strings.Contains(v.Problems[0], manifest) {
			t.Errorf("verification %+v, %v, want %d problems", v, err, problems)
		}
	}
	verify(0)
	w.swap(t, manifest, first)
	verify(1)
	must(t, w.under(t, "members", func(*ledger.Lease) error { verify(0); return nil }))
	must(t, w.dir.Remove(t.Context(), manifest))
	verify(1)
	w.putManifests(t, "members")
	verify(0)
	now, _, err := w.dir.Load(t.Context(), manifest)
	must(t, err)
	w.swap(t, manifest, []byte(strings.ReplaceAll(string(now), "file://"+w.dir.String(), "s3://bucket/lake")))
	verify(0)
	w.swap(t, manifest, []byte{})
	verify(1)
}
