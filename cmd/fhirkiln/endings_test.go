package main

import (
	"slices"
	"strings"

	"fhirkiln/bulk/bulktest"
)

// rows returns endings of runs that publish everything despite the faults.
func rows(faults ...string) []ending {
	all := make([]ending, len(faults))
	for i, f := range faults {
		all[i] = ending{fault: f}
	}
	return all
}

// endings returns what the user gets for each fault. A fault may have several, depending on the
// user's settings.
func endings() []ending {
	return slices.Concat(tokenEndings(), kickOffEndings(), pollEndings(), manifestEndings(), fileEndings(), lineEndings(),
		rows("delete-403", "delete-404", "delete-500", "delete-reset"))
}

func tokenEndings() []ending {
	return append(rows("token-503", "token-reset", "token-expires-in-string", "token-without-expires-in"),
		ending{fault: "token-html", exit: exitNotThere, says: "the response is not a token response"},
		ending{fault: "token-invalid-client", exit: exitDenied, says: "401 Unauthorized: invalid_client"},
		ending{fault: "token-error-200", exit: exitDenied, says: "invalid_grant"},
		ending{fault: "token-other-scope", says: "scope", gets: "all rows, and a warning"},
		ending{fault: "token-other-scope", auth: "require_scope: true", exit: exitDenied, says: "scope"},
		ending{fault: "token-short-lived", unseen: true},
	)
}

func kickOffEndings() []ending {
	return append(rows("kickoff-200-manifest", "kickoff-200-accepted", "kickoff-429-empty", "kickoff-429-comma-list", "kickoff-401-once", "kickoff-503", "kickoff-export-status",
		"kickoff-location", "kickoff-relative-location", "kickoff-two-locations"),
		ending{fault: "kickoff-429-forever", exit: exitUnavailable, says: "429 Too Many Requests"},
		ending{fault: "kickoff-429-ours", says: "taking it over", gets: "all rows, of the export that was running"},
		ending{fault: "kickoff-429-elsewhere", exit: exitUnavailable, says: "perhaps with another export of this client"},
		ending{fault: "kickoff-403-post", unseen: true},
		ending{fault: "kickoff-403-post", source: "method: POST", exit: exitDenied, says: "403 Forbidden"},
		ending{fault: "kickoff-403", exit: exitDenied, says: "403 Forbidden: the client … not export this group"},
		ending{fault: "kickoff-401", exit: exitDenied, says: "401 Unauthorized: unknown client"},
		ending{fault: "kickoff-404", exit: exitNotThere, says: "404 Not Found: no such group"},
		ending{fault: "kickoff-406", exit: exitRefused, says: "406 Not Acceptable: the … is empty"},
		ending{fault: "kickoff-400", exit: exitRefused, says: "400 Bad Request: _typeFilter is not supported"},
		ending{fault: "kickoff-501", exit: exitNotThere, says: "501 Not Implemented"},
		ending{fault: "kickoff-500-html", exit: exitUnavailable, says: "500 Internal Server Error: a web page"},
		ending{fault: "kickoff-html-200", exit: exitNotThere, says: "got a web page instead of the manifest"},
		ending{fault: "kickoff-reset", exit: exitUnavailable, says: "connection reset"},
		ending{fault: "kickoff-dropped", exit: exitUnavailable, says: "EOF"},
		ending{fault: "kickoff-silent", exit: exitUnavailable, says: "timeout awaiting response headers", hurry: true},
		ending{fault: "kickoff-warnings", says: "severity=warning code=not-supported", gets: "all rows, and the warnings"},
		ending{fault: "kickoff-no-location", exit: exitBroken, says: "no readable Content-Location"},
		ending{fault: "kickoff-http-location", exit: exitBroken, says: "at another origin, http://fhir.example:80; it is not sent there"},
		ending{fault: "kickoff-wrong-host", exit: exitBroken, says: "at another origin, https://fhir.example:443; it is not sent there"},
		ending{fault: "kickoff-other-port", exit: exitBroken, says: "it is not sent there"},
		ending{fault: "kickoff-other-port", source: "token_origins: [ORIGIN]"},
	)
}

