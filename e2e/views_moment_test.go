//go:build cgo

package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fhirkiln/pipeline/views"
)

// TestViewsWhileRunsArePublished queries constantly while runs are published and compacted. A
// result has all parts of a run or none, and never loses rows.
func TestViewsWhileRunsArePublished(t *testing.T) {
	t.Parallel()
	const nights, parts = 40, 3
	dir := t.TempDir()
	db := session(t)
	object := &feedObject{Version: 1, Feed: "a", Source: "s"}
	publish := func(night int, replaces []string) {
		name := fmt.Sprintf("r%03d", night)
		for part := range parts {
			// A separate part for each, since a run has many.
			r := runOf(name, lakeFile{transactionTime: monday})
			from, to := night, night
			if replaces != nil {
				from = 0
			}
			for n := from; n <= to; n++ {
				r.files[0].rows = append(r.files[0].rows, lakeRow{fmt.Sprintf("%d.%d", n, part), "", "row"})
			}
			staged := filepath.Join(dir, "staged")
			putRun(t, db, staged, r)
			folder := filepath.Join(dir, r.folder("Patient"))
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(staged, r.folder("Patient"), "p1.parquet"), filepath.Join(folder, fmt.Sprintf("p%d.parquet", part))); err != nil {
				t.Fatal(err)
			}
		}
		now := time.Now().UTC().Format(time.RFC3339Nano) // all parts are in place
		if replaces != nil {
			for _, run := range object.Runs {
				object.Retired = append(object.Retired, feedRunEnd{run.Run, run.Published, now})
			}
			object.Runs = nil
		}
		object.Runs = append(object.Runs, feedRun{Run: name, Published: now, Kind: "full", Status: "published", Replaces: replaces})
		object.put(t, dir)
	}
	publish(0, nil)

	reader := session(t)
	makeViews(t, reader, views.Options{Root: dir, Types: []string{"Patient"}})
	done := make(chan struct{})
	failed := make(chan error, 1)
	go func() { failed <- poll(t, reader, done, parts) }()
	for night := 1; night < nights; night++ {
		if night%5 == 4 {
			names := []string{}
			for _, run := range object.Runs {
				names = append(names, run.Run)
			}
			publish(night, slices.Clip(names))
			continue
		}
		publish(night, nil)
	}
	close(done)
	if err := <-failed; err != nil {
		t.Error(err)
	}
	if n := number(t, reader, "SELECT count(*) FROM current_Patient"); n != nights*parts {
		t.Errorf("%d rows at the end, want %d", n, nights*parts)
	}
}

// poll queries until done is closed. Both queries of a transaction have the same result.
func poll(t *testing.T, db *sql.DB, done <-chan struct{}, parts int) error {
	last, asked := 0, 0
	for {
		select {
		case <-done:
			if asked == 0 {
				return fmt.Errorf("nothing was asked")
			}
			return nil
		default:
		}
		asked++
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			return err
		}
		var versions, current int
		if err := tx.QueryRow("SELECT count(*) FROM Patient").Scan(&versions); err != nil {
			return err
		}
		if err := tx.QueryRow("SELECT count(*) FROM current_Patient").Scan(&current); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		if versions != current || current%parts != 0 || current < last {
			return fmt.Errorf("question %d: %d versions, %d current ones, after %d", asked, versions, current, last)
		}
		last = current
	}
}
