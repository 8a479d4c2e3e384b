package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// entry is the place of an entry in a run's ledger. Only the process that has the lease of that
// generation writes it, once.
type entry struct{ generation, number int64 }

func (e entry) compare(other entry) int {
	return cmp.Or(cmp.Compare(e.generation, other.generation), cmp.Compare(e.number, other.number))
}

// openingNumber is the number of a generation's first entry, its opening.
const openingNumber = 1

func entriesFolder(run string) string { return Folder(run) + "ledger/" }

// entryKey returns the key of an entry, <generation>-<number>.json in the run's folder of
// entries, padded with zeros so that people see entries in order.
func entryKey(run string, e entry) string {
	return fmt.Sprintf("%s%06d-%06d.json", entriesFolder(run), e.generation, e.number)
}

// parseEntry is the inverse of entryKey. It returns false for a key that entryKey did not make.
func parseEntry(run, key string) (entry, bool) {
	name := strings.TrimSuffix(strings.TrimPrefix(key, entriesFolder(run)), ".json")
	generation, number, _ := strings.Cut(name, "-")
	g, err1 := strconv.ParseInt(generation, 10, 64)
	n, err2 := strconv.ParseInt(number, 10, 64)
	e := entry{g, n}
	return e, err1 == nil && err2 == nil && g > 0 && n > 0 && entryKey(run, e) == key
}

// opening is the first entry of each generation that opens a run. It decides which entries of
// all earlier generations count: those that its writer has seen. So the latest opening alone
// says what counts. What an old holder writes after it does not count, not even an opening.
//
// It names the entries exactly. The highest number would not do: entries are written
// concurrently, and one with a lower number may appear later.
type opening struct {
	Generation int64            `json:"generation"`
	Holder     string           `json:"holder"`
	At         time.Time        `json:"at"`
	Accepted   map[int64][]span `json:"accepted"` // by generation, in order
}

// span is the entries from the first number through the second.
type span [2]int64

func newOpening(l *Lease, seen []entry) []byte {
	o := opening{Generation: l.generation, Holder: l.held.Holder, At: time.Now().UTC(), Accepted: map[int64][]span{}}
	for _, e := range seen { // in order
		of := o.Accepted[e.generation]
		if n := len(of); n > 0 && of[n-1][1] == e.number-1 {
			of[n-1][1] = e.number
			continue
		}
		o.Accepted[e.generation] = append(of, span{e.number, e.number})
	}
	content, err := json.Marshal(o)
	if err != nil {
		panic(err) // it holds nothing that JSON cannot
	}
	return content
}

// counts reports whether an entry counts, provided that o is the latest opening.
func (o *opening) counts(e entry) bool {
	switch {
	case e.number == openingNumber || e.generation > o.Generation:
		return false
	case e.generation == o.Generation:
		return true
	}
	return slices.ContainsFunc(o.Accepted[e.generation], func(s span) bool { return s[0] <= e.number && e.number <= s[1] })
}

// listing is all that a run's ledger holds, in order.
type listing []entry

func list(ctx context.Context, s Store, run string) (listing, error) {
	var all listing
	err := s.List(ctx, entriesFolder(run), func(key string, _ int64) error {
		if e, ok := parseEntry(run, key); ok {
			all = append(all, e)
		}
		return nil
	})
	slices.SortFunc(all, entry.compare)
	return all, err
}

// last returns the highest generation, 0 if there are no entries.
func (l listing) last() int64 {
	if len(l) == 0 {
		return 0
	}
	return l[len(l)-1].generation
}

// decider returns the latest opening. A generation without an opening has no say: it was never
// opened, or is being removed.
func (l listing) decider() (entry, bool) {
	for _, e := range slices.Backward(l) {
		if e.number == openingNumber {
			return e, true
		}
	}
	return entry{}, false
}

// counted returns the entries that count, in order, without openings.
func (l listing) counted(ctx context.Context, s Store, run string) ([]entry, error) {
	decider, ok := l.decider()
	if !ok {
		return nil, nil
	}
	key := entryKey(run, decider)
	content, err := readEntry(ctx, s, key)
	if err != nil {
		return nil, err
	}
	var o opening
	if err := json.Unmarshal(content, &o); err != nil {
		return nil, damagedEntry(key, err)
	}
	if o.Generation != decider.generation {
		return nil, damagedEntry(key, fmt.Errorf("it says that its generation is %d", o.Generation))
	}
	var counted []entry
	for _, e := range l {
		if o.counts(e) {
			counted = append(counted, e)
		}
	}
	return counted, nil
}

// removal returns all entries in the order in which they may be removed: first those that do not
// count, then those that do, from the last to the first (which says what the run is), and at the
// end the opening that decides.
func (l listing) removal(counted []entry) []entry {
	decider, decided := l.decider()
	var order []entry
	for _, e := range l {
		if _, counts := slices.BinarySearchFunc(counted, e, entry.compare); !counts && (!decided || e != decider) {
			order = append(order, e)
		}
	}
	for _, e := range slices.Backward(counted) {
		order = append(order, e)
	}
	if decided {
		order = append(order, decider)
	}
	return order
}
