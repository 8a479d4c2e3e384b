package spelling_test

import (
	"strings"
	"testing"

	"fhirkiln/spelling"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	keys := []string{"url", "token_url", "client_id", "client_auth"}
	types := []string{"Patient", "ServiceRequest", "DeviceDefinition", "Group"}
	for word, test := range map[string]struct {
		candidates []string
		want       string
	}{
		"token_url":             {keys, "token_url"},
		"tokn_url":              {keys, "token_url"}, // one left out
		"tokken_urll":           {keys, "token_url"}, // two too many
		"clinet_id":             {keys, "client_id"}, // two swapped
		"client_if":             {keys, "client_id"}, // one replaced
		"TOKEN_URL":             {keys, "token_url"}, // case
		"patient":               {types, "Patient"},  // the same
		"uri":                   {keys, "url"},       // a short word has one slip
		"uro1":                  {keys, ""},          // not two
		"ServiceDefinition":     {types, ""},         // far from both
		"Xserviceequest":        {types, ""},         // two slips, the first letter among them
		"Grup":                  {types, "Group"},
		"nonsense":              {keys, ""},
		"":                      {keys, ""},
		strings.Repeat("a", 65): {[]string{strings.Repeat("a", 66)}, ""}, // no slip of the keyboard
	} {
		if got := spelling.Nearest(word, test.candidates); got != test.want {
			t.Errorf("%q: got %q, want %q", word, got, test.want)
		}
	}
}
