package lake

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"fhirkiln/pipeline/ledger"
)

// survey finds the garbage of a feed.
type survey struct {
	inventory *Inventory
	lake      Lake
	feed      ledger.Feed // as it is now
	before    time.Time   // what ceased to be live, or began, after this time stays
	found     *Garbage

	parts    map[string]GarbageFile // of the feed, by key
	working  map[string]bool        // of all feeds: runs that are unfinished, or that have ended but are not tidied up
	live     map[string]bool        // live runs
	dropped  map[string]time.Time
	replaced map[string]bool            // runs whose rows live on in others
	named    map[string]map[string]bool // keys in parts.json, by live run, where it was read
	members  map[string]bool            // keys of the feeds' lists of members
}

// find adds what it finds to found, and takes it out of the inventory.
func (s *survey) find(ctx context.Context) error {
	s.sort()
	for _, r := range s.feed.Dropped {
		// A run that is not tidied up keeps its files, and so its entry: without the entry
		// nobody would ever remove them. Nor is a run forgotten here if it may have parts that
		// were not listed.
		if !r.At.After(s.before) && !s.working[r.Run] && s.inventory.published[r.Run] {
			s.found.Runs = append(s.found.Runs, r.Run)
		} else {
			s.found.Waiting++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.parts)) {
		if why := s.dead(runOf(key)); why != "" && !s.spared(runOf(key), why) {
			s.add(s.parts[key], why)
		}
	}
	for _, run := range slices.Sorted(maps.Keys(s.inventory.folders)) {
		if err := s.folder(ctx, run); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.inventory.staged)) {
		if !s.mayDiscard(key) || s.inventory.staged[key].After(s.before) {
			continue
		}
		late, err := s.late(ctx, key)
		if err != nil {
			return err
		}
		if late || s.abandoned(key) {
			s.add(GarbageFile{Key: key, Staged: true}, OfNoRun)
		}
	}
	s.inventory.forget(s.found.Files)
	return nil
}

func (s *survey) add(f GarbageFile, why GarbageReason) {
	f.Why = why
	s.found.Files = append(s.found.Files, f)
	s.found.Bytes += f.Bytes
}

// isPart reports whether a key is one that the feed's runs give to their parts.
func (s *survey) isPart(key string) bool {
	k, ok := parsePartKey(key)
	return ok && k.Source == s.feed.Source && k.Feed == s.feed.Name
}

// mayDiscard reports whether what is staged under a key may be this feed's: one of its parts, or
// something in the folder of any run.
func (s *survey) mayDiscard(key string) bool {
	return s.isPart(key) || strings.HasPrefix(key, ledger.RunsFolder)
}

// sort collects this feed's parts, and what all feeds name. It goes by this feed as it is now,
// and by the others as they were after everything was listed.
func (s *survey) sort() {
	s.parts = map[string]GarbageFile{}
	for _, f := range s.inventory.parts[s.feed.Name] {
		if s.isPart(f.Key) {
			s.parts[f.Key] = f
		}
	}
	s.working, s.live, s.replaced, s.members = map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	s.dropped, s.named = map[string]time.Time{}, map[string]map[string]bool{}
	s.note(s.feed)
	for _, f := range s.inventory.feeds {
		if f.Name != s.feed.Name {
			s.note(f)
		}
	}
}

// note records what a feed names.
func (s *survey) note(f ledger.Feed) {
	if f.Unfinished != nil {
		s.working[f.Unfinished.Run] = true
	}
	for _, run := range f.Ended {
		s.working[run] = true
	}
	for _, r := range f.Runs {
		s.live[r.Run] = true
		for _, run := range r.Replaces {
			s.replaced[run] = true
		}
	}
	for _, r := range f.Dropped {
		s.dropped[r.Run] = r.At
	}
	s.members[f.Members] = true
}

// dead returns why the files of a run are no longer live, "" if they may be.
func (s *survey) dead(run string) GarbageReason {
	at, dropped := s.dropped[run]
	switch {
	case s.working[run] || s.live[run]:
	case dropped && !at.After(s.before):
		return OfDroppedRun
	case !dropped && s.old(run):
		return OfNoRun
	}
	return ""
}

