package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// restorable is a Parquet file to restore.
type restorable struct {
	name string // for people
	open func(context.Context) (sink.Reader, error)
	live *lake.Part // what was published; nil for a file that no feed knows
}

// find finds the Parquet files that the command line names. closeAll closes the places that
// they are in, and is never nil.
func (cmd *restoreCommand) find(ctx context.Context, c console, log *slog.Logger) (parts []restorable, closeAll func(), err error) {
	var lakes []*openLake
	closeAll = func() {
		for _, l := range lakes {
			l.close()
		}
	}
	open := func(path string) (*openLake, error) {
		l, err := lakeFlags{Path: path, Config: cmd.Config}.open(ctx, c, log)
		if err == nil {
			lakes = append(lakes, l)
		}
		return l, err
	}
	paths := cmd.Paths
	if len(paths) == 0 {
		paths = []string{""} // the config's sink
	}
	for _, path := range paths {
		before := len(parts)
		if strings.HasPrefix(path, "s3://") && strings.HasSuffix(path, ".parquet") {
			slash := strings.LastIndex(path, "/")
			l, err := open(path[:slash])
			if err != nil {
				return nil, closeAll, err
			}
			parts = append(parts, restorable{name: path, open: l.opener(path[slash+1:])})
			continue
		}
		if path == "" || strings.Contains(path, "://") || isLake(path) {
			l, err := open(path)
			if err != nil {
				return nil, closeAll, err
			}
			found, err := cmd.findIn(ctx, l)
			if err != nil {
				return nil, closeAll, err
			}
			parts = append(parts, found...)
			continue
		}
		found, err := findFiles(path)
		if err != nil {
			return nil, closeAll, &usageError{error: err}
		}
		if parts = append(parts, found...); len(parts) == before {
			return nil, closeAll, &usageError{error: fmt.Errorf("%s has no Parquet files", path)}
		}
	}
	return parts, closeAll, nil
}

// isLake reports whether a path is a folder that runs were published to.
func isLake(path string) bool {
	entries, err := os.ReadDir(filepath.Join(path, "_fhirkiln", "feeds"))
	return err == nil && len(entries) > 0
}

// findIn finds what is live in a place, or all Parquet there if it has no feeds.
func (cmd *restoreCommand) findIn(ctx context.Context, l *openLake) ([]restorable, error) {
	var parts []restorable
	feeds, err := ledger.List(ctx, l.state)
	if err != nil {
		return nil, err
	}
	if len(feeds) > 0 {
		live, err := l.live(ctx, nil, nil)
		for _, p := range live {
			if p.Type != columnar.Deleted && (len(cmd.Type) == 0 || slices.Contains(cmd.Type, p.Type)) {
				parts = append(parts, restorable{below(l.where, p.Key), l.livePart(p.Key), &p.Part})
			}
		}
		return parts, err
	}
	found := false
	err = l.parts.List(ctx, "", func(key string, _ int64) error {
		if !strings.HasSuffix(key, ".parquet") || strings.HasPrefix(key, "_fhirkiln/") || strings.Contains("/"+key, "/deleted/") {
			return nil
		}
		found = true
		parts = append(parts, restorable{name: below(l.where, key), open: l.opener(key)}) // the file itself says its type
		return nil
	})
	if err == nil && !found {
		err = &usageError{error: fmt.Errorf("%s has no Parquet files", l.where)}
	}
	return parts, err
}

// findFiles finds the Parquet files that match a path or pattern.
func findFiles(path string) ([]restorable, error) {
	matches, err := filepath.Glob(path)
	if _, err := os.Stat(path); err == nil {
		matches = []string{path}
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not a valid path or pattern: %w", path, err)
	}
	var parts []restorable
	for _, m := range matches {
		err := filepath.WalkDir(m, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && name != m && (d.Name() == "deleted" || d.Name() == "_fhirkiln"):
				return filepath.SkipDir
			case !d.IsDir() && (strings.HasSuffix(name, ".parquet") || name == m):
				parts = append(parts, restorable{name: name, open: func(context.Context) (sink.Reader, error) { return openFile(name) }})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// file is a local file as a [sink.Reader].
type file struct {
	*os.File
	size int64
}

func openFile(name string) (sink.Reader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return file{f, info.Size()}, nil
}

// Size implements [sink.Reader].
func (f file) Size() int64 { return f.size }
