package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // the driver
)

// childArgument makes this program run as the DuckDB process that it measures.
const childArgument = "duckdb-child"

// job is the work of a DuckDB process.
type job struct {
	Threads int
	Before  []string // statements that are not timed
	Timed   []string // statements, each timed
	Times   int      // how often to run all of Timed, in order
}

// took is the time of a statement.
type took struct{ Wall, CPU time.Duration }

// duckDBChild reads a job, runs it, and writes the times of each statement.
func duckDBChild(in io.Reader, out io.Writer) error {
	var j job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return err
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	ctx := context.Background() // the parent kills this process on cancellation
	db.SetMaxOpenConns(1)
	for _, s := range append([]string{fmt.Sprintf("SET threads = %d", j.Threads)}, j.Before...) {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%w in %.200s", err, s)
		}
	}
	all := make([][]took, len(j.Timed))
	for range j.Times {
		for i, s := range j.Timed {
			start, cpu := time.Now(), cpuTime()
			if err := drain(ctx, db, s); err != nil {
				return fmt.Errorf("%w in %.200s", err, s)
			}
			all[i] = append(all[i], took{time.Since(start), cpuTime() - cpu})
		}
	}
	return json.NewEncoder(out).Encode(all)
}

// drain runs a statement and discards its rows.
func drain(ctx context.Context, db *sql.DB, statement string) error {
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
	}
	return rows.Err()
}

// cpuTime returns the CPU time that this process has used.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// duckDB runs a job in a separate process.
func duckDB(ctx context.Context, j job) (usage, [][]took, error) {
	self, err := os.Executable()
	if err != nil {
		return usage{}, nil, err
	}
	body, err := json.Marshal(j)
	if err != nil {
		return usage{}, nil, err
	}
	cmd := exec.CommandContext(ctx, self, childArgument)
	cmd.Stdin = strings.NewReader(string(body))
	u, out, err := measure(cmd, j.Threads)
	if err != nil {
		return u, nil, fmt.Errorf("%w: %w", errDuckDB, err)
	}
	var all [][]took
	err = json.Unmarshal(out, &all)
	return u, all, err
}

// errDuckDB marks errors of DuckDB, as opposed to fhirkiln's.
var errDuckDB = errors.New("DuckDB")

// text returns s as an SQL string literal.
func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// macro returns the statement from fhirkiln schema that lets DuckDB read NDJSON with
// fhirkiln's columns.
func (b *bench) macro(ctx context.Context, resourceType string) (string, error) {
	_, out, err := measure(exec.CommandContext(ctx, b.bin, "schema", resourceType, "--format", "duckdb"), 1)
	if err != nil {
		return "", err
	}
	_, body, ok := strings.Cut(string(out), "CREATE OR REPLACE MACRO ")
	if !ok {
		return "", fmt.Errorf("fhirkiln schema %s has no macro", resourceType)
	}
	return "CREATE OR REPLACE MACRO " + body, nil
}

// columnsOf says with which columns DuckDB reads NDJSON.
type columnsOf int

const (
	fhirkilns columnsOf = iota
	inferred
)

// copyJob returns a job that converts an input to Parquet files in folder, which must exist.
func (b *bench) copyJob(ctx context.Context, in *input, folder string, columns columnsOf) (job, error) {
	j := job{Threads: 1, Times: 1}
	for _, f := range in.files {
		from := fmt.Sprintf("read_json(%s, format = 'newline_delimited')", text(f.path))
		if columns == fhirkilns {
			macro, err := b.macro(ctx, f.resourceType)
			if err != nil {
				return j, err
			}
			j.Before = append(j.Before, macro)
			from = fmt.Sprintf(`"%s_ndjson"(%s)`, f.resourceType, text(f.path))
		}
		j.Timed = append(j.Timed, fmt.Sprintf("COPY (FROM %s) TO %s (FORMAT parquet, COMPRESSION zstd)", from, text(folder+"/"+f.resourceType+".parquet")))
	}
	return j, nil
}
