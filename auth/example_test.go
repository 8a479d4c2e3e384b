package auth_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"fhirkiln/auth"
)

// vault is a Fetcher for a server that wants a key in a header, which a vault issues for an hour.
type vault struct {
	issue func(ctx context.Context) (key string, ends time.Time, err error)
}

func (v vault) Fetch(ctx context.Context) (auth.Credential, error) {
	key, ends, err := v.issue(ctx)
	if err != nil {
		return auth.Credential{}, fmt.Errorf("getting a key from the vault: %w", err)
	}
	return auth.NewCredential(http.Header{"X-Api-Key": {key}}, ends), nil
}

// A way to authenticate that this package does not have.
func ExampleNewCredential() {
	credentials := auth.NewCache(vault{func(context.Context) (string, time.Time, error) {
		return "key-1", time.Now().Add(time.Hour), nil
	}})
	c, err := credentials.Credential(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, "https://fhir.example.org/r4/metadata", nil)
	if err != nil {
		log.Fatal(err)
	}
	c.Apply(req.Header)
	fmt.Println(req.Header.Get("X-Api-Key"), c)
	// Output: key-1 [credential]
}
