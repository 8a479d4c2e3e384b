package main

import (
	"maps"
	"regexp"
	"slices"
	"testing"

	"fhirkiln/config"
)

// wayIn is one way to authenticate: its settings, and what it sends where. A place that is not
// in sends gets nothing.
type wayIn struct {
	name    string
	auth    string
	sends   map[string][]string // to the places fhir, token and code; sorted
	renewed []string            // to token when a token is renewed, if different
}

const (
	bearsMinted = "header Authorization: minted"
	formID      = "form client_id: planted-client"
	formSecret  = "form client_secret: client secret"
)

// waysIn returns all ways to authenticate, with their settings in config.yaml: at least one of each
// auth type.
func waysIn() []wayIn {
	minted := []string{bearsMinted}
	grant := func(name, more string, token ...string) wayIn {
		return wayIn{name: name, auth: "auth: {type: client_credentials, token_url: '{token}/oauth/token', client_id: planted-client, client_secret_file: secret, scope: 'system/*.rs'" + more + "}",
			sends: map[string][]string{"fhir": minted, "token": token}}
	}
	signed := func(name, key string) wayIn {
		return wayIn{name: name, auth: "auth: {type: private_key_jwt, token_url: '{token}/oauth/token', client_id: planted-client, private_key_file: " + key + ", key_id: k1, scope: 'system/*.rs'}",
			sends: map[string][]string{"fhir": minted, "token": {"form client_assertion: assertion"}}}
	}
	user := func(name, more string, first ...string) wayIn {
		return wayIn{name: name, auth: "auth: {type: oneup_user, token_url: '{token}/oauth/token', code_url: '{token}/oauth/code', client_id: planted-client, client_secret: '${SECRET}'" + more + "}",
			sends: map[string][]string{"fhir": minted, "token": first,
				"code": {"form app_user_id: app_user_id", formID, formSecret}},
			renewed: []string{formID, formSecret, "form refresh_token: minted"}}
	}
	headers := func(name, more, user string) wayIn {
		return wayIn{name: name, auth: "auth: {type: oneup_headers, client_id: planted-client, client_secret: '${SECRET}', " + more + "}",
			sends: map[string][]string{"fhir": {"header Client_id: planted-client", "header Client_secret: client secret", user}}}
	}
	return []wayIn{
		grant("form", "", formID, formSecret),
		grant("basic", ", client_auth: basic", "header Authorization (Basic): client secret"),
		grant("GET with a form", ", token_method: GET", formID, formSecret),
		{name: "discovered", auth: "auth: {type: client_credentials, discover: true, client_id: planted-client, client_secret_file: secret}",
			sends: map[string][]string{"fhir": minted, "token": {formID, formSecret}}},
		signed("RS384", "rsa.pem"),
		signed("ES384", "ec.pem"),
		user("user by code", ", app_user_id: '${APP_USER}'", formID, formSecret, "form code: minted"),
		user("user with a code of elsewhere", ", code: '${CODE}'", formID, formSecret, "form code: code"),
		user("user with a refresh token of elsewhere", ", refresh_token: '${REFRESH}', refresh_token_store: refresh", formID, formSecret, "form refresh_token: refresh token"),
		headers("user's headers", "app_user_id: '${APP_USER}'", "header X-App-User-Id: app_user_id"),
		headers("client's headers", "oneup_user_id: client", "header X-Oneup-User-Id: client"),
		{name: "bearer", auth: "auth: {type: bearer, token: '${TOKEN}'}", sends: map[string][]string{"fhir": {"header Authorization: static token"}}},
		{name: "none", auth: "auth: {type: none}"},
	}
}

// TestEveryAuthTypeHasAWayIn fails if the tests of where credentials go leave out an auth type.
func TestEveryAuthTypeHasAWayIn(t *testing.T) {
	t.Parallel()
	for _, authType := range config.AuthTypes() {
		ofType := regexp.MustCompile(`^auth: \{type: ` + regexp.QuoteMeta(string(authType)) + `[,}]`)
		if !slices.ContainsFunc(waysIn(), func(w wayIn) bool { return ofType.MatchString(w.auth) }) {
			t.Errorf("waysIn has no way of type %s; add one, so that its credentials are checked at every origin", authType)
		}
	}
}

