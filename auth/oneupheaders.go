package auth

import (
	"context"
	"net/http"
)

// OneUpHeaders is 1upHealth's way without tokens: the client's id and secret stand in
// headers of every request, with the user whose data is asked for. It does not end, and
// nothing renews it. As all headers of a [Credential], these follow no redirect to
// another origin.
type OneUpHeaders struct {
	ClientID     string
	ClientSecret Secret

	// OneUpUserID is 1upHealth's number of the user, or "client" for all users of the
	// client; then only GET may be sent, see [Credential.GETOnly].
	OneUpUserID string

	// AppUserID is the client's own id of the user, where OneUpUserID is empty.
	AppUserID string
}

// AllUsers is the OneUpUserID that stands for all of the client's users.
const AllUsers = "client"

// Fetch implements [Fetcher]. It cannot fail.
func (o OneUpHeaders) Fetch(context.Context) (Credential, error) {
	h := http.Header{
		// As 1upHealth spells them, underscores and all: Set would write Client_id.
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
