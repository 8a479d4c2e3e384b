package bulktest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"

	"fhirkiln/bulk/bulktest"
)

// A whole export, as a client sees it, from a server that is busy at first.
func Example() {
	server, err := bulktest.NewServer(bulktest.Options{
		Data: bulktest.Files{
			bulktest.Lines("Patient", `{"resourceType":"Patient","id":"1"}`, `{"resourceType":"Patient","id":"2"}`),
			bulktest.Lines("Coverage", `{"resourceType":"Coverage","id":"3","beneficiary":{"reference":"Patient/1"}}`),
		},
		Polls: 1,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Inject(bulktest.Fault{Name: "busy", On: bulktest.KickOffEndpoint, Do: bulktest.Respond(503, nil, "")})

	resp, err := http.PostForm(server.TokenURL(), url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {bulktest.DefaultClientID},
		"client_secret": {bulktest.DefaultClientSecret},
		"scope":         {bulktest.DefaultScope},
	})
	if err != nil {
		log.Fatal(err)
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	err = json.NewDecoder(resp.Body).Decode(&token)
	resp.Body.Close()
	if err != nil {
		log.Fatal(err)
	}

	get := func(url string) (http.Header, []byte) {
		r, err := http.NewRequest("GET", url, nil)
		if err != nil {
			log.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token.AccessToken)
		r.Header.Set("Accept", "application/fhir+json")
		r.Header.Set("Prefer", "respond-async")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			log.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			log.Fatal(err)
		}
		return resp.Header, body
	}
	get(server.FHIR() + "/Patient/$export") // 503, the fault
	header, _ := get(server.FHIR() + "/Patient/$export")
	status := header.Get("Content-Location")
	get(status) // 202, still at it
	_, body := get(status)
	var manifest struct{ Output []struct{ Type, URL string } }
	if err := json.Unmarshal(body, &manifest); err != nil {
		log.Fatal(err)
	}
	for _, f := range manifest.Output {
		_, ndjson := get(f.URL)
		fmt.Println(f.Type, strings.Count(string(ndjson), "\n"))
	}
	for _, r := range server.Requests() {
		fmt.Printf("%s %s: %d %q\n", r.Method, r.Endpoint, r.Status, r.Fault)
	}
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// Patient 2
	// Coverage 1
	// POST token: 200 ""
	// GET kick-off: 503 "busy"
	// GET kick-off: 202 ""
	// GET status: 202 ""
	// GET status: 200 ""
	// GET file: 200 ""
	// GET file: 200 ""
}
