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
	Paths   []string `arg:"" optional:"" placeholder:"PATH" help:"Parquet files that fhirkiln wrote, folders with them, patterns, or s3:// URLs. Default: the sink of the config file."`
	Config  string   `short:"c" placeholder:"FILE" help:"The config file: where the sink and the state are, and the s3 settings for a PATH of s3://. Default without PATH: config.yaml."`
	Type    []string `placeholder:"TYPE" help:"Resources of this type only; may be repeated. Default: all."`
	Out     string   `type:"path" placeholder:"DIR" help:"Write a file TYPE.ndjson for each type there. Default: everything to stdout."`
	Replace bool     `help:"With --out: replace files that are there already."`
}

// Help is shown by fhirkiln restore --help.
func (restoreCommand) Help() string {
	return `Every resource comes back as it was: the same members, arrays in order, numbers as written. The order
of members and white space may differ. Of a folder or bucket that runs were published to, what is live
comes back, every version of it, and only if it is as it was published; of other folders, every Parquet
file in them, as far as Parquet's own checksums tell that it is whole. What the server said was
deleted (deleted/) is left out; name its files to have it, as Bundles of one DELETE each.

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
		return &usageError{error: errors.New("--replace is for files of --out")}
	case slices.Contains(cmd.Type, columnar.Deleted):
		return &usageError{errors.New("--type deleted: tombstones are not restored with a lake"), "name their files: fhirkiln files --type deleted"}
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
			return &sink.Error{Doing: "creating the output folder", Where: cmd.Out, Err: err, Hint: "choose a folder that this user may write to (--out)"}
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
