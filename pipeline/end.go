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

// tidyRuns does what runs that have ended have left to do: to delete the server's
// exports, and their ledgers. What fails is tried again next time.
func tidyRuns(ctx context.Context, o Options, lease *ledger.Lease) {
	for _, id := range lease.Feed().Ended {
		r := runWithID(o, lease, o.Server, id, o.Now())
		log, err := lease.OpenRun(ctx, id)
		if err == nil {
			r.journal, err = openJournal(ctx, log)
		}
		if err == nil && o.Server == nil && len(r.jobs()) > 0 {
			continue // for the next run, which knows the server
		}
		if err == nil {
			err = r.tidy(ctx)
		} else if _, damaged := errors.AsType[*ledger.DamagedError](err); damaged {
			r.Log.Warn("the ledger of a run that has ended is thrown away unread; its exports, if it has any, stay at the server", "run", id, "error", err)
			err = r.forgetUnread(ctx)
		}
		if err != nil {
			r.Log.Warn("a run that has ended could not be tidied up; the next one tries again", "error", err)
		}
	}
}

// tidy is the end of a run by another process, which may have been killed anywhere: what
// is left of the ledger does not tell any more what the rows hold, but the report does.
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

// keptJobs says whether the run was published and its report says that the server's
// exports stay.
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

// forget removes the run's ledger, and then the last sign that it was there; before it, the
// lists of who was in its groups, which nobody reads any more.
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
	return r.notEnded(ctx)
}

// notEnded takes the last sign of the run out of the feed's object, but for its rows.
func (r *run) notEnded(ctx context.Context) error {
	return r.lease.Update(ctx, func(f *ledger.Feed) error {
		f.Ended = slices.DeleteFunc(f.Ended, func(id string) bool { return id == r.id })
		return nil
	})
}

// endJobs deletes the server's exports of a run that has ended, unless they are kept, and
// says whether the server answered.
func (r *run) endJobs(ctx context.Context) (answered bool) {
	if why, keep := r.keepsJobs(); keep {
		r.Log.Info("the server's export is left there", "why", why)
		return true
	}
	return r.deleteJobs(ctx)
}

// deleteJobs lets the server free its space. A failure is not the run's: several
// servers, 1upHealth's among them, forbid it. One that does not answer, or is not itself, is
// asked no more: this is the end of a run, which somebody waits for.
func (r *run) deleteJobs(ctx context.Context) (answered bool) {
	if r.Server == nil {
		return true
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

// makeRoom deletes exports of the run whose files are all in parts, for a server that
// takes no other one until then. That is the one case in which they are deleted before
// they are published: otherwise the run could never end.
func (r *run) makeRoom(ctx context.Context) (made bool) {
	if _, keep := r.keepsJobs(); keep {
		return false
	}
	for _, x := range r.jobs() {
		if !x.done() {
			continue
		}
		r.Log.Info("the server is busy; an export whose files are fetched is deleted to make room")
		if r.deleteJob(ctx, *x.job) == nil && r.journal.add(ctx, entry{Deleted: &exportEnd{Export: x.index}}) == nil {
			made = true
		}
	}
	return made
}

// jobs are the exports of the run that the server may still keep.
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

// deleteJob says in the log if the server does not delete an export. It is errSilent if there
// is no answer within deleteTime.
func (r *run) deleteJob(ctx context.Context, job bulk.Job) error {
	ctx, cancel := context.WithTimeoutCause(ctx, deleteTime, errSilent)
	defer cancel()
	err := r.Server.Delete(ctx, job)
	if err != nil {
		r.Log.Info("the server keeps its export", "error", err)
	}
	return err
}

// keepsJobs says whether the server's exports stay there after publishing, and why.
// Those of a run that was given up do not.
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
