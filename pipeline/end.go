package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/transport"
)

// tidyRuns does what ended runs have left undone, such as deleting the server's exports and
// their own ledgers. What fails is tried again next time.
func tidyRuns(ctx context.Context, o Options, lease *ledger.Lease) {
	if o.Sink == nil {
		return // leave it to whoever has the sink: the symlink manifests are there
	}
	for _, id := range lease.Feed().Ended {
		r := runWithID(o, lease, id, o.Now())
		err := r.open(ctx)
		if err == nil && o.Server == nil && len(r.jobs()) > 0 {
			continue // leave it to the next run, which knows the server
		}
		if err == nil {
			err = r.tidy(ctx)
		} else if _, damaged := errors.AsType[*ledger.DamagedError](err); damaged {
			r.Log.Warn("throwing away the unreadable ledger of an ended run; its exports, if any, stay at the server", "run", id, "error", err)
			err = r.forgetUnread(ctx)
		}
		if err != nil {
			r.Log.Warn("could not tidy up an ended run; the next run tries again", "error", err)
		}
	}
}

// tidy finishes a run that another process has ended. That process may have been killed at any
// point, so what is left of the ledger may no longer tell what the rows hold; the report does.
func (r *run) tidy(ctx context.Context) error {
	kept, err := r.keptJobs(ctx)
	if err != nil {
		return err
	}
	r.tryPutManifests(ctx)
	if !kept {
		r.endJobs(ctx)
	}
	return r.forget(ctx)
}

// keptJobs reports whether the run was published and its report says that the server's exports
// stay.
func (r *run) keptJobs(ctx context.Context) (bool, error) {
	if r.journal.givenUp != "" {
		return false, nil
	}
	report, err := r.lake().Report(ctx, r.id)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return report.ExportKept != "", nil
}

// forget removes the lists of the patients in the run's groups, which nobody reads any more,
// then the run's ledger, and last takes the run off the feed's list of ended runs.
func (r *run) forget(ctx context.Context) error {
	for _, x := range r.journal.exports {
		if x.members == nil {
			continue
		}
		if err := r.State.Remove(ctx, x.members.Key); err != nil {
			return err
		}
	}
	if err := r.journal.log.Forget(ctx); err != nil {
		return err
	}
	return r.dropEnded(ctx)
}

// dropEnded takes the run off the feed's list of ended runs: nothing of it is left to tidy up.
func (r *run) dropEnded(ctx context.Context) error {
	return r.lease.Update(ctx, func(f *ledger.Feed) error {
		f.Ended = slices.DeleteFunc(f.Ended, func(id string) bool { return id == r.id })
		return nil
	})
}

// endJobs deletes the server's exports of a run that has ended, unless they are to be kept. It
// returns false if the server did not answer.
func (r *run) endJobs(ctx context.Context) (answered bool) {
	if why, keep := r.keepsJobs(); keep {
		r.Log.Info("leaving the export at the server", "why", why)
		return true
	}
	return r.deleteJobs(ctx)
}

// deleteJobs deletes the run's exports, so that the server can free their space. A failure does
// not fail the run: several servers, 1upHealth's among them, forbid deletion. A server that
// does not answer or is unavailable is not asked again: this is the end of a run, and somebody
// is waiting for it. deleteJobs then returns false. It also does if there are exports but no
// Server: the ledger must stay for a run that has one.
func (r *run) deleteJobs(ctx context.Context) (answered bool) {
	if r.Server == nil {
		return len(r.jobs()) == 0
	}
	for _, x := range r.jobs() {
		err := r.deleteJob(ctx, *x.job)
		down, ok := errors.AsType[*transport.Error](err)
		if errors.Is(err, errSilent) || ctx.Err() != nil || ok && down.Kind == transport.Unavailable {
			return false
		}
	}
	return true
}

// makeRoom deletes those exports of the run whose files are all in parts, for a server that
// takes no other export until then. This is the one case in which an export is deleted before
// its rows are published: otherwise the run could never end. makeRoom reports whether it
// deleted any.
func (r *run) makeRoom(ctx context.Context) (made bool) {
	if _, keep := r.keepsJobs(); keep {
		return false
	}
	for _, x := range r.jobs() {
		if !x.done() {
			continue
		}
		r.Log.Info("the server is busy; deleting an export whose files are all fetched, to make room")
		if r.deleteJob(ctx, *x.job) == nil && r.journal.add(ctx, entry{Deleted: &exportEnd{Export: x.index}}) == nil {
			made = true
		}
	}
	return made
}

// jobs returns the run's exports that may still be at the server.
func (r *run) jobs() []*export {
	var kept []*export
	for _, x := range r.journal.exports {
		if x.job != nil && x.job.StatusURL != "" && !x.deleted {
			kept = append(kept, x)
		}
	}
	return kept
}

const deleteTime = 15 * time.Second

var errSilent = errors.New("no answer in time")

// deleteJob asks the server to delete an export, and logs it if the server does not. The error
// is errSilent if there is no answer within deleteTime.
func (r *run) deleteJob(ctx context.Context, job bulk.Job) error {
	ctx, cancel := context.WithTimeoutCause(ctx, deleteTime, errSilent)
	defer cancel()
	err := r.Server.Delete(ctx, job)
	if err != nil {
		r.Log.Info("the server did not delete the export", "error", err)
	}
	return err
}

// keepsJobs reports whether the server's exports stay there after publishing, and why. Those of
// a run that was given up do not.
func (r *run) keepsJobs() (string, bool) {
	switch {
	case r.journal.givenUp != "":
	case r.KeepJob == KeepAlways:
		return "delete_export is never", true
	case r.KeepJob == KeepForAttachments && slices.ContainsFunc(r.journal.parts, func(p stagedPart) bool { return p.Attachments > 0 }):
		return "published rows hold URLs of attachments at the server", true
	}
	return "", false
}
