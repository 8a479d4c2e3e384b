// Package e2e tests fhirkiln against real software: its own binary as a process, DuckDB as a
// reader of its output, and versitygw as an S3 server.
//
// The product under test is a binary built in the root module, with that module's versions of
// everything. Tests with DuckDB need a C compiler and are skipped without one (build tag cgo).
package e2e
