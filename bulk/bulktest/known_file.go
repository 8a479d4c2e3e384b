package bulktest

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// cutAt is the number of bytes on the wire after which files are cut.
const cutAt = 1000

// storageXML answers with an error like S3's.
func storageXML(status int, code, message string) Behavior {
	return Respond(status, http.Header{"Content-Type": {"application/xml"}},
		`<?xml version="1.0" encoding="UTF-8"?>`+"\n<Error><Code>"+code+"</Code><Message>"+message+"</Message></Error>\n")
}

// linkFaults returns faults in where files are and which credentials they require.
func linkFaults() []KnownFault {
	elsewhere := func(name, does, seen string, wantsToken bool) KnownFault {
		return KnownFault{Name: name, Does: does, Seen: seen, set: func(o *Options) { o.storage = true },
			plays: func(s *Server) []play { return presigned(s, wantsToken) }}
	}
	return []KnownFault{
		known("manifest-token-false-text", "requiresAccessToken is the string \"false\", and a token is refused with S3's XML", anyServer,
			set("requiresAccessToken", "false")).with(func(o *Options) { o.OpenFiles = true }),
		elsewhere("file-presigned", "the files are presigned links to storage, which refuses a token with S3's XML", "fhir-works, Azure, the IG's capability URLs", false),
		elsewhere("file-presigned-wants-token", "the files are presigned links to storage, but the manifest says that they require the token", "LinuxForHealth", true),
		known("file-refuses-token", "files that should require the token refuse it with S3's XML", anyServer,
			play{on: FileEndpoint, do: Respond(400, http.Header{"Content-Type": {"application/xml"}}, oneAuthMechanism)}),
		{Name: "file-307-storage", Does: "files redirect (307) to storage, which refuses a token with S3's XML", Seen: "Oracle",
			set: func(o *Options) { o.storage = true },
			plays: func(s *Server) []play {
				away := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
					http.Redirect(w, r, s.toStorage(linkBase(r)+r.RequestURI)+"?X-Amz-Signature=0123456789abcdef", http.StatusTemporaryRedirect)
				}
				return []play{{on: FileEndpoint, when: s.atHome, do: away}}
			}},
		known("file-307-loop", "files redirect (307) to themselves", anyServer,
			play{on: FileEndpoint, do: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(w, r, r.RequestURI, http.StatusTemporaryRedirect)
			}}),
		known("file-307-down", "files redirect (307) to a host that is down", anyServer,
			play{on: FileEndpoint, do: Respond(307, http.Header{"Location": {"https://127.0.0.1:1/1.ndjson"}}, "")}),
		{Name: "file-link-expired", Does: "the links have expired when first followed; the manifest, read again, has new ones", Seen: "presigned storage, the IG",
			set: func(o *Options) { o.storage = true }, plays: expiringLinks},
		{Name: "file-link-expired-forever", Does: "the links have expired, and the manifest, read again, has the same ones", Seen: "presigned storage",
			set: func(o *Options) { o.storage = true },
			plays: func(s *Server) []play {
				return append(presigned(s, false), play{on: FileEndpoint, do: storageXML(403, "AccessDenied", "Request has expired")})
			}},
	}
}

// presigned plays links to storage that stay valid.
func presigned(s *Server, wantsToken bool) []play {
	return []play{edited(func(m map[string]any) {
		m["requiresAccessToken"] = wantsToken
		s.presign(m, "0123456789abcdef")
	})}
}

// presign moves a manifest's links to storage.
func (s *Server) presign(m map[string]any, signature string) {
	for _, e := range entries(m) {
		if link, ok := e["url"].(string); ok {
			e["url"] = s.toStorage(link) + "?X-Amz-Signature=" + signature
		}
	}
}

// expiringLinks plays links that do not work if they are from a manifest's first reading.
func expiringLinks(s *Server) []play {
	var mu sync.Mutex
	readings := make(map[string]int) // by status URL
	return []play{
		{on: FileEndpoint, when: func(r *http.Request) bool { return r.URL.Query().Get("X-Amz-Signature") == "1" },
			do: storageXML(403, "AccessDenied", "Request has expired")},
		{on: StatusEndpoint, do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			EditManifest(func(m map[string]any) {
				mu.Lock()
				readings[r.URL.Path]++
				n := readings[r.URL.Path]
				mu.Unlock()
				m["requiresAccessToken"] = false
				s.presign(m, strconv.Itoa(n))
			})(w, r, next)
		}},
	}
}

