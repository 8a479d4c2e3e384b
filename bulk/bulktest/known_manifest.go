package bulktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// edited edits the manifest each time it is read.
func edited(edit func(m map[string]any)) play {
	return play{on: StatusEndpoint, do: EditManifest(edit)}
}

// set sets one key of the manifest.
func set(key string, value any) play {
	return edited(func(m map[string]any) { m[key] = value })
}

// entries returns the manifest's output files.
func entries(m map[string]any) []map[string]any {
	list, _ := m["output"].([]any)
	all := make([]map[string]any, 0, len(list))
	for _, e := range list {
		if entry, ok := e.(map[string]any); ok {
			all = append(all, entry)
		}
	}
	return all
}

// eachEntry edits every output file's entry, firstEntry only the first one.
func eachEntry(edit func(entry map[string]any)) play {
	return edited(func(m map[string]any) {
		for _, e := range entries(m) {
			edit(e)
		}
	})
}

func firstEntry(edit func(entry map[string]any)) play {
	return edited(func(m map[string]any) {
		for _, e := range entries(m)[:min(len(entries(m)), 1)] {
			edit(e)
		}
	})
}

// issueFile returns an error file with one issue of a severity.
func issueFile(severity string) File {
	return Lines("OperationOutcome", `{"resourceType":"OperationOutcome","issue":[{"severity":"`+severity+
		`","code":"processing","diagnostics":"a resource could not be exported"}]}`)
}

// withIssues adds an error file.
func withIssues(severity string) func(*Options) {
	return func(o *Options) { o.Errors = more{o.Errors, Files{issueFile(severity)}} }
}

