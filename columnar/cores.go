package columnar

import (
	"sync"
	"sync/atomic"
)

// Cores counts the cores in use, so that a [Writer] can use idle ones: one large file then gets
// all of them, and many files, each with its own goroutine, get one each. Nobody ever waits for a
// core: whoever has work does it, and Writers are the first to give way.
//
// A nil Cores has no idle cores. A Cores is safe for concurrent use.
type Cores struct {
	all  int64
	busy atomic.Int64
}

// NewCores returns n idle cores.
func NewCores(n int) *Cores { return &Cores{all: int64(n)} }

// Use counts the calling goroutine's core as in use until done is called. Calls of done after
// the first do nothing.
func (c *Cores) Use() (done func()) {
	if c == nil {
		return func() {}
	}
	c.busy.Add(1)
	return sync.OnceFunc(c.release)
}

// tryTake takes an idle core, which release gives back. It returns false if there is none.
func (c *Cores) tryTake() bool {
	for c != nil {
		busy := c.busy.Load()
		if busy >= c.all {
			return false
		}
		if c.busy.CompareAndSwap(busy, busy+1) {
			return true
		}
	}
	return false
}

// crowded reports whether more cores are in use than there are.
func (c *Cores) crowded() bool { return c.busy.Load() > c.all }

// release gives a core back.
func (c *Cores) release() { c.busy.Add(-1) }
