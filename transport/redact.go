package transport

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Redact returns a URL as it may stand in a log or an error: scheme, host, and of the
// path what tells the route. User and fragment are left out, a query is "?…", and a
// path segment is "…" where it may be a secret or somebody's:
//
//   - one after a resource type: it is an id (Group/…/$export),
//   - a file's name, but for its ending, unless all of it is a type, a known word (see
//     [Words]) or a number below 1000 (Patient.1.ndjson stays),
//   - any other of capital letters, over 12 letters in a row, over 3 digits, over two
//     words of which one is not known, or over 40 bytes. So tenants and routes stay
//     (v1/bison/bulk-export), and ids, UUIDs, dates, JWTs and signatures do not.
//
// A host that is not plain ASCII is percent-encoded. What has neither scheme nor host is a
// path of this machine; of that, only what looks like a JWT or is over 80 bytes long is taken
// out.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(an unreadable URL)"
	}
	if u.Scheme != "" && u.Host == "" {
		return "(a URL without a host)"
	}
	segments := strings.Split(u.EscapedPath(), "/")
	shown := make([]string, len(segments))
	for i, s := range segments {
		switch {
		case isToken(s):
			shown[i] = "…" + fileEnding(s)
		case u.Host == "":
			shown[i] = s
		default:
			shown[i] = redactSegment(s, i > 0 && isResourceType(segments[i-1]))
		}
	}
	var b strings.Builder
	if u.Host != "" {
		b.WriteString(u.Scheme + "://" + printable(u.Host))
	}
	b.WriteString(strings.Join(shown, "/"))
	if u.RawQuery != "" {
		b.WriteString("?…")
	}
	return b.String()
}

// WithoutQuery returns a URL as it may stand beside patient data, to tell one file from
// another (Parquet's __origin, quarantine): without user, query and fragment, and with
// path segments that look like a JWT or are over 80 bytes long as "…". It may name a
// patient, and must not get into logs, errors and reports: those have [Redact].
func WithoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(an unreadable URL)"
	}
	segments := strings.Split(u.EscapedPath(), "/")
	for i, s := range segments {
		if isToken(s) {
			segments[i] = "…" + fileEnding(s)
		}
	}
	bare := strings.Join(segments, "/")
	if u.Host != "" {
		bare = u.Scheme + "://" + printable(u.Host) + bare
	}
	return bare
}

func isToken(segment string) bool { return len(segment) > 80 || strings.HasPrefix(segment, "eyJ") }

// redactSegment shows one segment of a path if it may be shown.
func redactSegment(s string, afterType bool) string {
	if ending := fileEnding(s); ending != "" {
		if _, unknown, ok := runsOf(strings.TrimSuffix(s, ending)); ok && unknown == 0 {
			return s
		}
		return "…" + ending
	}
	numbers, unknown, ok := runsOf(s)
	words := strings.FieldsFunc(s, isJoint)
	switch {
	case !ok || len(s) > 40, afterType && unknown+numbers > 0, unknown > 1, unknown == 1 && len(words) > 2:
		return "…"
	}
	return s
}

// fileEnding is the ".ndjson.gz" of a file's name, "" where there is none.
func fileEnding(s string) string {
	return endings.FindString(s)
}

var endings = regexp.MustCompile(`(?i)(\.(ndjson|jsonl|json|xml|html?|php|aspx?|jsp|csv|txt|parquet|gz|zst|zip))+$`)

func isJoint(r rune) bool { return strings.ContainsRune("-_.~$", r) }

// runsOf looks at the words of a segment: how many are numbers, how many may be words
// though none that is known; not ok if one is neither.
func runsOf(s string) (numbers, unknown int, ok bool) {
	if isKnown(s) {
		return 0, 0, true
	}
	for _, run := range strings.FieldsFunc(s, isJoint) {
		switch {
		case isKnown(run):
		case fileNumber.MatchString(run):
			numbers++
		case routeWord.MatchString(run):
			unknown++
		default:
			return 0, 0, false
		}
	}
	return numbers, unknown, true
}

var (
	fileNumber = regexp.MustCompile(`^(v?[0-9]{1,3}|0[0-9]{3,7})$`) // a server counts 00001, and nobody's number begins so
	routeWord  = regexp.MustCompile(`^[a-z]{1,12}[0-9]{0,2}$`)
)

// WithoutSent takes out of an answer's text the credential that it answers to: servers
// are known to repeat what they were sent. Every header that is not known to be harmless
// may hold one (1upHealth takes client_id and client_secret as headers).
func WithoutSent(resp *http.Response, text string) string {
	for name, values := range resp.Request.Header {
		switch http.CanonicalHeaderKey(name) {
		case "Accept", "Accept-Encoding", "Cache-Control", "Content-Type", "Prefer", "Range", "If-Range", "User-Agent":
			continue
		}
		for _, v := range values {
			if name == "Authorization" {
				_, v, _ = strings.Cut(v, " ") // "Bearer …"
			} else if len(v) < 8 {
				continue // too short for a secret: it would tear words apart
			}
			if v != "" {
				text = strings.ReplaceAll(text, v, "[credential]")
			}
		}
	}
	return text
}
