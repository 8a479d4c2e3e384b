package auth

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"fhirkiln/transport"
)

// BearerFile is the path of a file with a bearer token that another program obtains and
// replaces before it expires. Each Fetch reads it: the first one, and those after a server
// has refused the token.
type BearerFile string

// Fetch implements [Fetcher].
func (f BearerFile) Fetch(context.Context) (Credential, error) {
	data, err := os.ReadFile(string(f))
	token := strings.TrimSpace(string(data))
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err // the path may be a secret, put under the wrong config key
	}
	switch {
	case err != nil:
	case token == "":
		err = errors.New("the file is empty")
	case !fitsHeader(token):
		err = errors.New("the file has blanks or characters that no HTTP header can carry")
	default:
		return Bearer(token), nil
	}
	return Credential{}, &transport.Error{Kind: transport.Unavailable, Doing: "reading the token from its file", Err: err,
		Hint: "check token_file and the program that writes it, then run again"}
}

// fitsHeader reports whether a token is valid in an HTTP header.
func fitsHeader(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}
