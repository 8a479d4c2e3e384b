package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"fhirkiln/columnar"
	"fhirkiln/sink"
)

type restoreCommand struct {
	Paths   []string `arg:"" optional:"" placeholder:"PATH" help:"Parquet files that fhirkiln wrote, folders of them, patterns, or s3:// URLs. Default: the config file's sink."`
	Config  string   `short:"c" placeholder:"FILE" help:"The config file: says where sink and state are, and how to reach a PATH on S3. Default: config.yaml if PATH is left out, else none."`
	Type    []string `placeholder:"TYPE" help:"Only resources of this type; may be repeated. Default: all."`
	Out     string   `type:"path" placeholder:"DIR" help:"Write a file TYPE.ndjson per type to this folder. Default: write everything to stdout."`
	Replace bool     `help:"With --out: replace existing files."`
}

// Help is shown by fhirkiln restore --help.
func (restoreCommand) Help() string {
	return `Every resource comes back as it was: the same members, arrays in order, numbers as written. Only the order of
members and white space may differ.

From a folder or bucket that runs publish to, restore takes what is live, in all versions, and fails if that is
not as it was published. From any other folder restore takes every Parquet file, and relies on Parquet's own
checksums. Tombstones (deleted/) are left out; name their files to get them, each as a Bundle of one DELETE.

  fhirkiln restore lake --type Patient
  fhirkiln restore s3://lake/claims --out ndjson
  fhirkiln restore -c config.yaml --out ndjson`
}

// Run implements the command restore.
func (cmd *restoreCommand) Run(ctx context.Context, line *cli, c console) error {
	if err := checkTypes(cmd.Type); err != nil {
		return err
	}
	switch {
	case cmd.Replace && cmd.Out == "":
		return &usageError{error: errors.New("--replace needs --out")}
	case slices.Contains(cmd.Type, columnar.Deleted):
		return &usageError{errors.New("--type deleted: tombstones are restored only from files that you name"), "fhirkiln files --type deleted lists their files"}
	}
	ui := newUI(c, line, "plain", "info")
	defer ui.close()
	parts, closeAll, err := cmd.find(ctx, c, ui.log)
	defer closeAll()
	if err != nil {
		return err
	}
	out := &restored{folder: cmd.Out, replace: cmd.Replace, stdout: c.stdout, files: map[string]*restoredFile{}}
	if cmd.Out != "" {
		if err := os.MkdirAll(cmd.Out, 0o700); err != nil {
			return &sink.Error{Doing: "creating the output folder", Where: cmd.Out, Err: err, Hint: "choose a folder that this user can write to (--out)"}
		}
	}
	for _, part := range parts {
		if err := cmd.part(ctx, part, out); err != nil {
			return errors.Join(err, out.abort())
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	ui.printf("%s", out.summary())
	return nil
}

func (cmd *restoreCommand) part(ctx context.Context, part restorable, out *restored) error {
	f, err := part.open(ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	if part.live != nil {
		if err := part.live.Check(f); err != nil {
			return err
		}
	}
	r, err := columnar.NewReader(f, f.Size())
	if err != nil {
		return &partError{part.name, err}
	}
	defer r.Close()
	if len(cmd.Type) > 0 && !slices.Contains(cmd.Type, r.ResourceType()) {
		return nil
	}
	w, err := out.writer(r.ResourceType())
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		resource, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &partError{part.name, err}
		}
		_, err = w.Write(resource) // the reader owns its memory, so nothing may be appended to it
		if err == nil {
			err = w.WriteByte('\n')
		}
		if err != nil {
			return &sink.Error{Doing: "writing NDJSON", Where: out.where(), Err: err}
		}
		w.resources++
	}
}

// partError says that a Parquet file cannot be read back.
type partError struct {
	name string
	err  error
}

func (e *partError) Error() string { return fmt.Sprintf("reading %s: %v", e.name, e.err) }

func (e *partError) Unwrap() error { return e.err }
