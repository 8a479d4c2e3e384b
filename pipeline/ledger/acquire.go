package ledger

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"
	"unicode/utf8"

	"fhirkiln/sink"
)

// Options say which feed's lease to take, and how. Feed and Source are required.
type Options struct {
	Feed    string // [a-z][a-z0-9-]*
	Source  string // the same
	Purpose string // may be ""

	// Holder tells others who has the lease. Default: host name and process id. A few random
	// characters are added, since both can recur.
	Holder string

	// TTL is how long the lease is held without being renewed, and how long an old one must be
	// silent to count as dead. It is renewed after a third of it. Default 1 minute: that is
	// three renewals, so that a store outage of a few seconds costs nothing, and a run that is
	// restarted soon after it was killed does not wait long.
	TTL time.Duration

	// Log gets takeovers and failed renewals. Nil discards them.
	Log *slog.Logger
}

// HeldError says that another process is working on the feed.
type HeldError struct {
	Feed   string
	Holder string    // "" if it has not written its name yet
	Since  time.Time // by the holder's clock; zero if Holder is ""
}

func (e *HeldError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("another process is working on feed %s", e.Feed)
	}
	return fmt.Sprintf("another process is working on feed %s: %s, since %s", e.Feed, e.Holder, e.Since.Format(time.RFC3339))
}

// OtherFeedError says that the feed's name belongs to another feed: a feed is a name, a source
// and a purpose.
type OtherFeedError struct {
	Feed            string
	Source, Purpose string // asked for
	Has             struct{ Source, Purpose string }
}

func (e *OtherFeedError) Error() string {
	return fmt.Sprintf("feed %s has source %q and purpose %q, not source %q and purpose %q: "+
		"a feed is a name, a source and a purpose, and shares its watermarks and rows with no other",
		e.Feed, e.Has.Source, e.Has.Purpose, e.Source, e.Purpose)
}

// Acquire takes the lease of a feed, and creates the feed's object if there is none. Of any
// number of callers, one gets the lease.
//
// With a [Locker], the others get a [*HeldError] at once, and a lease left by a dead process is
// taken over at once. Without one, and if the lease was taken without one, Acquire watches an
// existing lease. If its holder renews it, which happens within a third of its TTL, the error is
// a [*HeldError]. If it stays unchanged for the longer of the two TTLs on this process's own
// monotonic clock, Acquire takes it over. ctx ends the wait.
//
// Other errors are an [*OtherFeedError], the store's, and those of [Read].
func Acquire(ctx context.Context, s Store, o Options) (*Lease, error) {
	switch {
	case !IsName(o.Feed):
		return nil, fmt.Errorf("%q is not a feed name", o.Feed)
	case !IsName(o.Source):
		return nil, fmt.Errorf("%q is not a source name", o.Source)
	case !utf8.ValidString(o.Purpose + o.Holder):
		return nil, fmt.Errorf("the purpose %q or the holder %q is not valid UTF-8", o.Purpose, o.Holder)
	}
	if o.Holder == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown-host"
		}
		o.Holder = fmt.Sprintf("%s %d", host, os.Getpid())
	}
	var chance [4]byte
	rand.Read(chance[:])
	o.Holder += fmt.Sprintf(" %x", chance)
	o.TTL = cmp.Or(max(o.TTL, 0), time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("feed", o.Feed)
	a := &acquisition{opts: o, store: s, unlock: func() {}}
	locker, locked := s.(Locker)
	if locked {
		if err := a.lock(ctx, locker); err != nil {
			return nil, err
		}
	}
	a.locked = locked
	taken, err := a.take(ctx)
	if err != nil {
		a.unlock()
		return nil, err
	}
	return newLease(ctx, a, taken), nil
}

// acquisition holds what taking a lease needs. The [Lease] embeds it.
type acquisition struct {
	opts   Options
	store  Store
	locked bool   // by a Locker: nobody else can take the lease while this process lives
	unlock func() // does nothing without a Locker
}

// state is the feed's object at one moment. It is never changed.
type state struct {
	feed    Feed
	content []byte // feed, encoded
	version sink.Version
	sent    time.Time // when this process was about to write it: others saw it later, if at all
}

func (a *acquisition) load(ctx context.Context) (state, error) {
	content, version, err := a.store.Load(ctx, FeedKey(a.opts.Feed))
	if errors.Is(err, fs.ErrNotExist) {
		return state{feed: Feed{Version: formatVersion, Name: a.opts.Feed, Source: a.opts.Source, Purpose: a.opts.Purpose}}, nil
	}
	if err != nil {
		return state{}, err
	}
	f, err := decode(a.opts.Feed, content)
	if err == nil && (f.Source != a.opts.Source || f.Purpose != a.opts.Purpose) {
		e := &OtherFeedError{Feed: a.opts.Feed, Source: a.opts.Source, Purpose: a.opts.Purpose}
		e.Has.Source, e.Has.Purpose = f.Source, f.Purpose
		err = e
	}
	return state{feed: f, content: content, version: version}, err
}

