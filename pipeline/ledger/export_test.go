package ledger

import "time"

// Stop makes the lease look as though its process had been stopped for so long, and were
// woken now.
func (l *Lease) Stop(d time.Duration) {
	was := *l.now.Load()
	was.sent = was.sent.Add(-d)
	l.now.Store(&was)
}
