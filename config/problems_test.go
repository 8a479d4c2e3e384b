package config_test

import (
	"errors"
	"strings"
	"testing"

	"fhirkiln/config"
)

// TestProblems has one mistake per case: minimal with a line replaced or added.
func TestProblems(t *testing.T) {
	t.Parallel()
	const (
		fhir   = "    fhir: https://fhir.example.org/r4\n"
		auth   = "    auth: {type: none}\n"
		level  = "    level: system\n"
		source = "    source: s\n"
		url    = "  url: /data\n"
	)
	tests := map[string]struct{ old, new, want string }{
		"no sources":             {minimal[:strings.Index(minimal, "feeds")], "", "1:1: sources: missing; expected at least one source"},
		"empty sources":          {"  s:\n" + fhir + auth, "", "1:1: sources: is empty; expected at least one name with its settings"},
		"source without all":     {fhir + auth, "", "2:3: sources.s.auth: missing"},
		"source is a text":       {"s:\n" + fhir + auth, "s: x\n", "2:6: sources.s: found a string; expected a mapping"},
		"feed is a number":       {"f:\n" + source + level, "f: 3\n", "6:6: feeds.f: found a number; expected a mapping"},
		"fhir empty":             {fhir, "    fhir: ''\n", "3:11: sources.s.fhir: is empty; expected a base URL"},
		"fhir null":              {fhir, "    fhir:\n", "3:10: sources.s.fhir: found no value; expected a base URL"},
		"fhir list":              {fhir, "    fhir: [a]\n", "3:11: sources.s.fhir: found a list; expected a base URL"},
		"fhir scheme":            {fhir, "    fhir: ftp://h/\n", "3:11: sources.s.fhir: does not begin with https://"},
		"fhir without scheme":    {fhir, "    fhir: fhir.example.org/r4\n", "3:11: sources.s.fhir: does not begin with https://"},
		"fhir without host":      {fhir, "    fhir: https:///r4\n", "3:11: sources.s.fhir: has no host"},
		"fhir of other letters":  {fhir, "    fhir: https://fhir.clİnic.example/r4\n", "3:11: sources.s.fhir: has non-ASCII letters in its host"},
		"fhir opaque":            {fhir, "    fhir: https:r4\n", "3:11: sources.s.fhir: has no host"},
		"fhir blank":             {fhir, "    fhir: https://h/a b\n", "3:11: sources.s.fhir: not a URL"},
		"fhir escape":            {fhir, "    fhir: https://h/%zz\n", "3:11: sources.s.fhir: not a URL"},
		"fhir query":             {fhir, "    fhir: https://h/?a=1\n", "3:11: sources.s.fhir: has a ?"},
		"fhir fragment":          {fhir, "    fhir: https://h/#a\n", "3:11: sources.s.fhir: has a #"},
		"fhir with $export":      {fhir, "    fhir: https://h/$export\n", "3:11: sources.s.fhir: contains $export; expected the base URL, to which $export is appended"},
		"fhir http":              {fhir, "    fhir: http://fhir.example.org\n", "3:11: sources.s.fhir: is not encrypted; use https://, or set allow_http: true"},
		"fhir looks local":       {fhir, "    fhir: http://127.0.0.1.example.org\n", "3:11: sources.s.fhir: is not encrypted"},
		"method":                 {fhir, fhir + "    method: get\n", `4:13: sources.s.method: "get" is not valid, did you mean GET?; expected one of GET, POST`},
		"allow_http":             {fhir, fhir + "    allow_http: yes\n", `4:17: sources.s.allow_http: "yes" is not a boolean; expected true or false`},
		"downloads 0":            {fhir, fhir + "    downloads: 0\n", `4:16: sources.s.downloads: "0" is out of range; expected a whole number from 1 to 64`},
		"downloads 65":           {fhir, fhir + "    downloads: 65\n", `4:16: sources.s.downloads: "65" is out of range`},
		"downloads 1.5":          {fhir, fhir + "    downloads: 1.5\n", `4:16: sources.s.downloads: "1.5" is not a whole number`},
		"poll 0":                 {fhir, fhir + "    poll: {min: 0s}\n", `4:17: sources.s.poll.min: "0s" is too short; expected a duration such as 90s`},
		"poll negative":          {fhir, fhir + "    poll: {min: -1s}\n", `4:17: sources.s.poll.min: "-1s" is not a duration`},
		"poll unitless":          {fhir, fhir + "    poll: {min: 5}\n", `4:17: sources.s.poll.min: "5" is not a duration`},
		"poll ages":              {fhir, fhir + "    poll: {deadline: 1000d}\n", `4:22: sources.s.poll.deadline: "1000d" is too long`},
		"poll overflow":          {fhir, fhir + "    poll: {deadline: 1023d2562047h}\n", `4:22: sources.s.poll.deadline: "1023d2562047h" is too long`},
		"poll odd days":          {fhir, fhir + "    poll: {deadline: 1.5d}\n", `4:22: sources.s.poll.deadline: "1.5d" is not a duration`},
		"poll min over max":      {fhir, fhir + "    poll: {min: 2s, max: 1s}\n", "4:17: sources.s.poll.min: is longer than max"},
		"auth missing":           {auth, "", "2:3: sources.s.auth: missing; expected a mapping with at least type"},
		"auth type missing":      {auth, "    auth:\n", "4:5: sources.s.auth.type: missing; expected one of client_credentials, private_key_jwt, oneup_user, oneup_headers, bearer, none"},
		"auth type":              {auth, "    auth: {type: oauth}\n", `4:18: sources.s.auth.type: "oauth" is not valid; expected one of client_credentials, private_key_jwt, oneup_user, oneup_headers, bearer, none`},
		"auth none with token":   {auth, "    auth: {type: none, token: x}\n", "4:31: sources.s.auth.token: is not used with type none, which takes no other keys"},
		"auth none with method":  {auth, "    auth: {type: none, token_method: GET}\n", "4:38: sources.s.auth.token_method: is not used with type none"},
		"bearer without token":   {auth, "    auth: {type: bearer}\n", "4:5: sources.s.auth.token: missing; type bearer requires token or token_file"},
		"bearer empty token":     {auth, "    auth: {type: bearer, token: ''}\n", "4:33: sources.s.auth.token: is empty; type bearer requires token or token_file"},
		"bearer with scope":      {auth, "    auth: {type: bearer, token: x, scope: y}\n", "4:43: sources.s.auth.scope: is not used with type bearer, which takes only token"},
		"bearer broken token":    {auth, "    auth: {type: bearer, token: 'a b'}\n", "4:33: sources.s.auth.token: has spaces or characters"},
		"token_url http":         {auth, "    auth: {type: client_credentials, token_url: 'http://h/', client_id: a, client_secret: b}\n", "4:49: sources.s.auth.token_url: is not encrypted"},
		"no client_secret":       {auth, "    auth: {type: client_credentials, token_url: 'https://h/', client_id: a}\n", "4:5: sources.s.auth.client_secret: missing; type client_credentials requires client_secret or client_secret_file"},
		"client_secret list":     {auth, "    auth: {type: client_credentials, token_url: 'https://h/', client_id: a, client_secret: [b]}\n", "4:92: sources.s.auth.client_secret: found a list; expected a string"},
		"client_secret_file ''":  {auth, "    auth: {type: client_credentials, token_url: 'https://h/', client_id: a, client_secret_file: ''}\n", "4:97: sources.s.auth.client_secret_file: is empty; expected the path of a file"},
		"discover and token_url": {auth, "    auth: {type: client_credentials, discover: true, token_url: 'https://h/', client_id: a, client_secret: b}\n", "4:65: sources.s.auth.token_url: discover is also set"},
		"discover with bearer":   {auth, "    auth: {type: bearer, token: x, discover: true}\n", "sources.s.auth.discover: is not used with type bearer"},
		"client_auth":            {auth, "    auth: {type: client_credentials, token_url: 'https://h/', client_id: a, client_secret: b, client_auth: post}\n", `auth.client_auth: "post" is not valid; expected one of form, basic`},
		"no private_key":         {auth, "    auth: {type: private_key_jwt, token_url: 'https://h/', client_id: a}\n", "4:5: sources.s.auth.private_key: missing; type private_key_jwt requires private_key or private_key_file"},
		"private key and secret": {auth, "    auth: {type: private_key_jwt, discover: true, client_id: a, private_key: b, client_secret: c}\n", "auth.client_secret: is not used with type private_key_jwt"},
		"jku":                    {auth, "    auth: {type: private_key_jwt, discover: true, client_id: a, private_key: b, jku: x}\n", "auth.jku: does not begin with https://"},
		"oneup_user for nobody":  {auth, "    auth: {type: oneup_user, client_id: a, client_secret: b}\n", "4:5: sources.s.auth: does not say whose data to export; type oneup_user requires app_user_id or code or refresh_token"},
		"oneup_user with scope":  {auth, "    auth: {type: oneup_user, client_id: a, client_secret: b, code: c, scope: d}\n", "auth.scope: is not used with type oneup_user"},
		"names elsewhere":        {auth, "    auth: {type: none, names: {user: a}}\n", "auth.names: is not used with type none"},
		"names unknown":          {auth, "    auth: {type: oneup_user, client_id: a, client_secret: b, code: c, names: {secret: d}}\n", "auth.names.secret: unknown key"},
		"code_url in the clear":  {auth, "    auth: {type: oneup_user, client_id: a, client_secret: b, code: c, code_url: 'http://h/'}\n", "auth.code_url: is not encrypted"},
		"headers for nobody":     {auth, "    auth: {type: oneup_headers, client_id: a, client_secret: b}\n", "does not say whose data to export; type oneup_headers requires oneup_user_id or app_user_id"},
		"headers for two":        {auth, "    auth: {type: oneup_headers, client_id: a, client_secret: b, oneup_user_id: 1, app_user_id: 2}\n", "auth.app_user_id: oneup_user_id is also set; set only one of them"},
		"headers, odd user":      {auth, "    auth: {type: oneup_headers, client_id: a, client_secret: b, oneup_user_id: all}\n", `auth.oneup_user_id: "all" is not valid; expected a number, or client`},
		"headers, odd secret":    {auth, "    auth: {type: oneup_headers, client_id: a, client_secret: 'b c', oneup_user_id: 1}\n", "auth.client_secret: has spaces or characters that an HTTP header cannot carry"},
		"headers and POST":       {auth, "    auth: {type: oneup_headers, client_id: a, client_secret: b, oneup_user_id: client}\n    method: POST\n", "5:13: sources.s.method: 1upHealth accepts only GET with oneup_user_id client; use GET"},
		"cert without key":       {fhir, fhir + "    tls: {client_cert: a}\n", "4:5: sources.s.tls.client_key: missing; client_cert requires it"},
		"key without cert":       {fhir, fhir + "    tls: {client_key: a}\n", "4:5: sources.s.tls.client_cert: missing; client_key requires it"},
		"proxy":                  {fhir, fhir + "    proxy: private-value:3128\n", "4:12: sources.s.proxy: not a proxy URL; expected http://, https:// or socks5://host:port"},
		"proxy with a path":      {fhir, fhir + "    proxy: http://h/private-value\n", "4:12: sources.s.proxy: not a proxy URL"},
		"token_origins path":     {fhir, fhir + "    token_origins: [https://h/a]\n", `4:21: sources.s.token_origins[0]: "https://h/a" is not valid; expected origins such as https://files.example.org`},
		"token_origins http":     {fhir, fhir + "    token_origins: [https://h, http://h]\n", "4:32: sources.s.token_origins[1]: is not encrypted"},
		"file_hosts":             {fhir, fhir + "    file_hosts: [h]\n", `4:18: sources.s.file_hosts[0]: "h" is not valid; expected origins`},
		"level missing":          {level, "", "6:3: feeds.f.level: missing; expected system or patient, or groups"},
		"level misspelt":         {level, "    level: sytsem\n", `8:12: feeds.f.level: "sytsem" is not valid, did you mean system?; expected one of system, patient, group`},
		"level unknown":          {level, "    level: member\n    groups: [1]\n", `8:12: feeds.f.level: "member" is not valid; expected one of system, patient, group`},
		"groups empty":           {level, "    groups: []\n", "8:13: feeds.f.groups: is empty; add an entry, or remove the key"},
		"groups dots":            {level, "    groups: [..]\n", `8:14: feeds.f.groups[0]: ".." is not valid`},
		"groups empty text":      {level, "    groups: ['']\n", "8:14: feeds.f.groups[0]: is empty; expected Group ids"},
		"groups a mapping":       {level, "    groups: {a: b}\n", "8:13: feeds.f.groups: found a mapping; expected a list, [a, b], of Group ids"},
		"types":                  {level, level + "    types: [patient]\n", `9:13: feeds.f.types[0]: "patient" is not valid; expected resource types such as Patient`},
		"since without zone":     {level, level + "    since: 2024-01-01T00:00:00\n", `9:12: feeds.f.since: "2024-01-01T00:00:00" is not an instant`},
		"since no such day":      {level, level + "    since: 2024-02-30\n", `9:12: feeds.f.since: "2024-02-30" is not an instant`},
		"elements":               {level, level + "    elements: ['a,b']\n", `9:16: feeds.f.elements[0]: "a,b" is not valid; expected element names`},
		"type_filters":           {level, level + "    type_filters: ['category=x']\n", `9:20: feeds.f.type_filters[0]: "category=x" is not valid; expected searches`},
		"fhir with davinci":      {fhir, "    fhir: https://h/Group/1/$davinci-data-export\n", "3:11: sources.s.fhir: contains $davinci-data-export"},
		"operation":              {fhir, fhir + "    operation: export\n", `4:16: sources.s.operation: "export" is not valid, did you mean $export?; expected one of $export, $davinci-data-export`},
		"since_format":           {fhir, fhir + "    since_format: day\n", `4:19: sources.s.since_format: "day" is not valid; expected one of instant, date`},
		"list_format":            {fhir, fhir + "    list_format: both\n", `4:18: sources.s.list_format: "both" is not valid; expected one of comma, repeat`},
		"lenient":                {fhir, fhir + "    lenient: 1\n", `4:14: sources.s.lenient: "1" is not a boolean; expected true or false`},
		"exports":                {fhir, fhir + "    exports: 0\n", `4:14: sources.s.exports: "0" is out of range; expected a whole number from 1 to 64`},
		"delete_export":          {fhir, fhir + "    delete_export: no\n", `4:20: sources.s.delete_export: "no" is not valid; expected one of auto, always, never`},
		"parameters a mapping":   {fhir, fhir + "    parameters: {a: b}\n", "4:17: sources.s.parameters: found a mapping; expected a list, [a, b], of mappings with name and value"},
		"parameters a text":      {fhir, fhir + "    parameters: [a]\n", "4:18: sources.s.parameters[0]: found a string; expected a mapping"},
		"parameters empty":       {fhir, fhir + "    parameters: []\n", "4:17: sources.s.parameters: is empty; add an entry, or remove the key"},
		"parameter's name":       {fhir, fhir + "    parameters: [{value: a}]\n", "4:18: sources.s.parameters[0].name: missing; expected the name of a parameter such as _mdm"},
		"parameter's odd name":   {fhir, fhir + "    parameters: [{name: a b}]\n", `4:25: sources.s.parameters[0].name: "a b" is not valid`},
		"parameter's odd key":    {fhir, fhir + "    parameters: [{name: a, valeu: b}]\n", "4:28: sources.s.parameters[0].valeu: unknown key, did you mean value?; expected one of name, value, type"},
		"parameter's type":       {fhir, fhir + "    parameters: [{name: a, value: b, type: text}]\n", `4:44: sources.s.parameters[0].type: "text" is not valid; expected one of string, boolean`},
		"parameter not boolean":  {fhir, fhir + "    parameters: [{name: a}, {name: b, value: yes, type: boolean}]\n", "4:46: sources.s.parameters[1].value: is not a valid boolean"},
		"parameter not integer":  {fhir, fhir + "    parameters: [{name: b, value: 1.0, type: integer}]\n", "4:35: sources.s.parameters[0].value: is not a valid integer"},
		"parameter null":         {fhir, fhir + "    parameters: [{name: b, value: 'null', type: decimal}]\n", "4:35: sources.s.parameters[0].value: is not a valid decimal"},
		"parameter not decimal":  {fhir, fhir + "    parameters: [{name: b, value: '\"1\"', type: decimal}]\n", "4:35: sources.s.parameters[0].value: is not a valid decimal"},
		"parameter _since":       {fhir, fhir + "    parameters: [{name: _since, value: 2024-01-01}]\n", "4:25: sources.s.parameters[0].name: has its own key; set since of the feed instead"},
		"a feed's parameter":     {level, level + "    parameters: [{name: _type, value: Patient}]\n", "9:25: feeds.f.parameters[0].name: has its own key; set types of the feed instead"},
		"header's name":          {fhir, fhir + "    headers: [{name: 'a:', value: b}]\n", `4:22: sources.s.headers[0].name: "a:" is not valid; expected the name of a header such as x-api-key`},
		"header without value":   {fhir, fhir + "    headers: [{name: a}]\n", "4:15: sources.s.headers[0].value: missing; expected value or value_file"},
		"header's odd value":     {fhir, fhir + "    headers: [{name: a, value: \"private-value\\n\"}]\n", "4:32: sources.s.headers[0].value: has characters that an HTTP header cannot carry"},
		"header twice":           {fhir, fhir + "    headers: [{name: a, value: b}, {name: A, value: c}]\n", "4:43: sources.s.headers[1].name: is a duplicate; set each header only once"},
		"header of auth's":       {fhir, fhir + "    headers: [{name: Authorization, value: b}]\n", "4:22: sources.s.headers[0].name: is set by fhirkiln itself; use another header (credentials belong in auth)"},
		"header's value_file":    {fhir, fhir + "    headers: [{name: a, value_file: nowhere}]\n", "4:37: sources.s.headers[0].value_file: cannot read the file"},
		"class":                  {level, level + "    class: At Night\n", `9:12: feeds.f.class: "At Night" is not valid; expected lowercase letters, digits and -`},
		"id_space":               {level, level + "    id_space: A\n", `9:15: feeds.f.id_space: "A" is not valid; expected lowercase letters, digits and -`},
		"export_type of $export": {level, level + "    export_type: a#b\n", "9:18: feeds.f.export_type: is not used with $export; set operation: $davinci-data-export in the source s"},
		"davinci for all":        {auth + "feeds:\n  f:\n" + source, auth + "    operation: $davinci-data-export\nfeeds:\n  f:\n    purpose: payer_to_payer\n" + source, "10:12: feeds.f.level: the source's operation, $davinci-data-export, is only for groups; use level group"},
		"davinci for backfill":   {auth + "feeds:\n  f:\n" + source + level, auth + "    operation: $davinci-data-export\nfeeds:\n  f:\n    groups: [1]\n" + source, "7:3: feeds.f.export_type: missing; $davinci-data-export requires it, or a purpose other than backfill"},
		"patients by GET":        {level, "    level: patient\n    patients: [a]\n", "9:5: feeds.f.patients: can only be sent by POST; set method: POST in the source s, or remove patients"},
		"patients of the system": {auth + "feeds:\n  f:\n" + source, auth + "    method: POST\nfeeds:\n  f:\n    patients: [a]\n" + source, "8:5: feeds.f.patients: is not used with level system; use level patient or group"},
		"patients are private":   {auth + "feeds:\n  f:\n" + source + level, auth + "    method: POST\nfeeds:\n  f:\n    level: patient\n    patients: [private-value/x]\n" + source, "9:16: feeds.f.patients[0]: it is not valid; expected Patient ids such as 1234"},
		"until before since":     {level, level + "    since: 2024-01-02\n    until: 2024-01-02\n", "10:12: feeds.f.until: must be later than since"},
		"associated_data":        {level, level + "    associated_data: [a b]\n", `9:23: feeds.f.associated_data[0]: "a b" is not valid; expected codes such as LatestProvenanceResources`},
		"organize_by":            {level, level + "    organize_by: patient\n", `9:18: feeds.f.organize_by: "patient" is not valid; expected a resource type such as Patient`},
		"groups and search":      {level, "    groups: [1]\n    group_search: Group?a=b\n", "9:19: feeds.f.group_search: groups is also set; set only one of groups, groups_file and group_search"},
		"groups and groups_file": {level, "    groups: [1]\n    groups_file: nowhere\n", "9:18: feeds.f.groups_file: groups is also set; set only one of"},
		"groups_file of all":     {level, level + "    groups_file: nowhere\n", "9:18: feeds.f.groups_file: is not used with level system; use level group, or remove groups_file"},
		"groups_file missing":    {level, "    groups_file: private-value\n", "8:18: feeds.f.groups_file: cannot read the file: no such file or directory; expected the path of a file with one Group id per line"},
		"group_search":           {level, "    group_search: Patient?a=b\n", `8:19: feeds.f.group_search: "Patient?a=b" is not valid; expected a search such as Group?identifier=`},
		"group_search empty":     {level, "    group_search: ${EMPTY}\n", "6:3: feeds.f.level: missing; expected system or patient, or groups"},
		"new_members of all":     {level, level + "    new_members: history\n", "9:18: feeds.f.new_members: is not used with level system; use level group, or remove new_members"},
		"overlap":                {level, level + "    overlap: 31d\n", `9:14: feeds.f.overlap: "31d" is too long; expected a duration such as 90s, 5m, 24h or 30d, from 0s to 30d`},
		"full_every":             {level, level + "    full_every: 23h\n", `9:17: feeds.f.full_every: "23h" is too short; expected a duration such as 90s, 5m, 24h or 30d, from 1d to 366d`},
		"retire":                 {level, level + "    retire: always\n", `9:13: feeds.f.retire: "always" is not valid; expected one of never, full`},
		"keep_runs":              {level, level + "    keep_runs: 0\n", `9:16: feeds.f.keep_runs: "0" is out of range; expected a whole number from 1 to 100000`},
		"keep_days":              {level, level + "    keep_days: -1\n", `9:16: feeds.f.keep_days: "-1" is out of range; expected a whole number from 1 to 36500`},
		"errors":                 {level, level + "    errors: ignore\n    max_errors: 1\n", `9:13: feeds.f.errors: "ignore" is not valid; expected one of strict, budget`},
		"budget without a limit": {level, level + "    errors: budget\n", "6:3: feeds.f.max_errors: missing; errors: budget requires it"},
		"a limit without budget": {level, level + "    max_errors: 5\n", "9:17: feeds.f.max_errors: is not used with errors: strict; set errors: budget"},
		"part_mib":               {level, level + "    part_mib: 0\n", `9:15: feeds.f.part_mib: "0" is out of range; expected a whole number from 1 to 10240`},
		"parallel":               {url, url + "parallel: 0\n", `11:11: parallel: "0" is out of range; expected a whole number from 1 to 256`},
		"state twice as long":    {url, url + "state: {lease_ttl: 2h}\n", `11:20: state.lease_ttl: "2h" is too long; expected a duration such as 90s, 5m, 24h or 30d, from 1s to 1h`},
		"state's url":            {url, url + "state: {url: gs://b}\n", "11:14: state.url: has an unknown scheme; expected a path"},
		"state's s3 alone":       {url, url + "state: {s3: {region: a}}\n", "11:9: state.s3: is not used without url, because the state is then in the sink; set s3 in the sink, or add url"},
		"state's s3 on disk":     {url, url + "state: {url: a, s3: {region: a}}\n", "11:17: state.s3: is not used with a folder; use a url of s3://bucket/prefix, or remove s3"},
		"sink's s3 on disk":      {url, url + "  s3: {region: a}\n", "11:3: sink.s3: is not used with a folder"},
		"s3 region":              {url, "  url: s3://lake\n  s3: {region: 'a b'}\n", `11:16: sink.s3.region: "a b" is not valid; expected a region such as eu-central-1`},
		"s3 endpoint":            {url, "  url: s3://lake\n  s3: {endpoint: minio}\n", "11:18: sink.s3.endpoint: does not begin with https://; expected https://host/path"},
		"s3 endpoint in clear":   {url, "  url: s3://lake\n  s3: {endpoint: http://minio}\n", "11:18: sink.s3.endpoint: is not encrypted; use https://, or set allow_http: true (a key of sources and of s3)"},
		"s3 with a password":     {url, "  url: s3://lake\n  s3: {endpoint: 'https://me:hunter2@minio'}\n", "11:18: sink.s3.endpoint: contains a user name or password, which fhirkiln does not send"},
		"s3 key without secret":  {url, "  url: s3://lake\n  s3: {access_key_id: a}\n", "11:3: sink.s3.secret_access_key: missing; access_key_id requires secret_access_key or secret_access_key_file"},
		"s3 secret unreadable":   {url, "  url: s3://lake\n  s3: {access_key_id: a, secret_access_key_file: nowhere}\n", "11:50: sink.s3.secret_access_key_file: cannot read the file"},
		"s3 secret without key":  {url, "  url: s3://lake\n  s3: {secret_access_key: a}\n", "11:3: sink.s3.access_key_id: missing; secret_access_key requires it"},
		"s3 session alone":       {url, "  url: s3://lake\n  s3: {session_token: a}\n", "11:23: sink.s3.session_token: is not used alone; set access_key_id and secret_access_key too"},
		"s3 key and profile":     {url, "  url: s3://lake\n  s3: {access_key_id: a, secret_access_key: b, profile: c}\n", "11:57: sink.s3.profile: access_key_id is also set; set only one of them"},
		"s3 role":                {url, "  url: s3://lake\n  s3: {role_arn: fhirkiln}\n", `11:18: sink.s3.role_arn: "fhirkiln" is not valid; expected an ARN such as arn:aws:iam::`},
		"s3 external_id":         {url, "  url: s3://lake\n  s3: {external_id: a}\n", "11:21: sink.s3.external_id: is not used without role_arn; set both"},
		"s3 encryption":          {url, "  url: s3://lake\n  s3: {encryption: aes}\n", `11:20: sink.s3.encryption: "aes" is not valid; expected one of bucket, s3, kms`},
		"s3 kms_key":             {url, "  url: s3://lake\n  s3: {kms_key: a}\n", "11:17: sink.s3.kms_key: is not used with encryption bucket; set encryption: kms"},
		"s3 bucket_key":          {url, "  url: s3://lake\n  s3: {encryption: s3, bucket_key: true}\n", "11:36: sink.s3.bucket_key: is not used with encryption s3; set encryption: kms"},
		"s3 checksums":           {url, "  url: s3://lake\n  s3: {checksums: never}\n", `11:19: sink.s3.checksums: "never" is not valid; expected one of auto, always, required`},
		"s3 chunk_mib":           {url, "  url: s3://lake\n  s3: {chunk_mib: 4}\n", `11:19: sink.s3.chunk_mib: "4" is out of range; expected a whole number from 5 to 512`},
		"compression":            {url, url + "  parquet: {compression: lz4, compression_level: 3}\n", `11:26: sink.parquet.compression: "lz4" is not valid; expected one of zstd, snappy, gzip, none`},
		"level of zstd":          {url, url + "  parquet: {compression_level: 23}\n", `11:32: sink.parquet.compression_level: "23" is out of range; expected a whole number from 1 to 22`},
		"level of gzip":          {url, url + "  parquet: {compression: gzip, compression_level: 10}\n", `11:51: sink.parquet.compression_level: is out of range; expected a whole number from 1 to 9 with compression gzip`},
		"level 0":                {url, url + "  parquet: {compression_level: 0}\n", `11:32: sink.parquet.compression_level: "0" is out of range; expected a whole number from 1 to 22`},
		"level of snappy":        {url, url + "  parquet:\n    compression: snappy\n    compression_level: 1\n", "13:24: sink.parquet.compression_level: is not used with compression snappy, which has no levels; set compression: zstd or gzip"},
		"row_group_mib":          {url, url + "  parquet: {row_group_mib: 0}\n", `11:28: sink.parquet.row_group_mib: "0" is out of range; expected a whole number from 1 to 1024`},
		"bloom_filter":           {url, url + "  parquet: {bloom_filter: id}\n", `11:27: sink.parquet.bloom_filter: "id" is not a boolean; expected true or false`},
		"parquet of state":       {url, url + "state: {parquet: {compression: zstd}}\n", "11:9: state.parquet: unknown key"},
		"sink gs":                {url, "  url: gs://b/p\n", "10:8: sink.url: has an unknown scheme; expected a path, file:///path or s3://bucket/prefix"},
		"sink s3 without bucket": {url, "  url: s3:///p\n", "10:8: sink.url: names no valid bucket"},
		"sink s3 bad bucket":     {url, "  url: s3://Lake/p\n", "10:8: sink.url: names no valid bucket"},
		"sink s3 query":          {url, "  url: s3://lake/p?x=y\n", "10:8: sink.url: contains a user name, ? or #"},
		"sink s3 double slash":   {url, "  url: s3://lake/a//b\n", "10:8: sink.url: has an empty name between two slashes"},
		"sink file host":         {url, "  url: file://host/p\n", "10:8: sink.url: names no folder on this machine"},
		"sink file root":         {url, "  url: file:///\n", "10:8: sink.url: names no folder on this machine"},
		"sink home":              {url, "  url: ~/data\n", "10:8: sink.url: begins with ~"},
		"sink colon":             {url, "  url: s3:lake\n", "10:8: sink.url: has a : before the first slash"},
		"sink empty":             {url, "  url: ''\n", "10:8: sink.url: is empty"},
		"sink unknown key":       {url, url + "  state: x\n", "11:3: sink.state: unknown key; expected one of url, s3, parquet"},
		"custom tag":             {url, "  url: !env X\n", "10:8: sink.url: has a YAML tag"},
		"list as a key":          {url, url + "  ? [a]\n  : b\n", "11:5: sink: found a list as a key; expected a string"},
		"variable half open":     {url, "  url: /a${B\n", "10:8: sink.url: has a ${ without a closing }"},
		"variable with dash":     {url, "  url: /a${B-c}\n", "10:8: sink.url: has a ${...} that is neither ${VAR} nor ${VAR:-default}"},
		"variable without name":  {url, "  url: /a${}\n", "10:8: sink.url: has a ${...} that is neither"},
		"variable begins with 1": {url, "  url: /a${1}\n", "10:8: sink.url: has a ${...} that is neither"},
		"variable unset":         {url, "  url: /a${B}\n", "10:8: sink.url: the environment variable B is not set; set it, or write ${B:-default}"},
		"variable empty":         {url, "  url: ${EMPTY}\n", "10:8: sink.url: is empty; expected a path"},
		"variable's value":       {fhir, fhir + "    method: ${PRIVATE}\n", `4:13: sources.s.method: "${PRIVATE}" is not valid`},
		"a long value":           {fhir, fhir + "    method: " + strings.Repeat("x", 100) + "\n", `"` + strings.Repeat("x", 60) + `..." is not valid`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := strings.Replace(minimal, test.old, test.new, 1)
			if doc == minimal {
				t.Fatalf("%q is not in the document", test.old)
			}
			_, err := parse(doc, "", "EMPTY", "", "PRIVATE", "private-value")
			problems, ok := errors.AsType[config.Errors](err)
			if !ok {
				t.Fatalf("error %v, want a problem", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
			if more := len(problems) > 1; more && name != "source without all" {
				t.Errorf("one mistake, %d problems:\n%v", len(problems), err)
			}
			if strings.Contains(err.Error(), "private-value") {
				t.Errorf("the value of a variable is in the message: %v", err)
			}
		})
	}
}

// A name becomes part of a folder name.
func TestLongNames(t *testing.T) {
	t.Parallel()
	for length, fits := range map[int]bool{100: true, 101: false} {
		_, err := parse("sources: {s: {fhir: https://h/r4, auth: {type: none}}}\nfeeds: {"+strings.Repeat("a", length)+": {source: s, level: system}}\nsink: {url: lake}\n", "")
		if (err == nil) != fits {
			t.Errorf("%d letters: %v", length, err)
		}
	}
}

// A type that looks like a typo is a problem. Other unknown types may be from a later version, or
// the server's own.
func TestTypes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Patient": "", "Pateint": "did you mean Patient?", "ActorDefinition": "", "Zebra": ""} {
		_, err := parse("sources: {s: {fhir: https://h/r4, auth: {type: none}}}\nfeeds: {f: {source: s, level: system, types: [Coverage, "+name+"]}}\nsink: {url: lake}\n", "")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), "feeds.f.types[1]: ") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
