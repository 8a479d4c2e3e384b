package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/lake"
	"fhirkiln/transport"
)

// stageExports stages the run's exports one after another: servers commonly allow one at a time.
func (r *run) stageExports(ctx context.Context) error {
	if err := r.findGroups(ctx); err != nil {
		return err
	}
	full, err := r.newMembers(ctx)
	if err != nil {
		return err
	}
	if len(r.journal.withRole(roleData)) == 0 {
		plan, err := r.planData(ctx, full)
		if err != nil {
			return err
		}
		if err := r.journal.add(ctx, entry{Planned: plan}); err != nil {
			return err
		}
	}
	data := r.journal.withRole(roleData)
	for n, x := range data {
		if err := r.stageExport(ctx, x, r.logOf(x).With("export", n+1, "of", len(data))); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) logOf(x *export) *slog.Logger {
	log := r.Log.With("export_level", string(r.Feed.Request.Level))
	if x.Group != "" {
		log = log.With("group", x.Group)
	}
	return log
}

// stageExport stages the parts of one export, or those that are not staged yet.
func (r *run) stageExport(ctx context.Context, x *export, log *slog.Logger) error {
	if x.done() {
		return nil
	}
	if err := r.takeTurn(ctx); err != nil {
		return err
	}
	if err := r.start(ctx, x, log); err != nil {
		return err
	}
	q := newQueue()
	group, gctx := errgroup.WithContext(ctx)
	var left leftovers
	defer context.AfterFunc(gctx, q.close)()
	group.Go(func() error {
		defer q.close()
		return r.list(gctx, x, q, log)
	})
	for range r.Workers {
		group.Go(func() error {
			w := &worker{run: r, export: x, queue: q}
			return left.keep(w.work(gctx), w.abort)
		})
	}
	if err := group.Wait(); err != nil {
		r.seen = nil // it has counted resources that may never be published
		return errors.Join(err, cleanUp(ctx, left.throwAway))
	}
	if err := x.unconverted(); err != nil {
		return err
	}
	return r.readIssues(ctx, x)
}

// takeTurn waits until the run may have exports at the server, unless it already may. The run
// keeps its turn to its end: a server may count an export until it is deleted, so a run that
// had one there and waited for another turn would wait for a run that waits for it.
func (r *run) takeTurn(ctx context.Context) error {
	if r.Turn == nil || r.turn != nil {
		return nil
	}
	r.enter(Queued)
	done, err := r.Turn(ctx, len(r.jobs()) > 0)
	if err != nil {
		return err
	}
	r.turn = done
	return nil
}

// leaveTurn gives up the run's turn, so that another run may have its own.
func (r *run) leaveTurn() {
	if r.turn != nil {
		r.turn()
		r.turn = nil
	}
}

// start kicks off the export, unless an earlier process has.
func (r *run) start(ctx context.Context, x *export, log *slog.Logger) error {
	if x.job != nil && (x.job.StatusURL != "" || x.job.Manifest != nil || x.complete != nil) {
		return nil // otherwise the answer was the manifest itself, lost with the process that got it
	}
	r.enter(Starting)
	if len(x.Patients) > 0 {
		log = log.With("new_patients", len(x.Patients))
	}
	log.Info("starting the export", "since", sinceText(x.Since))
	request := r.request(x)
	request.MakeRoom = r.makeRoom
	job, err := r.Server.KickOff(ctx, request)
	if err != nil {
		if job.StatusURL != "" { // the export runs, but nobody can follow it
			_ = r.deleteJob(context.WithoutCancel(ctx), job)
		}
		return err
	}
	if job.Adopted {
		log.Info("the server is already running this export; taking it over")
	}
	var issues lake.Issues
	for _, i := range job.Issues { // under handling=lenient: what the server ignores
		issues.Add(issueOf(i))
	}
	// From here on the export must not be forgotten, even if ctx ends now.
	if err := r.addForGood(ctx, entry{Started: &started{Export: x.index, At: r.Now().UTC(), StatusURL: job.StatusURL, SeparateStatus: job.SeparateStatus, Issues: issues}}); err != nil {
		if job.StatusURL != "" { // either nobody would ever know of it, or the next run finds it gone
			_ = r.deleteJob(context.WithoutCancel(ctx), job)
		}
		return err
	}
	x.job.Manifest = job.Manifest
	return nil
}

func sinceText(t time.Time) string {
	if t.IsZero() {
		return "the beginning"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// list waits for the export's files, and gives them to q as the server announces them.
func (r *run) list(ctx context.Context, x *export, q *queue, log *slog.Logger) error {
	if x.complete != nil {
		return r.listAgain(ctx, x, q)
	}
	m, err := r.wait(ctx, x, log, func(m *bulk.Manifest) error { return r.listNew(ctx, x, m, q, nil) })
	if err != nil {
		return r.waitFailed(ctx, x, err)
	}
	files := r.ofLocalFiles() // there is no export then
	ahead := false
	if !files {
		if ahead, err = r.checkTime(m, log); err != nil {
			return err
		}
	}
	end := complete{Export: x.index, Ahead: ahead, TransactionTime: m.TransactionTime, TransactionTimeText: m.TransactionTimeText,
		RequiresAccessToken: m.RequiresAccessToken, Expires: m.Expires, Errors: m.Errors}
	if err := r.listNew(ctx, x, m, q, &end); err != nil {
		return err
	}
	r.enter(Converting)
	if files {
		return nil
	}
	log.Info("the export is complete", "files", len(m.Output), "deleted_files", len(m.Deleted),
		"error_files", len(m.Errors), "transaction_time", m.TransactionTimeText)
	return nil
}

// wait returns the export's manifest. Partial manifests that come before it go to partial.
func (r *run) wait(ctx context.Context, x *export, log *slog.Logger, partial func(*bulk.Manifest) error) (*bulk.Manifest, error) {
	if x.job.Manifest != nil {
		return x.job.Manifest, nil
	}
	r.enter(Waiting)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	said := ""
	return r.Server.Wait(ctx, *x.job, func(p bulk.Progress) {
		r.Progress.say(p.Text)
		if p.Text != said { // a line for each poll would fill a night's log
			said = p.Text
			log.Info("the server is working", "progress", p.Text)
		}
		if late := r.overdue(x); late != nil {
			fail(late)
			return
		}
		if p.Partial != nil {
			if err := partial(p.Partial); err != nil {
				fail(err)
			}
		}
	})
}

// waitFailed records that an export has failed for good, so that nobody waits for it again. It
// deletes the server's job if the server itself said that it failed, or if the export is
// overdue. What stands in front of the server may speak of an export that will yet be complete.
func (r *run) waitFailed(ctx context.Context, x *export, err error) error {
	if _, late := errors.AsType[*overdueError](err); ctx.Err() != nil || !late && !aboutTheExport(err) {
		return err
	}
	if failed, ok := errors.AsType[*transport.Error](err); !ok || !failed.Stray {
		_ = r.deleteJob(context.WithoutCancel(ctx), *x.job)
	}
	return errors.Join(err, r.journal.add(ctx, entry{Lost: &exportEnd{Export: x.index}}))
}

// listNew records the files of m that are not listed yet, and queues those that are not queued
// yet. If end is not nil, m is final: end is recorded together with the last file, or alone.
func (r *run) listNew(ctx context.Context, x *export, m *bulk.Manifest, q *queue, end *complete) error {
	const many = 10_000 // files in one entry
	broken := func(what string) error {
		return &transport.Error{Kind: transport.Broken, Doing: "reading the manifest", URL: x.job.StatusURL,
			Err: errors.New(what), Hint: "run again to start another export"}
	}
	r.journal.mu.Lock()
	fresh, same := x.meet(m)
	gone := len(x.files)+len(fresh) > len(m.Output)+len(m.Deleted)
	r.journal.mu.Unlock()
	switch {
	case !same:
		return broken("it describes its files differently than before")
	case end != nil && gone:
		return broken("files that the server listed before are missing from it")
	}
	for len(fresh) > 0 || end != nil {
		var news []entry
		if n := min(many, len(fresh)); n > 0 {
			news, fresh = append(news, entry{Listed: &listed{Export: x.index, Files: fresh[:n]}}), fresh[n:]
		}
		if len(fresh) == 0 && end != nil {
			news, end = append(news, entry{Complete: end}), nil
		}
		if err := r.journal.add(ctx, news...); err != nil {
			return err
		}
	}
	r.queue(x, q)
	return nil
}

// queue gives q those files that it was not given yet and that are not converted to their end.
func (r *run) queue(x *export, q *queue) {
	r.journal.mu.Lock()
	pending := x.pending(x.queuedCount)
	x.queuedCount = len(x.files)
	r.journal.mu.Unlock()
	r.Progress.expect(pending)
	q.add(pending)
}

// listAgain resumes an export whose files were all listed by an earlier process. Its links may
// have expired, and its job may be gone.
func (r *run) listAgain(ctx context.Context, x *export, q *queue) error {
	m := x.fromLedger()
	if m.StatusURL != "" && len(x.pending(0)) > 0 {
		fresh, err := r.Server.Refresh(ctx, m)
		if err != nil {
			return err
		}
		m = fresh
	}
	r.enter(Converting)
	r.journal.mu.Lock()
	x.use(m)
	r.journal.mu.Unlock()
	r.queue(x, q)
	return nil
}