// spared reports whether files of a run that no feed names stay nevertheless. There are two
// cases. The run was published, and its feed's object was lost or an earlier one was put back:
// whoever repairs that wants the parts. (What is thrown away on purpose has no parts.json.) Or
// the state, which is apart from the parts, has no trace of the run: it may be another state's
// run, and live there.
func (s *survey) spared(run string, why GarbageReason) bool {
	if why != OfNoRun {
		return false
	}
	folder := s.inventory.folders[run]
	return s.inventory.apart && len(folder) == 0 || slices.ContainsFunc(folder, func(f GarbageFile) bool { return f.Key == PartsKey(run) })
}

// old reports whether a run began before the grace time. A name that gives no time is not that
// of a run.
func (s *survey) old(run string) bool {
	began, ok := runTime(run)
	return ok && !began.After(s.before)
}

// late reports whether what is staged under a key was sent by a killed process, and arrived only
// after the run, one of the feed's live ones, was published and tidied up. What parts.json names
// must not be discarded, since that removes what is published too; nor must other files of a
// live run.
func (s *survey) late(ctx context.Context, key string) (bool, error) {
	run := runOf(key)
	if !s.isPart(key) || !s.tidy(run) {
		return false, nil
	}
	if _, ok := s.named[run]; !ok {
		parts, err := s.lake.PartsOf(ctx, run)
		if unreadable(err) {
			return false, nil // nobody knows which they are
		}
		if err != nil {
			return false, err
		}
		s.named[run] = map[string]bool{}
		for _, p := range parts {
			s.named[run][p.Key] = true
		}
	}
	return !s.named[run][key], nil
}

// tidy reports whether a run is one of the feed's live ones, with nothing left to tidy up both
// when its files were listed and now.
func (s *survey) tidy(run string) bool {
	return s.inventory.tidy[run] && !s.working[run] && slices.ContainsFunc(s.feed.Runs, func(r ledger.PublishedRun) bool { return r.Run == run })
}

// abandoned reports whether what is staged under a key belongs to a dead run that is not spared.
func (s *survey) abandoned(key string) bool {
	run := runOf(key)
	if strings.HasPrefix(key, ledger.RunsFolder) {
		run, _ = folderOf(key)
	}
	why := s.dead(run)
	return why != "" && !s.spared(run, why)
}

// folder finds what may go from a run's own folder: everything except its report, and what is of
// use beyond the run.
func (s *survey) folder(ctx context.Context, run string) error {
	s.lateEntries(run)
	why := s.dead(run)
	if why == "" || s.spared(run, why) {
		return nil
	}
	if feed := s.inventory.feedOf[run]; feed != "" && feed != s.feed.Name {
		return nil // the other feed's gc goes by this folder
	}
	var files []GarbageFile
	report := false
	for _, f := range s.inventory.folders[run] {
		switch _, rest := folderOf(f.Key); {
		case strings.HasPrefix(rest, ledgerFolder) && why == OfNoRun:
			// Tidying up removes the ledger. If it is still there, its feed has lost its object,
			// and may get it back.
			return nil
		case rest == reportName:
			report = true
		case s.members[f.Key], strings.HasPrefix(rest, quarantineFolder) && s.replaced[run]:
		default:
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil
	}
	if !slices.Contains(s.found.Runs, run) {
		if why == OfDroppedRun {
			return nil // another feed's
		}
		if report {
			of, err := s.reportedFeed(ctx, run)
			if err != nil || of != s.feed.Name {
				return err
			}
		}
	}
	for _, f := range files {
		s.add(f, why)
	}
	return nil
}

// lateEntries finds what killed processes had sent to the ledger of one of the feed's live runs,
// and arrived only after that ledger was tidied up: nobody ever opens it again.
func (s *survey) lateEntries(run string) {
	if !s.tidy(run) {
		return
	}
	for _, f := range s.inventory.folders[run] {
		if _, rest := folderOf(f.Key); strings.HasPrefix(rest, ledgerFolder) {
			s.add(f, OfNoRun)
		}
	}
}

// reportedFeed returns the feed that a run's report names, "" if it does not say.
func (s *survey) reportedFeed(ctx context.Context, run string) (string, error) {
	content, _, err := s.lake.State.Load(ctx, ReportKey(run))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var report struct {
		Feed string `json:"feed"`
	}
	_ = json.Unmarshal(content, &report) // one that is damaged does not say
	return report.Feed, nil
}
