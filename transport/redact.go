package transport

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Redact returns a URL that is safe for logs and errors: its scheme, its host, and the parts of
// its path that show the route. It drops user and fragment, and shortens a query to "?…". It
// replaces a path segment by "…" if the segment may be secret or identify a person:
//
//   - an unknown one after a resource type, which is an id (Group/…/$export),
//   - a file's name, except for its extension, unless it consists of resource types, other
//     known words (see [Words]), and numbers below 1000 or zero-padded (Patient.1.ndjson stays),
//   - any other with an unknown word that has capitals or over 12 letters in a row, with over
//     3 digits (2 after letters), with two unknown words, with one unknown word among more than
//     two, or of over 40 bytes. So tenants and routes stay (v1/bison/bulk-export); ids, UUIDs,
//     dates, JWTs and signatures do not.
//
// A host that is not plain ASCII is percent-encoded. A string with neither scheme nor host is a
// local path, from which Redact removes only segments that look like a JWT or are longer than
// 80 bytes.
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

// WithoutQuery returns a URL in a form that may be stored next to patient data to tell files
// apart (Parquet's __origin, quarantine): without user, query and fragment, and with "…" for
// path segments that look like a JWT or are longer than 80 bytes. The result may identify a
// patient and must not appear in logs, errors or reports; use [Redact] for those.
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

// redactSegment returns a path segment if it may be shown, otherwise "…".
func redactSegment(s string, afterType bool) string {
	if ending := fileEnding(s); ending != "" {
		if _, unknown, ok := runsOf(strings.TrimSuffix(s, ending)); ok && unknown == 0 {
			return s
		}
		return "…" + ending
	}
	numbers, unknown, ok := runsOf(s)
	words := strings.FieldsFunc(s, isSeparator)
	switch {
	case !ok || len(s) > 40, afterType && unknown+numbers > 0, unknown > 1, unknown == 1 && len(words) > 2:
		return "…"
	}
	return s
}

// fileEnding returns a file name's extensions, such as ".ndjson.gz", or "".
func fileEnding(s string) string {
	return endings.FindString(s)
}

var endings = regexp.MustCompile(`(?i)(\.(ndjson|jsonl|json|xml|html?|php|aspx?|jsp|csv|txt|parquet|gz|zst|zip))+$`)

func isSeparator(r rune) bool { return strings.ContainsRune("-_.~$", r) }

// runsOf counts the words of a segment that are numbers, and those that look like words but are
// unknown. ok is false if one is neither of these nor a known word.
func runsOf(s string) (numbers, unknown int, ok bool) {
	if isKnown(s) {
		return 0, 0, true
	}
	for _, run := range strings.FieldsFunc(s, isSeparator) {
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
	fileNumber = regexp.MustCompile(`^(v?[0-9]{1,3}|0[0-9]{3,7})$`) // servers count 00001; no person's number begins with 0
	routeWord  = regexp.MustCompile(`^[a-z]{1,12}[0-9]{0,2}$`)
)

// WithoutSent removes from text, which is part of resp, the credential of resp's request:
// servers are known to repeat what they were sent. Every request header that is not known to
// be harmless may hold one (1upHealth takes client_id and client_secret as headers).
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
				continue // too short for a secret; replacing it would mangle words
			}
			if v != "" {
				text = strings.ReplaceAll(text, v, "[credential]")
			}
		}
	}
	return text
}