func pollEndings() []ending {
	return append(rows("poll-202-bare", "poll-retry-after-hours", "poll-retry-after-date", "poll-retry-after-past", "poll-retry-after-milliseconds",
		"poll-retry-after-garbage", "poll-x-retryafter", "poll-progress-long", "poll-new-host", "poll-429", "poll-500-transient", "poll-500-html",
		"poll-503-empty", "poll-reset", "poll-dropped", "poll-manifest-cut", "poll-manifest-outcome-transient",
		"poll-404-stray", "poll-400-stray", "poll-406-stray", "poll-empty-200", "poll-json-200", "poll-401-once", "poll-202-text", "poll-partial-manifest"),
		ending{fault: "poll-silent", hurry: true},
		ending{fault: "poll-partial-manifest-denied", exit: exitBroken, says: "the server"},
		ending{fault: "poll-export-status-500", exit: exitRefused, says: "the job failed"},
		ending{fault: "poll-redirect", exit: exitDenied, says: "401 Unauthorized: a bearer token is needed", gets: "nothing; the token is not sent there"},
		ending{fault: "poll-202-forever", exit: exitUnavailable, says: "the server had not finished after", gets: "nothing, after poll.deadline"},
		ending{fault: "poll-503-forever", exit: exitUnavailable, says: "503 Service Unavailable", hurry: true, gets: "nothing, after half an hour"},
		ending{fault: "poll-500-final", exit: exitRefused, says: "500 Internal Server Error: the job failed"},
		ending{fault: "poll-401-forever", exit: exitDenied, says: "401 Unauthorized: not your job"},
		ending{fault: "poll-404", exit: exitRefused, says: "404 Not Found: no such job"},
		ending{fault: "poll-410", exit: exitRefused, says: "410 Gone: the job has expired"},
		ending{fault: "poll-html-200", exit: exitNotThere, says: "got a web page instead of the manifest"},
		ending{fault: "poll-outcome-200", exit: exitRefused, says: "200 OK: the job failed"},
	)
}

