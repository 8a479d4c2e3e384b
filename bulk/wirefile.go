package bulk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"fhirkiln/transport"
)

// wireFile is a file's entry as servers write it. Its types are loose where servers are.
type wireFile struct {
	Type      string          `json:"type"`
	URL       string          `json:"url"`
	Count     json.Number     `json:"count"`
	Extension json.RawMessage `json:"extension"` // an object up to IG 3.0.0, an array in 4.0.0, AB2D and DPC
}

func (f wireFile) resolve(base *url.URL) (File, error) {
	if len(f.URL) > maxURL {
		return File{}, fmt.Errorf("its url is longer than %d bytes", maxURL)
	}
	u, err := base.Parse(f.URL)
	if err != nil || f.URL == "" || u.Host == "" {
		return File{}, fmt.Errorf("its url is missing or unreadable")
	}
	count := int64(-1)
	if f.Count != "" {
		if count, err = f.Count.Int64(); err != nil || count < 0 {
			return File{}, fmt.Errorf("its count %q is not a number of resources", transport.Words(f.Count.String()))
		}
	}
	file := File{Type: typeName(f.Type), URL: u.String(), Count: count}
	file.readExtension(f.Extension)
	return file, nil
}

// typeName returns a type in a form that is safe for logs and reports. It accepts types of any
// FHIR release; what does not look like a type is reduced to its known words.
func typeName(s string) string {
	if len(s) <= 64 && s != "" && s[0] >= 'A' && s[0] <= 'Z' && !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) }) {
		return s
	}
	return transport.Words(s)
}

// readExtension sets SHA256 and Bytes from the extensions of AB2D and DPC. It ignores DPC's
// length, which is that of the stored gzip and says nothing about what will be sent.
func (f *File) readExtension(extension json.RawMessage) {
	var list []struct {
		URL     string      `json:"url"`
		Text    string      `json:"valueString"`
		Decimal json.Number `json:"valueDecimal"`
	}
	if json.Unmarshal(extension, &list) != nil {
		return // an object, in which no key is known
	}
	for _, e := range list {
		switch e.URL {
		case "https://ab2d.cms.gov/checksum", "https://dpc.cms.gov/checksum":
			if sum, ok := strings.CutPrefix(strings.ToLower(e.Text), "sha256:"); ok && len(sum) == 64 {
				f.SHA256 = sum
			}
		case "https://ab2d.cms.gov/file_length":
			if n, err := e.Decimal.Float64(); err == nil && n > 0 && n < 1<<53 {
				f.Bytes = int64(n)
			}
		}
	}
}

// expires parses the Expires header: an HTTP date, RFC 3339, or Go's time.Time.String, which
// BCDA sends.
func expires(h http.Header) time.Time {
	v := strings.TrimSpace(h.Get("Expires"))
	if t, err := http.ParseTime(v); err == nil {
		return t
	}
	v, _, _ = strings.Cut(v, " m=") // Go's monotonic clock reading
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700 MST"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t
		}
	}
	return time.Time{}
}
