package auth

import (
	"context"
	"net/http"
)

// OneUpHeaders is 1upHealth's authentication without tokens: every request has headers with
// the client's id and secret, and the user whose data is requested. It does not expire, and
// nothing renews it. Like all headers of a [Credential], these do not follow a redirect to
// another origin.
type OneUpHeaders struct {
	ClientID     string
	ClientSecret Secret

	// OneUpUserID is 1upHealth's id for the user, or [AllUsers], with which only GET may be
	// sent; see [Credential.GETOnly].
	OneUpUserID string

	// AppUserID is the client's own id for the user. It is used if OneUpUserID is empty.
	AppUserID string
}

// AllUsers is the OneUpUserID for all of the client's users.
const AllUsers = "client"

// Fetch implements [Fetcher]. It cannot fail.
func (o OneUpHeaders) Fetch(context.Context) (Credential, error) {
	h := http.Header{
		// Spelled exactly as 1upHealth does; Set would write Client_id.
		"client_id":     {o.ClientID},
		"client_secret": {string(o.ClientSecret)},
	}
	if o.OneUpUserID != "" {
		h["x-oneup-user-id"] = []string{o.OneUpUserID}
	} else if o.AppUserID != "" {
		h["x-app-user-id"] = []string{o.AppUserID}
	}
	return Credential{header: func() http.Header { return h }, getOnly: o.OneUpUserID == AllUsers}, nil
}