func manifestFaults() []KnownFault {
	return []KnownFault{
		known("manifest-empty", "the export is empty", anyServer,
			set("output", []any{})),
		known("manifest-errors-only", "the only file is a file of errors", "BCDA",
			set("output", []any{})).with(withIssues("error")),
		known("manifest-errors", "the export is complete, with a file of errors", "BCDA, where 99 of 100 patients may have failed").with(withIssues("error")),
		known("manifest-information", "the error section holds only information", "BCDA").with(withIssues("information")),
		known("manifest-outcome", "the file of errors is listed under outcome", "IG 4.0.0-ballot",
			edited(func(m map[string]any) { m["outcome"] = m["error"]; delete(m, "error") })).with(withIssues("error")),
		known("manifest-no-lists", "the keys output, deleted and error are missing", "LinuxForHealth, for an empty export",
			edited(func(m map[string]any) { delete(m, "output"); delete(m, "deleted"); delete(m, "error") })),
		known("manifest-null-lists", "deleted and error are null", anyServer,
			edited(func(m map[string]any) { m["deleted"], m["error"] = nil, nil })),
		known("manifest-extension-object", "extension is an object", "IG 2.0.0 and 3.0.0", set("extension", map[string]any{"https://server.example/x": 1})),
		known("manifest-extension-array", "extension is an array", "IG 4.0.0-ballot, DPC", set("extension", []any{map[string]any{"url": "https://server.example/x", "valueString": "x"}})),
		known("manifest-ballot", "a manifest of the 4.0.0 ballot: no request, manifestType, fileSize", "IG 4.0.0-ballot",
			edited(func(m map[string]any) {
				delete(m, "request")
				m["manifestType"], m["outputFormat"] = "export", "application/fhir+ndjson"
				for _, e := range entries(m) {
					e["fileSize"] = 12345
				}
			})),
		known("manifest-bom", "the manifest begins with a byte order mark", anyServer,
			play{on: StatusEndpoint, do: EditBody(func(body []byte) []byte { return append([]byte("\uFEFF"), body...) })}),
		known("manifest-not-json", "the manifest is cut off, though its length is right", anyServer,
			play{on: StatusEndpoint, do: EditBody(func(body []byte) []byte { return body[:len(body)/2] })}),
		known("manifest-no-manifest", "the response is some other JSON", anyServer,
			play{on: StatusEndpoint, do: Respond(200, http.Header{"Content-Type": {"application/json"}}, `{"message":"ok"}`)}),
		known("manifest-deleted", "the manifest has deleted resources, as Bundles", "the IG, where _since was given",
			edited(func(m map[string]any) {
				m["deleted"] = []any{}
				var kept []any
				for _, e := range entries(m) {
					if e["type"] == "Bundle" {
						m["deleted"] = []any{e}
						continue
					}
					kept = append(kept, e)
				}
				m["output"] = kept
			})).with(func(o *Options) {
			o.Data = more{o.Data, Files{Lines("Bundle", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/gone"}}]}`)}}
		}),
	}
}

func manifestTimeFaults() []KnownFault {
	return []KnownFault{
		known("manifest-expires-go", "the Expires header is a time as Go prints it", "BCDA",
			play{on: StatusEndpoint, do: editHeader("Expires", "2100-11-22 10:00:00.123 +0000 UTC m=+1.5")}),
		known("manifest-expires-past", "the Expires header is in the past", anyServer,
			play{on: StatusEndpoint, do: editHeader("Expires", "Fri, 31 Dec 1999 23:59:59 GMT")}),
		known("manifest-time-old", "transactionTime is years ago, as from an old job", "HAPI, which reuses old jobs; BCDA's is that of the last load",
			set("transactionTime", "1999-01-01T00:00:00Z")),
		known("manifest-time-date", "transactionTime is a date", anyServer, set("transactionTime", "2026-01-01")),
		known("manifest-time-no-zone", "transactionTime has no time zone", anyServer, set("transactionTime", "2026-01-01T00:00:00")),
		known("manifest-time-missing", "transactionTime is missing", anyServer,
			edited(func(m map[string]any) { delete(m, "transactionTime") })),
	}
}

// pageKey is the query parameter of a manifest's pages, except the first.
const pageKey = "page"

// paged puts each output file on its own page, and lets edit change the page. page counts from
// 1; of is the number of pages.
func paged(edit func(m map[string]any, page, of int)) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		EditManifest(func(m map[string]any) {
			page := 1
			_, _ = fmt.Sscan(r.URL.Query().Get(pageKey), &page)
			all := entries(m)
			m["output"] = all[min(page-1, len(all)):min(page, len(all))]
			if page < len(all) {
				m["link"] = []any{map[string]any{"relation": "next", "url": fmt.Sprintf("%s%s?%s=%d", linkBase(r), r.URL.Path, pageKey, page+1)}}
			}
			edit(m, page, len(all))
		})(w, r, next)
	}
}

func isLaterPage(r *http.Request) bool { return r.URL.Query().Has(pageKey) }

func pageFaults() []KnownFault {
	pages := func(edit func(m map[string]any, page, of int)) play {
		return play{on: StatusEndpoint, do: paged(edit)}
	}
	good := pages(func(map[string]any, int, int) {})
	later := func(first int, do Behavior) play {
		return play{on: StatusEndpoint, when: isLaterPage, first: first, do: do}
	}
	return []KnownFault{
		known("manifest-pages", "each output file is on its own page", "IG 3.0.0, allowPartialManifests", good),
		known("manifest-next-page-loop", "the last page links back to the second", anyServer,
			pages(func(m map[string]any, page, of int) {
				if page >= of {
					m["link"] = []any{map[string]any{"relation": "next", "url": "?" + pageKey + "=2"}}
				}
			})),
		known("manifest-next-page-repeats-errors", "every page lists the same file of errors", "IG 3.0.0 allows it", good).with(withIssues("error")),
		known("manifest-next-page-503", "later pages answer 503 at first", anyServer, good, later(1, Respond(503, nil, ""))),
		known("manifest-next-page-404", "later pages answer 404", anyServer, good, later(0, Respond(404, nil, ""))),
		known("manifest-next-page-500", "later pages answer 500 with an OperationOutcome", "IG 3.0.0, an error on a next link",
			good, later(0, Outcome(500, "processing", "the page could not be made"))),
		known("manifest-next-page-cut", "later pages are cut off at first", anyServer, good, later(1, CutBody(50))),
		known("manifest-next-page-other-export", "a later page is from another export: its transactionTime differs", anyServer,
			pages(func(m map[string]any, page, _ int) {
				if page > 1 {
					m["transactionTime"] = "1999-01-01T00:00:00Z"
				}
			})),
	}
}

// entryFaults returns faults in single entries.
func entryFaults() []KnownFault {
	const (
		dpcURL = "https://dpc.cms.gov/"
	)
	checksum := func(server, text string, length any) []any {
		return []any{map[string]any{"url": server + "checksum", "valueString": text}, map[string]any{"url": server + "file_length", "valueDecimal": length}}
	}
	return []KnownFault{
		known("manifest-missing-type", "the entries have no type", anyServer, eachEntry(func(e map[string]any) { delete(e, "type") })),
		known("manifest-unknown-type", "an entry's type is not in R4", anyServer, firstEntry(func(e map[string]any) { e["type"] = "Unheard" })),
		known("manifest-missing-url", "an entry has no url", anyServer, firstEntry(func(e map[string]any) { delete(e, "url") })),
		known("manifest-missing-count", "the entries have no count", "the IG allows it", eachEntry(func(e map[string]any) { delete(e, "count") })),
		known("manifest-count-too-high", "a count is one too high: a resource is missing", anyServer, firstEntry(func(e map[string]any) {
			if n, ok := e["count"].(json.Number); ok {
				count, _ := n.Int64() // written by the server itself
				e["count"] = count + 1
			}
		})),
		known("manifest-count-zero", "a nonempty file has count 0", anyServer, firstEntry(func(e map[string]any) { e["count"] = 0 })),
		known("manifest-count-text", "a count is a word", anyServer, firstEntry(func(e map[string]any) { e["count"] = "many" })),
		known("manifest-duplicate-url", "a file is listed twice", "Azure", edited(func(m map[string]any) {
			if all := entries(m); len(all) > 0 {
				m["output"] = append(all, all[0])
			}
		})),
		known("manifest-duplicate-url-other-count", "a file is listed twice, with two counts", anyServer, edited(func(m map[string]any) {
			if all := entries(m); len(all) > 0 {
				m["output"] = append(all, map[string]any{"type": all[0]["type"], "url": all[0]["url"], "count": 99})
			}
		})),
		known("manifest-relative-url", "the files' URLs are only paths", "LinuxForHealth", eachEntry(func(e map[string]any) {
			if u, ok := e["url"].(string); ok {
				e["url"] = u[strings.Index(u, filePath):]
			}
		})),
		known("manifest-http-url", "the files are at http:// on another host, and need no token", "AB2D",
			edited(func(m map[string]any) {
				m["requiresAccessToken"] = false
				for i, e := range entries(m) {
					e["url"] = fmt.Sprintf("http://fhir.example/%d.ndjson", i)
				}
			})),
		known("manifest-wrong-host", "the files are on another host and require the token", "HAPI",
			firstEntry(func(e map[string]any) { e["url"] = "https://fhir.example/1.ndjson" })),
		known("manifest-sha256-wrong", "a file's SHA-256 is that of another file", anyServer, firstEntry(func(e map[string]any) {
			e["extension"] = checksum(dpcURL, "sha256:"+strings.Repeat("0123456789abcdef", 4), 7)
		})),
		known("manifest-length-of-gzip", "a file's length is that of the stored gzip", "DPC", firstEntry(func(e map[string]any) {
			e["extension"] = []any{map[string]any{"url": dpcURL + "file_length", "valueDecimal": 7}}
		})),
		known("manifest-length-wrong", "a file's length is wrong", anyServer, firstEntry(func(e map[string]any) {
			e["extension"] = []any{map[string]any{"url": "https://ab2d.cms.gov/file_length", "valueDecimal": 7}}
		})),
		known("manifest-long-entry", "an entry of 2 MiB", anyServer, firstEntry(func(e map[string]any) { e["x"] = strings.Repeat("x", 2<<20) })),
		known("manifest-5000-entries", "5,000 more files, all empty", "Oracle has up to 20,000 files of 200 lines",
			edited(func(m map[string]any) {
				all := entries(m)
				if len(all) == 0 {
					return
				}
				link, _ := all[0]["url"].(string)
				link = link[:strings.LastIndexByte(link, '/')]
				for i := range 5000 {
					all = append(all, map[string]any{"type": "Basic", "url": fmt.Sprintf("%s/Basic.empty.%d.ndjson", link, i), "count": 0})
				}
				m["output"] = all
			}),
			play{on: FileEndpoint, when: PathContains("/Basic.empty."), do: Respond(200, http.Header{"Content-Type": {"application/fhir+ndjson"}}, "")}),
	}
}