// TestCredentialsReachTheirOriginsAlone runs every way to authenticate against every way in
// which a server can lead a client astray, and checks everything that each host received.
func TestCredentialsReachTheirOriginsAlone(t *testing.T) {
	t.Parallel()
	ways := waysIn()
	if testing.Short() { // one of each kind
		ways = slices.DeleteFunc(ways, func(w wayIn) bool {
			return !slices.Contains([]string{"form", "ES384", "user by code", "client's headers", "none"}, w.name)
		})
	}
	for _, lead := range []struct {
		name    string
		shape   shape
		source  string   // further settings
		code    int      // exit code
		open    int      // exit code without credentials
		visited []string // hosts besides those of every run
		never   []string
		second  bool // the credentials are for second too
	}{
		{name: "at home, with files that redirect to storage, and a DELETE",
			shape:   shape{files: []string{"fhir", "fhir"}, redirects: map[string]string{"file": "redirected", "delete": "foreign"}},
			visited: []string{"redirected"}, never: []string{"foreign"}},
		{name: "capability URLs", shape: shape{noToken: true, files: []string{"fhir", "storage", "foreign"}}, visited: []string{"storage", "foreign"}},
		{name: "capability URLs, storage hosts named", shape: shape{noToken: true, files: []string{"fhir", "storage"}}, source: "file_hosts: ['{storage}']",
			visited: []string{"storage"}},
		{name: "capability URLs, elsewhere than at the storage hosts", shape: shape{noToken: true, files: []string{"foreign"}}, source: "file_hosts: ['{storage}']",
			code: exitBroken, open: exitBroken, never: []string{"foreign"}},
		{name: "files that want a token, at storage hosts", shape: shape{files: []string{"fhir", "storage"}}, source: "file_hosts: ['{storage}']", visited: []string{"storage"}},
		{name: "files that want a token, elsewhere", shape: shape{files: []string{"foreign"}}, code: exitBroken, never: nil},
		{name: "status and files at another origin that is named", shape: shape{status: "second", files: []string{"second", "fhir"}}, source: "token_origins: ['{second}']",
			visited: []string{"second"}, second: true},
		{name: "status at another origin", shape: shape{status: "foreign", files: []string{"fhir"}}, code: exitBroken},
		{name: "next page elsewhere", shape: shape{next: "pages", files: []string{"fhir"}}, visited: []string{"pages"}},
		{name: "kick-off redirects", shape: shape{files: []string{"fhir"}, redirects: map[string]string{"kick-off": "foreign"}}, visited: []string{"foreign"}},
		{name: "status redirects", shape: shape{files: []string{"fhir"}, redirects: map[string]string{"status": "foreign"}}, visited: []string{"foreign"}},
		{name: "token endpoint redirects", shape: shape{files: []string{"fhir"}, redirects: map[string]string{"token": "foreign", "code": "foreign"}}, code: exitNotThere},
	} {
		for _, way := range ways {
			for _, more := range []string{"", "certificate", "header X-Api-Key: gateway's key"} {
				name := lead.name + "/" + way.name
				if more != "" {
					if way.name != "form" && way.name != "none" && way.name != "bearer" {
						continue // the others behave the same
					}
					name += ", and " + more
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					wants := func(place string) []string {
						want := way.sends[place]
						if place == "second" && lead.second {
							want = way.sends["fhir"]
						}
						// These go to a host with every request.
						atHome := place == "fhir" || place == "second" && lead.second
						if more != "" && (atHome || more == "certificate" && (place == "token" || place == "code")) {
							want = slices.Sorted(slices.Values(append([]string{more}, want...)))
						}
						return want
					}
					w := newWorld(t, lead.shape, wants)
					w.renews = way.sends["fhir"] != nil
					source := way.auth + "\n" + lead.source + "\n"
					switch more {
					case "":
					case "certificate":
						source += "tls: {ca: '{ca}', client_cert: cert.pem, client_key: key.pem}\n"
					default:
						source += "headers: [{name: x-api-key, value: '${GATEWAY}', requests: all}]\n"
					}
					got := w.run(t, source, "--json")
					code := lead.code
					if way.sends["fhir"] == nil {
						code = lead.open
					}
					if lead.code == exitNotThere && way.sends["token"] == nil {
						code = exitOK // nobody asks for a token
					}
					if got.code != code {
						t.Errorf("exit code %d, want %d\n%s", got.code, code, got.stderr)
					}
					got.tellsNothing(t)
					seen := map[string]int{}
					tokens := 0
					for _, v := range w.visits {
						seen[v.host]++
						want := wants(w.place(v))
						if w.place(v) == "public" && more != "" && v.host == "fhir" {
							want = []string{more}
						}
						if v.asked == "token" && v.host == "token" {
							if tokens++; tokens > 1 && way.renewed != nil {
								want = way.renewed
							}
						}
						if !slices.Equal(v.credentials, want) {
							t.Errorf("%s got a %s for the %s with %q, want %q", v.host, v.method, v.asked, v.credentials, want)
						}
						if way.name == "client's headers" && v.method != "GET" {
							t.Errorf("a %s was sent", v.method)
						}
					}
					visited := lead.visited
					if code == exitOK {
						visited = append([]string{"fhir"}, visited...)
						if way.sends["token"] != nil {
							visited = append(visited, "token")
						}
					}
					for _, host := range visited {
						if seen[host] == 0 {
							t.Errorf("%s was not visited; visited were %v", host, slices.Sorted(maps.Keys(seen)))
						}
					}
					for _, host := range lead.never {
						if seen[host] > 0 {
							t.Errorf("%s was visited", host)
						}
					}
					if renews := slices.Equal(way.sends["fhir"], []string{bearsMinted}); code == exitOK && renews && tokens < 2 {
						t.Error("no token was renewed")
					}
				})
			}
		}
	}
}

// byCode returns the way of a user who logs in with a code.
func byCode() wayIn {
	all := waysIn()
	return all[slices.IndexFunc(all, func(w wayIn) bool { return w.name == "user by code" })]
}
