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
	there  *Inventory
	lake   Lake
	feed   ledger.Feed // as it is now
	before time.Time   // what ceased to be live, or began, after it stays
	found  *Garbage

	parts    map[string]GarbageFile // of the feed, by key
	working  map[string]bool        // unfinished runs, and those that have ended but are not tidied up, of all feeds
	live     map[string]bool        // live runs
	dropped  map[string]time.Time
	replaced map[string]bool            // runs whose rows live on in others
	named    map[string]map[string]bool // keys in parts.json, of live runs that it was read of
	members  map[string]bool            // keys of the feeds' lists
}

// find adds what it finds to found, and takes it out of the inventory.
func (s *survey) find(ctx context.Context) error {
	s.sort()
	for _, r := range s.feed.Dropped {
		// One that is not tidied up keeps its files, and so its entry: without it nobody would
		// ever remove them.
		// Nor is one forgotten here that may have parts that were not listed.
		if !r.At.After(s.before) && !s.working[r.Run] && s.there.published[r.Run] {
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
	for _, run := range slices.Sorted(maps.Keys(s.there.folders)) {
		if err := s.folder(ctx, run); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.there.staged)) {
		if !s.mayDiscard(key) || s.there.staged[key].After(s.before) {
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
	s.there.forget(s.found.Files)
	return nil
}

func (s *survey) add(f GarbageFile, why GarbageReason) {
	f.Why = why
	s.found.Files = append(s.found.Files, f)
	s.found.Bytes += f.Bytes
}

// isPart says whether a key is one that runs of the feed give to their parts.
func (s *survey) isPart(key string) bool {
	k, ok := parsePartKey(key)
	return ok && k.Source == s.feed.Source && k.Feed == s.feed.Name
}

// mayDiscard says whether what is staged under a key may be this feed's: a part of its, or
// something in the folder of any run.
func (s *survey) mayDiscard(key string) bool {
	return s.isPart(key) || strings.HasPrefix(key, ledger.RunsFolder)
}

// sort finds this feed's parts, and what all feeds name. Of this feed it goes by what it
// is now, of others by what they were after all was listed.
func (s *survey) sort() {
	s.parts = map[string]GarbageFile{}
	for _, f := range s.there.parts[s.feed.Name] {
		if s.isPart(f.Key) {
			s.parts[f.Key] = f
		}
	}
	s.working, s.live, s.replaced, s.members = map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	s.dropped, s.named = map[string]time.Time{}, map[string]map[string]bool{}
	s.note(s.feed)
	for _, f := range s.there.feeds {
		if f.Name != s.feed.Name {
			s.note(f)
		}
	}
}

// note notes what a feed names.
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

// dead is why the files of a run are live no more, "" if they may be.
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

// spared says that files of a run that no feed names stay all the same. Either it was
// published, and its feed's object was lost or put back from before: whoever mends that wants
// the parts. What is thrown away on purpose has no parts.json. Or the state, which is apart from
// the parts, has no trace of it: the run may be another state's, and live there.
func (s *survey) spared(run string, why GarbageReason) bool {
	if why != OfNoRun {
		return false
	}
	folder := s.there.folders[run]
	return s.there.apart && len(folder) == 0 || slices.ContainsFunc(folder, func(f GarbageFile) bool { return f.Key == PartsKey(run) })
}

// old says whether a run began before the grace time. A name that says no time is no
// run's.
func (s *survey) old(run string) bool {
	began, ok := runTime(run)
	return ok && !began.After(s.before)
}

// late says whether what is staged under a key came there, from a process that was killed, when
// one of the feed's live runs was published and tidied up. Of what parts.json names nothing is
// to be discarded, since that removes what is published too; nor of other files of a live run.
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

// tidy says whether a run is one of the feed's live ones, and nobody had anything to do for it
// when its files were listed, or has now.
func (s *survey) tidy(run string) bool {
	return s.there.tidy[run] && !s.working[run] && slices.ContainsFunc(s.feed.Runs, func(r ledger.PublishedRun) bool { return r.Run == run })
}

// abandoned says whether what is staged under a key is no run's.
func (s *survey) abandoned(key string) bool {
	run := runOf(key)
	if strings.HasPrefix(key, ledger.RunsFolder) {
		run, _ = folderOf(key)
	}
	why := s.dead(run)
	return why != "" && !s.spared(run, why)
}

// folder finds what of a run's own folder may go: all but its report, and what is of use
// beyond the run.
func (s *survey) folder(ctx context.Context, run string) error {
	s.lateEntries(run)
	why := s.dead(run)
	if why == "" || s.spared(run, why) {
		return nil
	}
	if feed := s.there.feedOf[run]; feed != "" && feed != s.feed.Name {
		return nil // which goes by this folder
	}
	var files []GarbageFile
	report := false
	for _, f := range s.there.folders[run] {
		switch _, rest := folderOf(f.Key); {
		case strings.HasPrefix(rest, ledgerFolder) && why == OfNoRun:
			// Tidying up removes it. Where it is left, its feed has lost its object, and may
			// get it back.
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

// lateEntries finds what killed processes have sent to the ledger of one of the feed's live
// runs, and came when that was tidied up: nobody ever opens it again.
func (s *survey) lateEntries(run string) {
	if !s.tidy(run) {
		return
	}
	for _, f := range s.there.folders[run] {
		if _, rest := folderOf(f.Key); strings.HasPrefix(rest, ledgerFolder) {
			s.add(f, OfNoRun)
		}
	}
}

// reportedFeed is the feed that a run's report is of, "" if it does not say.
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
