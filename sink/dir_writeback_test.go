package sink

import "testing"

func TestWriteBackTo(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for size, want := range map[int64]int64{0: 0, 1: 0, mib: 0, 2*mib - 1: 0, 2 * mib: mib, 2*mib + 1: mib, 3*mib - 1: mib, 8 * mib: 7 * mib} {
		if got := writeBackTo(size); got != want {
			t.Errorf("of %d bytes, %d are on their way, want %d", size, got, want)
		}
	}
}
