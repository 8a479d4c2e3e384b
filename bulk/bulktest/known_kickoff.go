package bulktest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func tokenFaults() []KnownFault {
	const at = TokenEndpoint
	answer := func(edit func(map[string]any)) Behavior {
		return EditBody(func(body []byte) []byte {
			var m map[string]any
			if json.Unmarshal(body, &m) != nil {
				return body
			}
			edit(m)
			body, _ = json.Marshal(m) // m was JSON, so this cannot fail
			return body
		})
	}
	return []KnownFault{
		known("token-503", "the token endpoint answers 503 twice", anyServer,
			play{on: at, first: 2, do: Respond(503, nil, "")}),
		known("token-reset", "the token endpoint resets the connection at first", anyServer,
			play{on: at, first: 1, do: Reset()}),
		known("token-html", "200 with a login page instead of a token", anyServer,
			play{on: at, do: html(200, loginPage)}),
		known("token-invalid-client", "the token endpoint answers 401 invalid_client", "RFC 6749, 5.2",
			play{on: at, do: TokenError(401, "invalid_client")}),
		known("token-error-200", "the token endpoint reports its error with 200", anyServer,
			play{on: at, do: TokenError(200, "invalid_grant")}),
		known("token-expires-in-string", "expires_in is a string", anyServer,
			play{on: at, do: answer(func(m map[string]any) { m["expires_in"] = "300" })}),
		known("token-without-expires-in", "the token response does not say how long the token is valid", "RFC 6749, 5.1",
			play{on: at, do: answer(func(m map[string]any) { delete(m, "expires_in") })}),
		known("token-other-scope", "the granted scope is narrower than requested", "SMART Backend Services",
			play{on: at, do: answer(func(m map[string]any) { m["scope"] = "user/Patient.rs" })}),
		{Name: "token-short-lived", Does: "tokens expire after one second", Seen: "SMART Backend Services allow at most five minutes",
			set: func(o *Options) { o.TokenTTL = time.Second }},
	}
}

func kickOffFaults() []KnownFault {
	const at = KickOffEndpoint
	return []KnownFault{
		known("kickoff-200-manifest", "the kick-off is answered with 200 and the manifest, without a status URL", "1upHealth's synchronous form",
			play{on: at, do: manifestAtOnce}),
		known("kickoff-200-accepted", "the kick-off is answered with 200 and a status URL, without a manifest", anyServer,
			play{on: at, do: EditHead(func(status int, _ http.Header) int {
				if status == http.StatusAccepted {
					return http.StatusOK
				}
				return status
			})}),
		known("kickoff-429-empty", "429 with an empty body and Retry-After 0, twice", "BCDA while another job runs",
			play{on: at, first: 2, do: Respond(429, http.Header{"Retry-After": {"0"}}, "")}),
		known("kickoff-429-forever", "429, without saying which export is running", "BCDA while another job runs",
			play{on: at, do: Respond(429, http.Header{"Retry-After": {"0"}}, "")}),
		known("kickoff-429-comma-list", "429 with a comma-separated list of other running exports in Content-Location, twice", "AB2D",
			play{on: at, first: 2, do: running(false)}),
		known("kickoff-429-ours", "429 with a comma-separated list of running exports, one of them from this very kick-off", "AB2D, when a client retries",
			play{on: at, first: 1, do: running(true)}),
		known("kickoff-429-elsewhere", "429 with status URLs at another host", "AB2D",
			play{on: at, do: Respond(429, http.Header{"Retry-After": {"0"}, "Content-Location": {"https://fhir.example/job/1,https://fhir.example/job/2"}}, "")}),
		known("kickoff-403-post", "a kick-off by POST gets 403", "1upHealth's population endpoint",
			play{on: at, when: func(r *http.Request) bool { return r.Method == http.MethodPost }, do: Respond(403, nil, "")}),
		known("kickoff-403", "403 with an OperationOutcome", anyServer,
			play{on: at, do: Outcome(403, "forbidden", "the client may not export this group")}),
		known("kickoff-401-once", "the token is refused at first, though it is fresh", anyServer,
			play{on: at, first: 1, do: Outcome(401, "expired", "the token has expired")}),
		known("kickoff-401", "every token is refused", anyServer,
			play{on: at, do: Outcome(401, "login", "unknown client")}),
		known("kickoff-404", "404", anyServer,
			play{on: at, do: Outcome(404, "not-found", "no such group")}),
		known("kickoff-406", "406", "DPC, for a group without members",
			play{on: at, do: Outcome(406, "business-rule", "the roster is empty")}),
		known("kickoff-400", "400 with an OperationOutcome", "BCDA, for unknown parameters",
			play{on: at, do: Outcome(400, "not-supported", "_typeFilter is not supported")}),
		known("kickoff-501", "501", "Zus, until exports are enabled",
			play{on: at, do: Respond(501, nil, "")}),
		known("kickoff-503", "503, twice", "AB2D under maintenance",
			play{on: at, first: 2, do: Respond(503, nil, "")}),
		known("kickoff-500-html", "500 with a gateway's error page", anyServer,
			play{on: at, do: html(500, badGate)}),
		known("kickoff-html-200", "200 with a login page", anyServer,
			play{on: at, do: html(200, loginPage)}),
		known("kickoff-reset", "the connection is reset before the response", anyServer,
			play{on: at, do: Reset()}),
		known("kickoff-dropped", "the connection is closed before the response", anyServer,
			play{on: at, do: Drop()}),
		known("kickoff-silent", "the server never responds", "Medplum's gateway",
			play{on: at, do: Hang()}),
		known("kickoff-warnings", "202 with an OperationOutcome of warnings", "the IG, handling=lenient",
			play{on: at, do: withWarnings}),
		known("kickoff-export-status", "the status is in X-Export-Status, as \"202 Accepted\", and all polls answer 200", "IG 3.0.0, separate-export-status",
			play{on: at, do: editHeader("Preference-Applied", "respond-async, separate-export-status")},
			play{on: StatusEndpoint, do: separateStatus()}).
			with(func(o *Options) { o.Polls = max(o.Polls, 2) }),
	}
}