// refusedFileFaults returns answers that refuse the file.
func refusedFileFaults() []KnownFault {
	first := func(n int, name, does, seen string, do Behavior) KnownFault {
		return known(name, does, seen, play{on: FileEndpoint, first: n, do: do})
	}
	lasts := func(name, does, seen string, do Behavior) KnownFault {
		return known(name, does, seen, play{on: FileEndpoint, do: do})
	}
	const tooOften = "the file was downloaded too often"
	return []KnownFault{
		{Name: "file-401-token-ended", Does: "all tokens expire before the first file is requested", Seen: anyServer,
			plays: func(s *Server) []play {
				return []play{{on: FileEndpoint, when: once(), do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					s.ExpireTokens()
					next.ServeHTTP(w, r)
				}}}
			}},
		lasts("file-401-forever", "every token is refused", "BCDA, for another client's files", Outcome(401, "login", "not your file")),
		lasts("file-403-forever", "403", anyServer, storageXML(403, "AccessDenied", "Access Denied")),
		first(1, "file-404-once", "each file answers 404 at first", "BCDA", Respond(404, nil, "")),
		lasts("file-404-forever", "files answer 404", "HAPI, two hours later", Respond(404, nil, "")),
		lasts("file-410", "files answer 410", "BCDA and DPC, a day later", Outcome(410, "expired", "the file has expired")),
		first(2, "file-429", "each file answers 429 twice", "Oracle", Respond(429, http.Header{"Retry-After": {"0"}}, "")),
		lasts("file-429-forever", "files answer 429", "Oracle", Respond(429, http.Header{"Retry-After": {"0"}}, "")),
		first(2, "file-503", "each file answers 503 twice", anyServer, Respond(503, nil, "")),
		lasts("file-503-forever", "files answer 503", anyServer, Respond(503, nil, "")),
		first(1, "file-500-html", "each file answers with a gateway's page and 500 at first", anyServer, html(500, badGate)),
		lasts("file-502-forever", "files answer 502", "Oracle", html(502, badGate)),
		{Name: "file-max-6-downloads", Does: "a file can be downloaded six times, then it answers 500 with an OperationOutcome", Seen: "AB2D",
			plays: func(*Server) []play {
				return []play{{on: FileEndpoint, do: atMost(6, Outcome(500, "processing", tooOften))}}
			}},
		{Name: "file-max-6-cut-downloads", Does: "a file can be downloaded six times, and every download ends early", Seen: "AB2D",
			plays: func(*Server) []play {
				return []play{{on: FileEndpoint, do: Chain(atMost(6, Outcome(500, "processing", tooOften)), TruncateBody(cutAt))}}
			}},
		lasts("file-500-downloaded-too-often", "files answer 500 with an OperationOutcome of code processing", "AB2D, after six downloads", Outcome(500, "processing", tooOften)),
		lasts("file-416", "416, though no range was requested", anyServer, Respond(416, nil, "")),
		lasts("file-206", "206 with a part, though no range was requested", anyServer, Respond(206, http.Header{"Content-Range": {"bytes 0-2/100"}}, "{}\n")),
		first(1, "file-reset-before-answer", "the connection for each file is reset at first, before the response", anyServer, Reset()),
		first(1, "file-dropped-before-answer", "the connection for each file is closed at first, before the response", anyServer, Drop()),
		lasts("file-dropped-forever", "the connection for each file is closed before the response", anyServer, Drop()),
		known("file-silent-before-answer", "one file gets no response at first", anyServer,
			play{on: FileEndpoint, when: once(), do: Hang()}),
		lasts("file-connection-close", "every answer closes its connection", "BCDA", editHeader("Connection", "close")),
	}
}

// atMost lets n requests for a URL pass, then plays over.
func atMost(n int, over Behavior) Behavior {
	var mu sync.Mutex
	asked := make(map[string]int)
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		asked[r.URL.Path]++
		within := asked[r.URL.Path] <= n
		mu.Unlock()
		if !within {
			over(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// once selects the first request of each export.
func once() func(*http.Request) bool {
	seen := make(map[string]bool)
	return func(r *http.Request) bool {
		export := r.URL.Path[:strings.LastIndexByte(r.URL.Path, '/')]
		first := !seen[export]
		seen[export] = true
		return first
	}
}

// cutFileFaults returns faults in which files break off.
func cutFileFaults() []KnownFault {
	first := func(name, does, seen string, do Behavior) KnownFault {
		return known(name, does, seen, play{on: FileEndpoint, first: 1, do: do})
	}
	lasts := func(name, does, seen string, do Behavior) KnownFault {
		return known(name, does, seen, play{on: FileEndpoint, do: do})
	}
	plain := EditBody(func(b []byte) []byte { return b })
	return []KnownFault{
		first("file-truncated-chunked", "each file is cut off at first, in chunked encoding", anyServer, CutBody(cutAt)),
		lasts("file-truncated-chunked-forever", "each file is always cut off, in chunked encoding", anyServer, CutBody(cutAt)),
		first("file-short", "each file is at first shorter than its Content-Length", anyServer, Chain(CutBody(cutAt), lengthened(100))),
		lasts("file-short-forever", "each file is always shorter than its Content-Length", anyServer, Chain(CutBody(cutAt), lengthened(100))),
		first("file-ends-early", "each file ends early at first, within a line, as if it were whole", anyServer, Chain(TruncateBody(cutAt), plain)),
		lasts("file-ends-early-at-line", "each file lacks its last line, and only the count tells", anyServer,
			EditBody(func(b []byte) []byte { return b[:strings.LastIndexByte(strings.TrimRight(string(b), "\n"), '\n')+1] })),
		lasts("file-empty", "each file is empty", anyServer, EditBody(func([]byte) []byte { return nil })),
		first("file-reset", "the connection for each file is reset at first, within the file", anyServer, ResetBody(cutAt)),
		known("file-silent", "one file falls silent at first, within the file", anyServer,
			play{on: FileEndpoint, when: once(), do: StallBody(cutAt)}),
		lasts("file-silent-forever", "files fall silent, always at the same place", anyServer, StallBody(cutAt)),
		lasts("file-slow", "files arrive 64 bytes at a time, every millisecond", anyServer, SlowBody(64, time.Millisecond)),
		known("file-changed", "a file is cut off, and is a different one the next time", anyServer,
			play{on: FileEndpoint, first: 1, do: Chain(CutBody(cutAt), plain)},
			play{on: FileEndpoint, do: EditBody(func(b []byte) []byte { return []byte(strings.ToUpper(string(b))) })}),
	}
}

// lengthened announces a Content-Length larger than the body. It holds the body in memory.
func lengthened(by int) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		a := held(next, r)
		a.header.Set("Content-Length", strconv.Itoa(a.body.Len()+by))
		a.send(w)
	}
}
