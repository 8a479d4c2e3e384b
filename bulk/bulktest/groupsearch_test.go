package bulktest_test

import (
	"testing"

	"fhirkiln/bulk/bulktest"
)

func TestGroupSearchRefuses(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Group", `{"resourceType":"Group","id":"g"}`)}})
	accept := []string{"Accept", "application/fhir+json", "Authorization", "Bearer " + c.token}
	for name, test := range map[string]struct {
		method, query string
		header        []string
		status        int
	}{
		"no token":         {"GET", "identifier=1", accept[:2], 401},
		"another Accept":   {"GET", "identifier=1", []string{"Accept", "text/html", "Authorization", "Bearer " + c.token}, 400},
		"POST":             {"POST", "identifier=1", accept, 405},
		"another search":   {"GET", "name=x", accept, 400},
		"a bar":            {"GET", "identifier=a|b", accept, 400},
		"too many":         {"GET", "_count=101", accept, 400},
		"none at all":      {"GET", "_count=0", accept, 400},
		"nonsense to skip": {"GET", "_skip=x", accept, 400},
		"a good one":       {"GET", "identifier=a%7Cb&_id=g", accept, 200},
	} {
		if got := c.request(test.method, c.server.FHIR()+"/Group?"+test.query, "", test.header...); got.status != test.status {
			t.Errorf("%s: got %d, want %d: %s", name, got.status, test.status, got.body)
		}
	}
}