func manifestEndings() []ending {
	none := func([]string) []string { return nil }
	return append(rows("manifest-null-lists", "manifest-extension-object", "manifest-extension-array", "manifest-ballot", "manifest-bom",
		"manifest-expires-go", "manifest-expires-past", "manifest-time-old", "manifest-pages", "manifest-next-page-503", "manifest-next-page-cut", "manifest-missing-type", "manifest-unknown-type",
		"manifest-missing-count", "manifest-relative-url", "manifest-length-of-gzip", "manifest-5000-entries", "manifest-token-false-text"),
		ending{fault: "manifest-empty", rows: none, gets: "an empty run"},
		ending{fault: "manifest-no-lists", rows: none, gets: "an empty run"},
		ending{fault: "manifest-errors-only", exit: exitPartial, rows: none, says: "the server reported 1 error", gets: "no rows, and the count of errors"},
		ending{fault: "manifest-errors", exit: exitPartial, says: "the server reported 1 error", unseen: true},
		ending{fault: "manifest-outcome", exit: exitPartial, says: "the server reported 1 error"},
		ending{fault: "manifest-next-page-repeats-errors", exit: exitPartial, says: "the server reported 1 error", gets: "all rows, and each error once"},
		ending{fault: "manifest-information", unseen: true, says: "severity=information"},
		ending{fault: "manifest-not-json", exit: exitBroken, says: "the manifest is unreadable"},
		ending{fault: "manifest-no-manifest", exit: exitBroken, says: "JSON but not a manifest"},
		ending{fault: "manifest-deleted", gets: "all rows, and the Bundles apart under deleted/", rows: func(good []string) []string {
			return append(good, `{"entry":[{"request":{"method":"DELETE","url":"Patient/gone"}}],"resourceType":"Bundle","type":"transaction"}`)
		}},
		ending{fault: "manifest-time-date", says: "no readable transactionTime", gets: "all rows, and a warning"},
		ending{fault: "manifest-time-no-zone", says: "no readable transactionTime", gets: "all rows, and a warning"},
		ending{fault: "manifest-time-missing", says: "no readable transactionTime", gets: "all rows, and a warning"},
		ending{fault: "manifest-next-page-loop", exit: exitBroken, says: "the pages link back"},
		ending{fault: "manifest-next-page-404", exit: exitBroken, says: "404 Not Found"},
		ending{fault: "manifest-next-page-500", exit: exitRefused, says: "500 Internal Server Error: the page could not be …"},
		ending{fault: "manifest-next-page-other-export", exit: exitBroken, says: "its transactionTime differs from the first page's"},
		ending{fault: "manifest-missing-url", exit: exitBroken, says: "its url is missing or unreadable"},
		ending{fault: "manifest-count-too-high", exit: exitBroken, says: "it holds 40 resources, but the manifest says 41"},
		ending{fault: "manifest-count-zero", exit: exitBroken, says: "it holds 40 resources, but the manifest says 0"},
		ending{fault: "manifest-count-text", exit: exitBroken, says: "the manifest is unreadable"},
		ending{fault: "manifest-duplicate-url", gets: "all rows, once"},
		ending{fault: "manifest-duplicate-url-other-count", exit: exitBroken, says: "the manifest lists a file twice, with different details"},
		ending{fault: "manifest-http-url", exit: exitNotThere, says: "http:// is refused except to this machine"},
		ending{fault: "manifest-wrong-host", exit: exitBroken, says: "at another origin, https://fhir.example:443; it is not sent there"},
		ending{fault: "manifest-sha256-wrong", exit: exitBroken, says: "the file's SHA-256 is not the one in the manifest"},
		ending{fault: "manifest-length-wrong", exit: exitBroken, says: "but the manifest says 7"},
		ending{fault: "manifest-long-entry", exit: exitBroken, says: "an entry of the manifest has more than 1048576 bytes"},
	)
}

