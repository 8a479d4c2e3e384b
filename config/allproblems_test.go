package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/config"
)

// TestAllProblemsAtOnce shows what a user sees: all problems, in file order.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := parse(`sources:
  bison:
    fhir: https://me:hunter2@fhir.example.org/r4
    auth:
      type: client_credentials
      tokn_url: https://auth.example.org/token
      client_id: ${ONEUP_CLIENT_ID}
      client_secret: hunter2
      client_secret_file: nowhere
    downloads: many
    downloads: 3
  Bad Name:
    auth: [none]
feeds:
  members:
    source: bisno
    level: group
    purpose: fun
    types: Patient
    since: yesterday
  other:
    level: system
    groups: [Group/1, 2, 2, ~]
  Third: {source: bison}
sink: s3://lake
logs: {}
`, "")
	want := []string{
		`config.yaml:3:11: sources.bison.fhir: contains a user name or password, which fhirkiln does not send; expected a URL without them (credentials have keys of their own)`,
		`config.yaml:4:5: sources.bison.auth.token_url: missing; type client_credentials requires token_url`,
		`config.yaml:6:7: sources.bison.auth.tokn_url: unknown key, did you mean token_url?; expected one of type, token_url, discover, token_method, client_auth, client_id, client_secret, client_secret_file, scope, require_scope, private_key, private_key_file, key_id, jku, app_user_id, oneup_user_id, code, code_file, refresh_token, refresh_token_file, refresh_token_store, code_url, names, token, token_file`,
		`config.yaml:7:18: sources.bison.auth.client_id: the environment variable ONEUP_CLIENT_ID is not set; set it, or write ${ONEUP_CLIENT_ID:-default}`,
		`config.yaml:9:27: sources.bison.auth.client_secret_file: client_secret is also set; set only one of them`,
		`config.yaml:10:16: sources.bison.downloads: "many" is not a whole number; expected a whole number from 1 to 64`,
		`config.yaml:11:5: sources.bison.downloads: is a duplicate; the key is already on line 10`,
		`config.yaml:12:3: sources."Bad Name".fhir: missing; expected a base URL such as https://fhir.example.org/r4`,
		`config.yaml:12:3: sources."Bad Name": not a valid name; expected lowercase letters, digits and -, starting with a letter, 100 characters at most`,
		`config.yaml:13:11: sources."Bad Name".auth: found a list; expected a mapping (key: value)`,
		`config.yaml:15:3: feeds.members.groups: missing; level group requires at least one id here, or groups_file or group_search`,
		`config.yaml:16:13: feeds.members.source: no source has that name, did you mean bison?; expected one of Bad Name, bison`,
		`config.yaml:18:14: feeds.members.purpose: "fun" is not valid; expected one of payer_to_payer, provider_access, backfill`,
		`config.yaml:19:12: feeds.members.types: found a string; expected a list, [a, b], of resource types such as Patient`,
		`config.yaml:20:12: feeds.members.since: "yesterday" is not an instant; expected an instant such as 2026-01-31T00:00:00Z, or a date`,
		`config.yaml:21:3: feeds.other.source: missing; expected the name of a source`,
		`config.yaml:23:5: feeds.other.groups: is not used with level system; use level group, or remove groups`,
		`config.yaml:23:14: feeds.other.groups[0]: "Group/1" is not valid; expected Group ids such as 1234, without the Group/ prefix`,
		`config.yaml:23:26: feeds.other.groups[2]: is a duplicate of [1]`,
		`config.yaml:23:29: feeds.other.groups[3]: found no value; expected Group ids such as 1234, without the Group/ prefix`,
		`config.yaml:24:3: feeds.Third.level: missing; expected system or patient, or groups with Group ids`,
		`config.yaml:24:3: feeds.Third: not a valid name; expected lowercase letters, digits and -, starting with a letter, 100 characters at most`,
		`config.yaml:25:7: sink: found a string; expected a mapping (key: value)`,
		`config.yaml:26:1: logs: unknown key, did you mean log?; expected one of sources, feeds, sink, state, parallel, log`,
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	problems, ok := errors.AsType[config.Errors](err)
	if !ok || len(problems) != len(want) {
		t.Errorf("the error is %T with %d problems, want config.Errors with %d", err, len(problems), len(want))
	}
}
