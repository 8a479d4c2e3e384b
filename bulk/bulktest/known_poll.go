package bulktest

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// pollFaults returns the faults that an export survives.
func pollFaults() []KnownFault {
	// waits returns a fault in the headers of two 202s.
	waits := func(name, does, seen string, edits ...string) KnownFault {
		return known(name, does, seen, play{on: StatusEndpoint, first: 2, do: editHeader(edits...)}).
			with(func(o *Options) { o.Polls = max(o.Polls, 2) })
	}
	passes := func(name, does, seen string, do Behavior) KnownFault {
		return known(name, does, seen, play{on: StatusEndpoint, first: 2, do: do})
	}
	// strays returns a fault with an answer that is not the server's own, to the two polls
	// after the first 202.
	strays := func(name, does string, status int, body string) KnownFault {
		return KnownFault{Name: name, Does: does + ", twice, while the export runs", Seen: anyServer,
			set: func(o *Options) { o.Polls = max(o.Polls, 2) },
			plays: func(*Server) []play {
				runs := make(map[string]bool)
				again := func(r *http.Request) bool {
					was := runs[r.URL.Path]
					runs[r.URL.Path] = true
					return was
				}
				return []play{{on: StatusEndpoint, first: 2, when: again, do: Respond(status, nil, body)}}
			}}
	}
	return []KnownFault{
		waits("poll-202-bare", "202 without Retry-After and X-Progress", "BCDA", "Retry-After", "", "X-Progress", ""),
		waits("poll-retry-after-hours", "Retry-After is 7200", "eClinicalWorks; Oracle asks for five hours", "Retry-After", "7200"),
		waits("poll-retry-after-date", "Retry-After is a date far in the future", "the IG allows dates", "Retry-After", "Fri, 31 Dec 2100 23:59:59 GMT"),
		waits("poll-retry-after-past", "Retry-After is a date in the past", anyServer, "Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"),
		waits("poll-retry-after-milliseconds", "Retry-After is in milliseconds since 1970", anyServer, "Retry-After", "4102444800000"),
		waits("poll-retry-after-garbage", "Retry-After is a word", anyServer, "Retry-After", "soon"),
		waits("poll-x-retryafter", "the pause is in X-RetryAfter", "Netsmart", "Retry-After", "", "X-RetryAfter", "3600"),
		waits("poll-progress-long", "X-Progress has 5,000 characters", "the IG asks for fewer than 100", "X-Progress", strings.Repeat("nearly ", 700)),
		waits("poll-new-host", "the 202 names another status URL, at another host", anyServer, "Content-Location", "https://fhir.example/job/1"),
		passes("poll-429", "429, twice", "AB2D, when polled too often", Respond(429, http.Header{"Retry-After": {"0"}}, "")),
		passes("poll-500-transient", "500 with an OperationOutcome of code transient, twice", "the IG, Bulk Data Status Request", Outcome(500, "transient", "the database is busy")),
		passes("poll-500-html", "500 with a gateway's error page, twice", anyServer, html(500, badGate)),
		passes("poll-503-empty", "503 with an empty body, twice", "AB2D under maintenance", Respond(503, nil, "")),
		passes("poll-reset", "the connection is reset before the response, twice", anyServer, Reset()),
		passes("poll-dropped", "the connection is closed before the response, twice", anyServer, Drop()),
		passes("poll-manifest-cut", "the manifest is cut off, twice", anyServer, CutBody(60)),
		passes("poll-manifest-outcome-transient", "200 with an OperationOutcome of code transient, twice", anyServer, Outcome(200, "transient", "not yet")),
		strays("poll-404-stray", "404 without an OperationOutcome", 404, ""),
		strays("poll-400-stray", "400 with a gateway's own JSON", 400, `{"message":"Bad Request"}`),
		strays("poll-406-stray", "406 without an OperationOutcome", 406, ""),
		strays("poll-empty-200", "200 with an empty body", 200, ""),
		strays("poll-json-200", "200 with JSON that is not a manifest", 200, `{"status":"UP"}`),
		known("poll-silent", "one poll is never answered", anyServer, play{on: StatusEndpoint, first: 1, do: Hang()}),
		known("poll-401-once", "the token is refused in the middle of polling", anyServer,
			play{on: StatusEndpoint, first: 1, do: Outcome(401, "expired", "the token has expired")}),
		known("poll-202-text", "202 with a text body", anyServer,
			play{on: StatusEndpoint, first: 2, do: Respond(202, nil, "still at it")}),
		known("poll-partial-manifest", "202 with a manifest of the files that are ready", "IG 3.0.0, allowPartialManifests",
			play{on: StatusEndpoint, first: 1, do: partially(false)}),
	}
}

