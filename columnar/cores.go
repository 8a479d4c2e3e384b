package columnar

import (
	"sync"
	"sync/atomic"
)

// Cores counts the cores that compute, so that a [Writer] may use those that nobody
// uses: one large file then has them all, and many files, each with a goroutine of its
// own, have one each. It never makes anybody wait: who has work does it, and Writers are
// the first to give way.
//
// A nil Cores has none to spare. Safe for concurrent use.
type Cores struct {
	all  int64
	busy atomic.Int64
}

// NewCores returns n cores that nobody uses.
func NewCores(n int) *Cores { return &Cores{all: int64(n)} }

// Use counts the calling goroutine's core as used until done is called. Calls of done
// after the first do nothing.
func (c *Cores) Use() (done func()) {
	if c == nil {
		return func() {}
	}
	c.busy.Add(1)
	return sync.OnceFunc(c.leave)
}

// spare takes a core that nobody uses, if there is one.
func (c *Cores) spare() bool {
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

// crowded says whether more cores are used than there are.
func (c *Cores) crowded() bool { return c.busy.Load() > c.all }

// leave gives a core back.
func (c *Cores) leave() { c.busy.Add(-1) }
