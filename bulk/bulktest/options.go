package bulktest

import (
	"cmp"
	"log/slog"
	"time"
)

// Options say what a [Server] exports and how it behaves. The zero value is a server
// for a fast test, with nothing to export.
type Options struct {
	// Data is what an export holds. Its Files method is called once per kick-off.
	Data Data

	// Deleted are the files of the manifest's deleted section (type Bundle). They are
	// listed if the kick-off has _since, as in the IG. They are filtered by [File].Changed
	// and by _type: a Bundle is kept if one of its deletes is of a requested type.
	Deleted Data

	// Errors are the files of the manifest's error section (type OperationOutcome). They
	// are never filtered.
	Errors Data

	// Addr is the address to listen on, host:port. Default 127.0.0.1:0, a free port that
	// only this machine can reach.
	Addr string

	// ClientID, ClientSecret and Scope are what the token endpoint requires, Scope
	// verbatim. They default to the constants above.
	ClientID, ClientSecret, Scope string

	// TokenTTL is how long a token is valid, on the clock Now. Default 5 minutes, the
	// maximum that SMART Backend Services recommends. Clients are told whole seconds.
	TokenTTL time.Duration

	// NoAuth allows all requests without a token; the manifest says requiresAccessToken
	// false. The token endpoint works as usual.
	NoAuth bool

	// OpenFiles makes the links to files capability URLs: the manifest says
	// requiresAccessToken false, and a request for a file with an Authorization header
	// gets a 400 with S3's XML, as from presigned storage.
	OpenFiles bool

	// Polls is the minimum number of status requests of a job that get a 202 before one
	// gets the manifest. After those, a status request waits up to a second for the
	// counting to end, so that with little data there are exactly that many.
	Polls int

	// Duration is the minimum time from kick-off to the end of a job, on the clock Now.
	Duration time.Duration

	// RetryAfter is what a 202 advises, rounded up to whole seconds. The default is
	// "Retry-After: 0", so that tests need not wait; use a second for a server that people
	// watch. A negative value sends no such header.
	RetryAfter time.Duration

	// FilesTTL is how long a complete export can be fetched, on the clock Now. The
	// manifest's Expires header says so; later, status URL and files answer 410. Default
	// 1 hour.
	FilesTTL time.Duration

	// Faults are names of [KnownFaults] that the server plays from its start, on every
	// export. Of several at one endpoint, the temporary ones play first; of the permanent
	// ones, only the first one named plays.
	Faults []string

	// TransactionTime is called at each kick-off, before Data, for the manifest's
	// transactionTime. Default: Now, truncated to milliseconds.
	TransactionTime func() time.Time

	// Now is the clock for all but network timeouts. Default time.Now.
	Now func() time.Time

	// Log gets a line per request at level Debug, without headers and bodies. Nil means no
	// log.
	Log *slog.Logger

	// storage makes the server listen at a second origin, too, for faults that need one.
	storage bool
}

// withDefaults fills in what the caller left out.
func (o Options) withDefaults() Options {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.ClientID = cmp.Or(o.ClientID, DefaultClientID)
	o.ClientSecret = cmp.Or(o.ClientSecret, DefaultClientSecret)
	o.Scope = cmp.Or(o.Scope, DefaultScope)
	o.TokenTTL = cmp.Or(o.TokenTTL, 5*time.Minute)
	o.FilesTTL = cmp.Or(o.FilesTTL, time.Hour)
	if o.Data == nil {
		o.Data = Files(nil)
	}
	if o.Deleted == nil {
		o.Deleted = Files(nil)
	}
	if o.Errors == nil {
		o.Errors = Files(nil)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TransactionTime == nil {
		now := o.Now
		o.TransactionTime = func() time.Time { return now().UTC().Truncate(time.Millisecond) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