func fileEndings() []ending {
	return append(rows("file-presigned", "file-307-storage", "file-link-expired", "file-401-token-ended", "file-404-once", "file-429", "file-503", "file-500-html",
		"file-max-6-downloads", "file-reset-before-answer", "file-dropped-before-answer", "file-connection-close",
		"file-truncated-chunked", "file-short", "file-ends-early", "file-reset", "file-slow",
		"file-gzip-unannounced", "file-gzip-header-alone", "file-gzip-empty-member", "file-gzip-two-members", "file-gzip-truncated",
		"file-outcome-200-transient", "file-content-type", "file-octet-stream",
		"file-range", "file-dpc-range", "file-range-416", "file-range-other-part", "file-etag-weak", "file-etag-unquoted", "file-etag-none"),
		ending{fault: "file-presigned-wants-token", exit: exitBroken, says: "it is not sent there"},
		ending{fault: "file-presigned-wants-token", source: "file_hosts: [ORIGIN]"},
		ending{fault: "file-refuses-token", exit: exitRefused, says: "400 Bad Request"},
		ending{fault: "file-307-loop", exit: exitNotThere, says: "refused to follow the server's redirect"},
		ending{fault: "file-307-down", exit: exitUnavailable, says: "connection refused"},
		ending{fault: "file-link-expired-forever", exit: exitBroken, says: "403 Forbidden"},
		ending{fault: "file-401-forever", exit: exitDenied, says: "401 Unauthorized: not your file"},
		ending{fault: "file-403-forever", exit: exitDenied, says: "403 Forbidden"},
		ending{fault: "file-404-forever", exit: exitBroken, says: "404 Not Found"},
		ending{fault: "file-410", exit: exitBroken, says: "410 Gone: the file has expired"},
		ending{fault: "file-429-forever", exit: exitUnavailable, says: "429 Too Many Requests", gets: "nothing, after 36 times"},
		ending{fault: "file-503-forever", exit: exitUnavailable, says: "503 Service Unavailable", gets: "nothing, after 36 times"},
		ending{fault: "file-502-forever", exit: exitUnavailable, says: "502 Bad Gateway"},
		ending{fault: "file-max-6-cut-downloads", exit: exitBroken, says: "on the last of 5 attempts", gets: "nothing, after five downloads"},
		ending{fault: "file-500-downloaded-too-often", exit: exitRefused, says: "the file was downloaded too often"},
		ending{fault: "file-416", exit: exitRefused, says: "416 Requested Range Not Satisfiable"},
		ending{fault: "file-206", exit: exitBroken, says: "206 Partial Content"},
		ending{fault: "file-dropped-forever", exit: exitUnavailable, says: "EOF"},
		ending{fault: "file-silent-before-answer", hurry: true},
		ending{fault: "file-truncated-chunked-forever", exit: exitBroken, says: "on the last of 5 attempts: unexpected EOF"},
		ending{fault: "file-short-forever", exit: exitBroken, says: "on the last of 5 attempts: unexpected EOF"},
		ending{fault: "file-ends-early-at-line", exit: exitBroken, says: "it holds 39 resources, but the manifest says 40"},
		ending{fault: "file-empty", exit: exitBroken, says: "it holds 0 resources, but the manifest says 40"},
		ending{fault: "file-silent", hurry: true},
		ending{fault: "file-silent-forever", exit: exitBroken, says: "no data received for", hurry: true},
		ending{fault: "file-changed", exit: exitBroken, says: "the file changed between two attempts"},
		ending{fault: "file-gzip-truncated-forever", exit: exitBroken, says: "on the last of 5 attempts"},
		ending{fault: "file-gzip-checksum", exit: exitBroken, says: "invalid checksum"},
		ending{fault: "file-gzip-garbage", exit: exitBroken, says: "on the last of 5 attempts"},
		ending{fault: "file-html-200", exit: exitBroken, says: "got a web page or XML instead of NDJSON"},
		ending{fault: "file-outcome-200", exit: exitRefused, says: "the file cannot be read: got an OperationOutcome instead of NDJSON"},
		ending{fault: "file-xml-binary", exit: exitBroken, says: "got a web page or XML instead of NDJSON"},
		ending{fault: "file-json-binary", exit: exitBroken, says: "got a Binary instead of NDJSON"},
	)
}

func lineEndings() []ending {
	const allowed = "max_quarantined: 5%"
	first := func(line string) bool { // each file's first resource
		return strings.Contains(line, `"id":"100"`) || strings.Contains(line, `"id":"200"`) || strings.Contains(line, `"id":"300"`)
	}
	withoutFirst := func(good []string) []string { return slices.DeleteFunc(good, first) }
	return append(rows("file-bom", "file-crlf", "file-blank-lines", "file-no-final-newline"),
		ending{fault: "file-50mb-line", unseen: true, gets: "all rows", rows: func(good []string) []string {
			return append(good, oneSpelling(bulktest.LargeDocument()))
		}},
		ending{fault: "file-invalid-line", exit: exitData, says: "of 40 lines of"},
		ending{fault: "file-invalid-line", feed: allowed, exit: exitPartial, says: "3 lines that are not FHIR resources are in quarantine", rows: withoutFirst},
		ending{fault: "file-not-resource", exit: exitData, says: "it is not a JSON object"},
		ending{fault: "file-not-resource", feed: allowed, exit: exitPartial, says: "3 lines that are not FHIR resources are in quarantine", rows: withoutFirst},
		ending{fault: "file-two-objects", exit: exitBroken, says: "it holds 39 resources, but the manifest says 40"},
		ending{fault: "file-other-type", gets: "all rows, each with its own type", rows: func(good []string) []string {
			stray := `{"id":"stray","resourceType":"Basic"}`
			return append(withoutFirst(good), stray, stray, stray)
		}},
	)
}
