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

// wireFile is an entry as servers write it. The types are loose where servers are.
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
	file.checks(f.Extension)
	return file, nil
}

// typeName is a type as it may stand in logs and reports: of any release of FHIR, but a
// name; of what is none, the known words.
func typeName(s string) string {
	if len(s) <= 64 && s != "" && s[0] >= 'A' && s[0] <= 'Z' && !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) }) {
		return s
	}
	return transport.Words(s)
}

// checks reads what AB2D and DPC tell of a file in extensions: the SHA-256 of its plain
// content, and its length. DPC's length is that of the stored gzip, which says nothing
// of what will come.
func (f *File) checks(extension json.RawMessage) {
	var list []struct {
		URL     string      `json:"url"`
		Text    string      `json:"valueString"`
		Decimal json.Number `json:"valueDecimal"`
	}
	if json.Unmarshal(extension, &list) != nil {
		return // an object, in which nothing is known
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

// expires reads the header Expires: a date as HTTP has it, RFC 3339, or what Go prints
// of a time, which BCDA sends.
func expires(h http.Header) time.Time {
	v := strings.TrimSpace(h.Get("Expires"))
	if t, err := http.ParseTime(v); err == nil {
		return t
	}
	v, _, _ = strings.Cut(v, " m=") // of a clock that never goes back
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700 MST"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t
		}
	}
	return time.Time{}
}
