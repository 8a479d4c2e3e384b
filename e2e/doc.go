// Package e2e tests fhirkiln against real parts: its own binary as a process, DuckDB as
// a reader of what it wrote, and versitygw as an S3 server.
//
// The product under test is a binary that is built in the root module, with that
// module's versions of everything. Tests that need DuckDB want a C compiler and are
// left out without one (build tag cgo).
package e2e