// kickOffURLFaults returns faults in the status URL.
func kickOffURLFaults() []KnownFault {
	move := func(edit func(h http.Header, status string)) play {
		return play{on: KickOffEndpoint, do: EditHead(func(code int, h http.Header) int {
			if status := h.Get("Content-Location"); status != "" {
				h.Del("Content-Location")
				edit(h, status)
			}
			return code
		})}
	}
	to := func(url string) play { return move(func(h http.Header, _ string) { h.Set("Content-Location", url) }) }
	return []KnownFault{
		known("kickoff-location", "202 with the status URL in Location", "Smile CDR's tutorial",
			move(func(h http.Header, status string) { h.Set("Location", status) })),
		known("kickoff-no-location", "202 without any status URL", anyServer,
			move(func(http.Header, string) {})),
		known("kickoff-relative-location", "Content-Location is a path", anyServer,
			move(func(h http.Header, status string) {
				h.Set("Content-Location", status[strings.Index(status, statusPath):])
			})),
		known("kickoff-two-locations", "Content-Location is sent twice", anyServer,
			move(func(h http.Header, status string) { h["Content-Location"] = []string{status, status + "?again"} })),
		known("kickoff-http-location", "the status URL is http:// at another host", "HAPI, AB2D",
			to("http://fhir.example/job/1")),
		known("kickoff-wrong-host", "the status URL is at another host", "HAPI",
			to("https://fhir.example/job/1")),
		{Name: "kickoff-other-port", Does: "the status URL is at another port of the host", Seen: anyServer,
			set: func(o *Options) { o.storage = true },
			plays: func(s *Server) []play {
				return []play{move(func(h http.Header, status string) { h.Set("Content-Location", s.toStorage(status)) })}
			}},
	}
}

// manifestAtOnce waits for the job like a client, and answers with its manifest.
func manifestAtOnce(w http.ResponseWriter, r *http.Request, next http.Handler) {
	a := held(next, r)
	status, err := url.Parse(a.header.Get("Content-Location"))
	poll := r.Clone(r.Context())
	poll.Method, poll.URL, poll.Body = http.MethodGet, status, http.NoBody
	for a.status == http.StatusAccepted && err == nil {
		if a = held(next, poll); a.status == http.StatusAccepted {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	}
	a.send(w)
}

// running answers 429 with two running exports, of which the second may be ours.
func running(ours bool) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		first, second := linkBase(r)+statusPath+randomID(), linkBase(r)+statusPath+randomID()
		if ours {
			second = held(next, r).header.Get("Content-Location")
		}
		w.Header().Set("Content-Location", first+", "+second)
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

func withWarnings(w http.ResponseWriter, r *http.Request, next http.Handler) {
	a := held(next, r)
	if a.status == http.StatusAccepted {
		a.header.Set("Content-Type", "application/fhir+json")
		a.body = *bytes.NewBufferString(`{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"not-supported","diagnostics":"_elements is passed over"}]}`)
	}
	a.send(w)
}

// send sends the answer held back.
func (a *heldAnswer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}
