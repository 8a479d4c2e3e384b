package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a store whose versions depend on content alone, as ETags do.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	locks   map[string]bool
	seen    map[string]bool // contents that were swapped in
	again   bool            // one of them came again
}

func newMemory() *memory {
	return &memory{objects: map[string][]byte{}, locks: map[string]bool{}, seen: map[string]bool{}}
}

func version(content []byte) sink.Version {
	return sink.Version(fmt.Sprintf("%x", sha256.Sum256(content)))
}

func (m *memory) Put(ctx context.Context, key string, content []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = bytes.Clone(content)
	return nil
}

type object struct{ *bytes.Reader }

func (object) Close() error { return nil }

func (m *memory) Open(ctx context.Context, key string) (sink.Reader, error) {
	content, _, err := m.Load(ctx, key)
	return object{bytes.NewReader(content)}, err
}

func (m *memory) List(ctx context.Context, prefix string, each func(string, int64) error) error {
	m.mu.Lock()
	objects := maps.Clone(m.objects)
	m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if strings.HasPrefix(key, prefix) {
			if err := each(key, int64(len(objects[key]))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) Remove(ctx context.Context, keys ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		delete(m.objects, key)
	}
	return nil
}

func (m *memory) Load(ctx context.Context, key string) ([]byte, sink.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	content, ok := m.objects[key]
	if !ok {
		return nil, "", fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return bytes.Clone(content), version(content), nil
}

func (m *memory) Swap(ctx context.Context, key string, content []byte, old sink.Version) (sink.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := sink.Version("")
	if there, ok := m.objects[key]; ok {
		now = version(there)
	}
	if now != old {
		return "", fmt.Errorf("%s: %w", key, sink.ErrChanged)
	}
	m.again = m.again || m.seen[string(content)]
	m.seen[string(content)] = true
	m.objects[key] = bytes.Clone(content)
	return version(content), nil
}

// keys are those below a folder.
func (m *memory) keys(folder string) []string {
	var keys []string
	_ = m.List(context.Background(), folder, func(key string, _ int64) error {
		keys = append(keys, key)
		return nil
	})
	return keys
}

// process is a store as one process sees it. A test can make its calls fail or hang, or lose
// their answers.
type process struct {
	*memory
	faults atomic.Pointer[faults]
}

// faults may fail a call before it is done, or lose its answer afterwards. Nil: neither.
type faults struct{ before, after fault }

type fault func(ctx context.Context, call, key string) error

func (f fault) at(ctx context.Context, call, key string) error {
	if f == nil {
		return nil
	}
	return f(ctx, call, key)
}

func (p *process) before(f fault) { p.faults.Store(&faults{before: f}) }
func (p *process) after(f fault)  { p.faults.Store(&faults{after: f}) }

// away fails everything.
func away(context.Context, string, string) error { return errOutage }

func (p *process) call(ctx context.Context, call, key string, do func() error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	f := p.faults.Load()
	if f == nil {
		f = &faults{}
	}
	if err := f.before.at(ctx, call, key); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return f.after.at(ctx, call, key)
}

func (p *process) Put(ctx context.Context, key string, content []byte) error {
	return p.call(ctx, "put", key, func() error { return p.memory.Put(ctx, key, content) })
}

func (p *process) List(ctx context.Context, prefix string, each func(string, int64) error) error {
	return p.call(ctx, "list", prefix, func() error { return p.memory.List(ctx, prefix, each) })
}

func (p *process) Remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := p.call(ctx, "remove", key, func() error { return p.memory.Remove(ctx, key) }); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) Load(ctx context.Context, key string) (content []byte, v sink.Version, err error) {
	err = p.call(ctx, "load", key, func() (err error) {
		content, v, err = p.memory.Load(ctx, key)
		return err
	})
	return content, v, err
}

func (p *process) Swap(ctx context.Context, key string, content []byte, old sink.Version) (v sink.Version, err error) {
	err = p.call(ctx, "swap", key, func() (err error) {
		v, err = p.memory.Swap(ctx, key, content, old)
		return err
	})
	return v, err
}

// lockable is a process whose store has locks.
type lockable struct{ *process }

func (l lockable) Lock(ctx context.Context, key string) (func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.locks[key] {
		return nil, fmt.Errorf("%s: %w", key, sink.ErrLocked)
	}
	l.locks[key] = true
	return sync.OnceFunc(func() { l.die(key) }), nil
}

// die lets go of a lock, as the kernel does when a process dies.
func (m *memory) die(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.locks, key)
}

var (
	_ ledger.Store  = (*process)(nil)
	_ ledger.Locker = lockable{}
	_ ledger.Store  = (*sink.Dir)(nil)
	_ ledger.Locker = (*sink.Dir)(nil)
)

var errOutage = errors.New("the store is away")

const feedKey = "_fhirkiln/feeds/members.json"

func options() ledger.Options {
	return ledger.Options{Feed: "members", Source: "bison", Purpose: "payer_to_payer"}
}

func acquire(t interface {
	Helper()
	Fatal(...any)
	Context() context.Context
}, s ledger.Store) *ledger.Lease {
	t.Helper()
	l, err := ledger.Acquire(t.Context(), s, options())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func release(t *testing.T, l *ledger.Lease) {
	t.Helper()
	if err := l.Release(context.Background()); err != nil {
		t.Error(err)
	}
}

// nothing is a change that changes nothing but the sequence.
func nothing(*ledger.Feed) error { return nil }

// wantHeld checks that an error names the lease's holder.
func wantHeld(t *testing.T, err error, by *ledger.Lease) {
	t.Helper()
	var held *ledger.HeldError
	if !errors.As(err, &held) {
		t.Errorf("the error is %v, want a HeldError", err)
		return
	}
	if has := by.Feed().Lease; held.Feed != "members" || held.Holder != has.Holder || !held.Since.Equal(has.Since) {
		t.Errorf("the error is %+v, the lease %+v", held, has)
	}
}

func after(d time.Duration) <-chan time.Time { return time.After(d) }
