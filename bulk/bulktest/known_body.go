package bulktest

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// compressed sends the gzipped file as changed by edit, whatever the client accepts.
func compressed(edit func(gz []byte) []byte) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		EditBody(func(body []byte) []byte {
			w.Header().Set("Content-Encoding", "gzip")
			return edit(gzipped(body))
		})(w, r, next)
	}
}

func gzipped(plain []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(plain) // a bytes.Buffer never fails
	_ = z.Close()
	return b.Bytes()
}

func gzipFaults() []KnownFault {
	files := func(name, does, seen string, first int, do Behavior) KnownFault {
		return known(name, does, seen, play{on: FileEndpoint, first: first, do: do})
	}
	short := func(gz []byte) []byte { return gz[:len(gz)*2/3] }
	return []KnownFault{
		files("file-gzip-unannounced", "files are gzip, but no header says so", anyServer, 0,
			Chain(editHeader("Content-Encoding", ""), compressed(func(gz []byte) []byte { return gz }))),
		files("file-gzip-header-alone", "the header says gzip, but files are plain", anyServer, 0,
			Chain(editHeader("Content-Encoding", "gzip"), EditBody(func(b []byte) []byte { return b }))),
		files("file-gzip-empty-member", "an empty gzip follows the gzip", "BCDA", 0,
			compressed(func(gz []byte) []byte { return append(gz, gzipped(nil)...) })),
		files("file-gzip-two-members", "files are two concatenated gzips", anyServer, 0,
			func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				EditBody(func(body []byte) []byte {
					w.Header().Set("Content-Encoding", "gzip")
					half := bytes.IndexByte(body, '\n') + 1
					return append(gzipped(body[:half]), gzipped(body[half:])...)
				})(w, r, next)
			}),
		files("file-gzip-truncated", "each gzip ends early at first, as if it were whole", anyServer, 1, compressed(short)),
		files("file-gzip-truncated-forever", "each gzip ends early, as if it were whole", anyServer, 0, compressed(short)),
		files("file-gzip-checksum", "the gzip's checksum is wrong", anyServer, 0,
			compressed(func(gz []byte) []byte { gz[len(gz)-8] ^= 1; return gz })),
		files("file-gzip-garbage", "something that is not gzip follows the gzip", anyServer, 0,
			compressed(func(gz []byte) []byte { return append(gz, "garbage"...) })),
	}
}

// wrongBodyFaults returns answers with status 200 that are not the file.
func wrongBodyFaults() []KnownFault {
	files := func(name, does, seen string, first int, do Behavior) KnownFault {
		return known(name, does, seen, play{on: FileEndpoint, first: first, do: do})
	}
	return []KnownFault{
		files("file-html-200", "200 with a login page instead of a file", anyServer, 0, html(200, loginPage)),
		files("file-outcome-200", "200 with an OperationOutcome instead of a file", anyServer, 0, Outcome(200, "processing", "the file cannot be read")),
		files("file-outcome-200-transient", "200 with an OperationOutcome of code transient at first", anyServer, 1, Outcome(200, "transient", "not yet")),
		files("file-xml-binary", "a file is a Binary, in XML", "HAPI, for an unknown Accept", 0,
			Respond(200, http.Header{"Content-Type": {"application/fhir+xml"}}, `<Binary xmlns="http://hl7.org/fhir"><contentType value="application/fhir+ndjson"/></Binary>`)),
		files("file-json-binary", "a file is a Binary with the NDJSON in base64", "HAPI, for an unknown Accept", 0,
			EditBody(func(body []byte) []byte {
				return []byte(`{"resourceType":"Binary","contentType":"application/fhir+ndjson","data":"` + base64.StdEncoding.EncodeToString(body) + `"}`)
			})),
		files("file-content-type", "files have the Content-Type text/html, but are right", anyServer, 0, editHeader("Content-Type", "text/html")),
		files("file-octet-stream", "files have the Content-Type application/octet-stream", anyServer, 0, editHeader("Content-Type", "application/octet-stream")),
	}
}

// LargeDocument returns the resource that the known fault file-50mb-line adds: a
// DocumentReference with an attachment of 50 MB.
func LargeDocument() string {
	return `{"resourceType":"DocumentReference","id":"large","status":"current","content":[{"attachment":{"contentType":"text/plain","data":"` +
		strings.Repeat("QUJD", 50_000_000/4) + `"}}]}`
}

// lineFaults returns faults in the content of files.
func lineFaults() []KnownFault {
	files := func(name, does, seen string, edit func(body string) string) KnownFault {
		return known(name, does, seen, play{on: FileEndpoint, do: EditBody(func(b []byte) []byte { return []byte(edit(string(b))) })})
	}
	afterFirst := func(body string, edit func(line string) string) string {
		i := strings.IndexByte(body, '\n') + 1
		return edit(body[:i]) + body[i:]
	}
	return []KnownFault{
		files("file-bom", "each file begins with a byte order mark", anyServer, func(s string) string { return "\uFEFF" + s }),
		files("file-crlf", "lines end with CR LF", anyServer, func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }),
		files("file-blank-lines", "files have blank lines", "HAPI", func(s string) string { return "\n\n" + strings.ReplaceAll(s, "\n", "\n \n") }),
		files("file-no-final-newline", "the last line has no newline", anyServer, func(s string) string { return strings.TrimRight(s, "\n") }),
		known("file-50mb-line", "one resource has 50 MB: a DocumentReference with an attachment", "payers' prior authorizations").
			with(func(o *Options) { o.Data = more{o.Data, Files{Lines("DocumentReference", LargeDocument())}} }),
		files("file-invalid-line", "the first line of each file is cut off in the middle", "Synthea",
			func(s string) string {
				return afterFirst(s, func(line string) string { return line[:len(line)/2] + "\n" })
			}),
		files("file-two-objects", "the first two lines of each file are joined into one", anyServer,
			func(s string) string { return afterFirst(s, strings.TrimSpace) }),
		files("file-not-resource", "the first line of each file is JSON but not a resource", anyServer,
			func(s string) string { return afterFirst(s, func(string) string { return "[1,2]\n" }) }),
		files("file-other-type", "the first resource of each file has a different type than the manifest says", "HAPI",
			func(s string) string {
				return afterFirst(s, func(string) string { return `{"resourceType":"Basic","id":"stray"}` + "\n" })
			}),
	}
}