// pollEndFaults returns the faults that end an export.
func pollEndFaults() []KnownFault {
	ends := func(name, does, seen string, do Behavior) KnownFault {
		return known(name, does, seen, play{on: StatusEndpoint, do: do})
	}
	return []KnownFault{
		known("poll-partial-manifest-denied", "202 with a manifest that lists a file the complete one does not", anyServer,
			play{on: StatusEndpoint, first: 1, do: partially(true)}),
		known("poll-export-status-500", "200 with X-Export-Status 500", "IG 3.0.0, separate-export-status",
			play{on: KickOffEndpoint, do: editHeader("Preference-Applied", "separate-export-status")},
			play{on: StatusEndpoint, do: Chain(separateStatus(), Outcome(500, "processing", "the job failed"))}),
		{Name: "poll-redirect", Does: "polls are redirected to another origin with 302", Seen: anyServer,
			set: func(o *Options) { o.storage = true },
			plays: func(s *Server) []play {
				away := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
					http.Redirect(w, r, s.toStorage(linkBase(r)+r.RequestURI), http.StatusFound)
				}
				return []play{{on: StatusEndpoint, when: s.atHome, do: away}}
			}},
		ends("poll-202-forever", "202 forever", "LinuxForHealth, HAPI", Respond(202, nil, "")),
		ends("poll-503-forever", "503 forever", anyServer, Respond(503, nil, "")),
		ends("poll-500-final", "500 with an OperationOutcome of code processing", "BCDA, when a job failed", Outcome(500, "processing", "the job failed")),
		ends("poll-401-forever", "every token is refused", "BCDA, for another client's job", Outcome(401, "login", "not your job")),
		ends("poll-404", "404", "AB2D and BCDA, when a job was canceled", Outcome(404, "not-found", "no such job")),
		ends("poll-410", "410", "BCDA and DPC, a day later", Outcome(410, "expired", "the job has expired")),
		ends("poll-html-200", "200 with a login page", anyServer, html(200, loginPage)),
		ends("poll-outcome-200", "200 with an OperationOutcome of code processing", anyServer, Outcome(200, "processing", "the job failed")),
	}
}

// separateStatus puts the status in X-Export-Status.
func separateStatus() Behavior {
	return EditHead(func(code int, h http.Header) int {
		h.Set("X-Export-Status", strconv.Itoa(code)+" "+http.StatusText(code))
		return http.StatusOK
	})
}

// partially answers with 202 and the first file of the manifest, or with a file that the
// manifest will not have.
func partially(denied bool) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		a := held(next, r)
		var m map[string]any
		if a.status == http.StatusOK && json.Unmarshal(a.body.Bytes(), &m) == nil {
			output, _ := m["output"].([]any)
			m["output"] = output[:min(len(output), 1)]
			if denied {
				m["output"] = []any{map[string]any{"type": "Patient", "url": linkBase(r) + filePath + "early/Patient.0.ndjson"}}
			}
			a.header.Set("Retry-After", "0")
			maps.Copy(w.Header(), a.header)
			writeJSON(w, http.StatusAccepted, "application/json", m)
			return
		}
		a.send(w)
	}
}

// atHome reports whether a request came to the first origin.
func (s *Server) atHome(r *http.Request) bool { return !s.atStorage(r) }

func deleteFaults() []KnownFault {
	deletes := func(name, does, seen string, do Behavior) KnownFault {
		return known(name, does, seen, play{on: DeleteEndpoint, do: do})
	}
	return []KnownFault{
		deletes("delete-403", "DELETE answers 403", "1upHealth's population endpoint", Respond(403, nil, "")),
		deletes("delete-404", "DELETE answers 404", anyServer, Respond(404, nil, "")),
		deletes("delete-500", "DELETE answers 500", anyServer, Respond(500, nil, "")),
		deletes("delete-reset", "DELETE resets the connection", anyServer, Reset()),
	}
}