// next returns the state after a change, which is given a deep copy of the feed.
func (s state) next(change func(*Feed) error) (state, error) {
	f := s.feed.clone()
	if err := change(&f); err != nil {
		return state{}, err
	}
	f.Version, f.Name, f.Source, f.Purpose = s.feed.Version, s.feed.Name, s.feed.Source, s.feed.Purpose
	f.Sequence = s.feed.Sequence + 1
	content, err := f.encode()
	if err == nil {
		// Parse it back: nothing unreadable may be written, and change may have kept references into f.
		f, err = parse(f.Name, content)
	}
	if err != nil {
		return state{}, fmt.Errorf("changing feed %s: %w", s.feed.Name, err)
	}
	return state{feed: f, content: content}, nil
}

// lock takes the store's lock. If another process has it, lock waits a moment before it says so:
// that process may have just got the lock and not written its name yet, or be about to let go.
func (a *acquisition) lock(ctx context.Context, locker Locker) error {
	const moments, moment = 10, 50 * time.Millisecond
	for n := 1; ; n++ {
		unlock, err := locker.Lock(ctx, lockKey(a.opts.Feed))
		if err == nil {
			a.unlock = unlock
			return nil
		}
		if !errors.Is(err, sink.ErrLocked) {
			return err
		}
		if n > 2 { // whoever has the lock has had time to write its name
			s, err := a.load(ctx)
			if err != nil {
				return err
			}
			if s.feed.Lease != nil || n == moments {
				return a.heldError(s.feed)
			}
		}
		if err := sleep(ctx, moment); err != nil {
			return err
		}
	}
}

func (a *acquisition) heldError(f Feed) error {
	e := &HeldError{Feed: a.opts.Feed}
	if f.Lease != nil {
		e.Holder, e.Since = f.Lease.Holder, f.Lease.Since
	}
	return e
}

// mayLive reports whether the process that a feed names as its holder may be alive, for all that
// the lock tells.
func (a *acquisition) mayLive(f Feed) bool {
	return f.Lease != nil && (!a.locked || f.Lease.Unlocked)
}

// take takes the lease by raising the generation in the object.
func (a *acquisition) take(ctx context.Context) (state, error) {
	now, err := a.load(ctx)
	if err != nil {
		return state{}, err
	}
	for {
		if a.mayLive(now.feed) {
			if now, err = a.watch(ctx, now); err != nil {
				return state{}, err
			}
		}
		old := now.feed.Lease
		next, err := now.next(func(f *Feed) error {
			f.Generation++
			f.Lease = &Held{Holder: a.opts.Holder, Since: time.Now().UTC().Truncate(time.Millisecond), TTL: Duration(a.opts.TTL), Unlocked: !a.locked}
			return nil
		})
		if err != nil {
			return state{}, err
		}
		next.sent = time.Now()
		next.version, err = a.store.Swap(ctx, FeedKey(a.opts.Feed), next.content, now.version)
		if err == nil {
			if old != nil {
				a.opts.Log.Info("took over the lease of a process that is gone", "holder", old.Holder, "since", old.Since)
			}
			return next, nil
		}
		there, lerr := a.lookAgain(ctx)
		switch {
		case lerr == nil && string(there.content) == string(next.content):
			next.version = there.version // only the answer was lost
			return next, nil
		case !errors.Is(err, sink.ErrChanged):
			return state{}, err
		case lerr != nil:
			return state{}, lerr
		case a.mayLive(there.feed):
			return state{}, a.heldError(there.feed) // just written, so its holder is alive
		case there.version == now.version:
			return state{}, fmt.Errorf("taking the lease of feed %s: %w, but the object is the same", a.opts.Feed, err)
		}
		now = there
	}
}

// lookAgain reads the object after a write that returned an error, to see whether it came
// through. It does so even if ctx has ended, because a lease that was written must be released.
// A silent store gets 30 s, so that a process that was told to end does.
func (a *acquisition) lookAgain(ctx context.Context) (state, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return a.load(ctx)
}

// watch returns once the lease in the object is dead or released. If it is alive, the error is a
// [*HeldError].
func (a *acquisition) watch(ctx context.Context, first state) (state, error) {
	ttl := max(a.opts.TTL, time.Duration(first.feed.Lease.TTL))
	pause := min(a.opts.TTL, time.Duration(first.feed.Lease.TTL)) / 20 // a live holder is noticed soon after it renews
	dead := time.Now().Add(ttl)
	a.opts.Log.Info("another process has the lease; waiting to see whether it is alive",
		"holder", first.feed.Lease.Holder, "since", first.feed.Lease.Since, "at_most", ttl)
	for {
		left := time.Until(dead)
		if left <= 0 {
			return first, nil
		}
		if err := sleep(ctx, min(pause, left)); err != nil {
			return state{}, err
		}
		now, err := a.load(ctx)
		switch {
		case err != nil:
			return state{}, err
		case now.feed.Lease == nil:
			return now, nil
		case now.version != first.version:
			return state{}, a.heldError(now.feed)
		}
	}
}
