package bulktest_test

import (
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest"
)

func TestDeletedSection(t *testing.T) {
	t.Parallel()
	deleted := bulktest.Files{bulktest.Lines("Bundle", `{"resourceType":"Bundle"}`)}
	c := start(t, bulktest.Options{Data: twoPatients(), Deleted: deleted})
	if m := c.export("/$export", ""); len(m.Deleted) != 0 {
		t.Errorf("without _since: %+v", m.Deleted)
	}
	m := c.export("/Patient/$export?_since=2020-01-01T00:00:00Z", "")
	if len(m.Deleted) != 1 || string(c.get(m.Deleted[0].URL).body) != "{\"resourceType\":\"Bundle\"}\n" {
		t.Errorf("with _since: %+v", m.Deleted)
	}
}

func TestDeletedTypes(t *testing.T) {
	t.Parallel()
	gone := func(urls ...string) string {
		var entries []string
		for _, url := range urls {
			entries = append(entries, `{"request":{"method":"DELETE","url":"`+url+`"}}`)
		}
		return `{"resourceType":"Bundle","entry":[` + strings.Join(entries, ",") + `]}`
	}
	one, two, both := gone("Patient/1"), gone("Coverage/2"), gone("Coverage/2", "Patient/1")
	c := start(t, bulktest.Options{Data: twoPatients(), Deleted: bulktest.Files{bulktest.Lines("Bundle", one, two, both)}})
	for types, want := range map[string]string{"": one + "\n" + two + "\n" + both + "\n", "&_type=Basic,Patient": one + "\n" + both + "\n"} {
		m := c.export("/$export?_since=2020-01-01T00:00:00Z"+types, "")
		if len(m.Deleted) != 1 || string(c.get(m.Deleted[0].URL).body) != want {
			t.Errorf("%s: %+v, want %s", types, m.Deleted, want)
		}
	}
	if m := c.export("/$export?_since=2020-01-01T00:00:00Z&_type=Basic", ""); len(m.Deleted) > 0 {
		t.Errorf("%+v", m.Deleted)
	}
}
