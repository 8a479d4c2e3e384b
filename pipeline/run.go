package pipeline

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/transport"
)

// Run brings the feed up to date once. It resumes the feed's unfinished run, or begins a new
// one.
//
// If it fails, readers of the feed see nothing of the run, unless the error is a
// [*PartialError]. What the run has staged and the server's export are kept for the next Run
// to resume, unless resuming cannot help. Canceling ctx ends the run in good order. The error
// is then ctx's cause; see [ErrGiveUp].
//
// Only one process at a time may run a feed. A [*ledger.HeldError] says that another one is
// at it.
func Run(ctx context.Context, o Options) (*lake.Report, error) {
	var missing error
	if o.Server == nil {
		missing = errors.New("a run needs Options.Server")
	}
	return withReport(ctx, o, missing, func(ctx context.Context, lease *ledger.Lease, o Options) (*lake.Report, error) {
		r, err := resume(ctx, o, lease)
		if err != nil {
			return newRun(o, lease).failed(err)
		}
		if r != nil {
			if err := r.checkSink(ctx, r.journal.begun.Kind); err != nil {
				return r.failed(err)
			}
			defer r.leaveTurn() // its exports are then deleted, or kept for the next Run
			report, err := r.stageAndPublish(ctx, r.stageExports)
			if err == nil || ctx.Err() != nil || !aboutTheExport(err) && !r.groupGone(ctx, err) {
				return report, err
			}
			r.Log.Warn("cannot finish the run that was cut off; starting another one", "error", err)
			stop, cancel := transport.Linger(ctx, durableTime)
			err = r.giveUp(stop, err.Error())
			cancel()
			r.leaveTurn()
			if err != nil {
				return r.failed(err)
			}
			o.Full = r.Full // what was asked for is still to be done
		}
		r = newRun(o, lease)
		if err := r.checkWatermarks(); err != nil {
			return r.failed(err)
		}
		kind := r.nextKind()
		if err := r.checkSink(ctx, kind); err != nil {
			return r.failed(err)
		}
		if err := r.begin(ctx, kind); err != nil {
			return r.failed(err)
		}
		defer r.leaveTurn()
		return r.stageAndPublish(ctx, r.stageExports)
	})
}

// Convert is a [Run] over local files, without a server. A conversion that was cut off starts
// over. An unfinished run of exports is thrown away; Options.Server, if set, is used only to
// delete its exports. Feed.Request is not used.
func Convert(ctx context.Context, files *Files, o Options) (*lake.Report, error) {
	var missing error
	if files == nil {
		missing = errors.New("a conversion needs files")
	}
	return withReport(ctx, o, missing, func(ctx context.Context, lease *ledger.Lease, o Options) (*lake.Report, error) {
		r := newRun(o, lease)
		r.opener = files
		if err := discardUnfinished(ctx, o, lease); err != nil {
			return r.failed(err)
		}
		if err := r.begin(ctx, ledger.KindFiles, noServer()...); err != nil {
			return r.failed(err)
		}
		return r.stageAndPublish(ctx, func(ctx context.Context) error {
			r.Log.Info("converting", "files", len(files.files))
			x := r.journal.exports[0]
			x.job.Manifest = files.manifest()
			return r.stageExport(ctx, x, r.Log)
		})
	})
}

// withReport calls do while this process holds the feed's lease, unless something is missing or the
// options cannot be used. It always returns a report.
func withReport(ctx context.Context, o Options, missing error, do func(context.Context, *ledger.Lease, Options) (*lake.Report, error)) (report *lake.Report, err error) {
	o = o.withDefaults()
	if err = cmp.Or(missing, o.check()); err == nil {
		err = withLease(ctx, o, func(lease *ledger.Lease) (err error) {
			report, err = do(lease.Context(), lease, o)
			if ctx.Err() == nil { // else the run did not fail, but was stopped
				noteFailure(lease, report, err)
			}
			return err
		})
	}
	if report == nil {
		d := newDraft(o.Feed, o.Now())
		d.failed(err)
		d.finish(o.Now())
		report = &d.Report
	}
	return report, err
}

// run is one attempt to bring a feed up to date.
type run struct {
	Options
	id      string
	lease   *ledger.Lease
	opener  Opener   // the Server, or local files
	journal *journal // nil until begun
	number  atomic.Int64
	noted   notedKeys
	started time.Time
	seen    *seen  // nil if another process began the run
	turn    func() // ends the run's turn at the server; nil while it has none

	report     *draft
	supersedes bool // see checkShort
}

func newRun(o Options, lease *ledger.Lease) *run {
	started := o.Now()
	r := runWithID(o, lease, lake.NewRunID(started), started)
	r.seen = newSeen(maxSeen)
	return r
}

func runWithID(o Options, lease *ledger.Lease, id string, started time.Time) *run {
	r := &run{Options: o, id: id, lease: lease, opener: o.Server, started: started, report: newDraft(o.Feed, started)}
	r.report.Run = id
	r.Log = o.Log.With("feed", o.Feed.Name, "run", id)
	return r
}

// begin records that the run exists, before it does anything else, together with the entries
// that are already known.
func (r *run) begin(ctx context.Context, kind ledger.Kind, known ...entry) error {
	err := r.lease.Update(ctx, func(f *ledger.Feed) error {
		f.Unfinished = &ledger.Unfinished{Run: r.id, Started: r.started.UTC(), Processes: 1}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	begins := entry{Begun: &begun{Started: r.started.UTC(), Kind: kind, Full: r.Full, Filters: filtersOf(r.Feed), Server: serverOf(r.Feed),
		GroupSearch: filterHash(r.Feed.GroupSearch), Groups: r.Feed.Groups, Types: r.Feed.Request.Types, Members: r.Feed.Request.Level == bulk.Group && !r.Feed.IgnoreNewMembers}}
	return r.journal.add(ctx, slices.Insert(known, 0, begins)...)
}

// resume opens the feed's unfinished run. It returns nil if there is none, or if the run could
// not be resumed and was thrown away.
func resume(ctx context.Context, o Options, lease *ledger.Lease) (*run, error) {
	unfinished := lease.Feed().Unfinished
	if unfinished == nil {
		return nil, nil
	}
	r := runWithID(o, lease, unfinished.Run, unfinished.Started)
	if err := r.open(ctx); err != nil {
		if _, damaged := errors.AsType[*ledger.DamagedError](err); o.Fresh && damaged {
			return nil, r.abandon(ctx, err)
		}
		return nil, err
	}
	why, err := r.whyNotResumed()
	if err != nil {
		return nil, err // the run stays until it is clear what the user wants
	}
	if why != "" {
		r.Log.Info("throwing away the unfinished run", "why", why)
		return nil, r.giveUp(ctx, why)
	}
	err = lease.Update(ctx, func(f *ledger.Feed) error {
		f.Unfinished.Processes++
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.report.Resumed = true
	if begun := *r.journal.begun; r.Full && !begun.Full {
		begun.Full = true // also if this process is cut off, too
		if err := r.journal.add(ctx, entry{Begun: &begun}); err != nil {
			return nil, err
		}
	}
	r.Full = r.journal.begun.Full
	r.number.Store(int64(len(r.journal.parts)))
	r.Log.Info("resuming a run that was cut off", "started", unfinished.Started, "parts", len(r.journal.parts),
		"attempt", unfinished.Processes+1)
	return r, r.discardUncommitted(ctx)
}

// whyNotResumed returns why the unfinished run is to be thrown away, or "" if it can be
// resumed.
func (r *run) whyNotResumed() (string, error) {
	switch begun := r.journal.begun; {
	case r.journal.givenUp != "":
		return r.journal.givenUp, nil
	case begun == nil:
		return "it had not begun", nil
	case begun.Kind == ledger.KindFiles:
		return "files are always converted from the start", nil
	case begun.Kind == ledger.KindCompaction:
		return "it was a compaction", nil
	case r.Fresh:
		return "a fresh run was requested", nil
	case len(begun.Filters.changed(filtersOf(r.Feed))) > 0:
		return "the feed now asks for something else", r.checkWatermarks()
	case otherServer(begun.Server, serverOf(r.Feed)):
		return "the source now has another server", r.checkWatermarks()
	case r.Full && begun.Kind != ledger.KindFull:
		return "a full run was requested", nil
	}
	return "", nil
}

// discardUnfinished throws away the feed's unfinished run, if there is one.
func discardUnfinished(ctx context.Context, o Options, lease *ledger.Lease) error {
	o.Fresh = true
	_, err := resume(ctx, o, lease)
	return err
}

// noServer returns the entries of a stand-in export without a server, for local files and
// compacted parts to belong to.
func noServer() []entry {
	return []entry{{Planned: []planned{{Role: roleData}}}, {Started: new(started)}}
}

// open opens the run's ledger. The journal is nil if that fails.
func (r *run) open(ctx context.Context) (err error) {
	r.journal, err = openJournal(ctx, r.lease, r.id)
	return err
}

// ofLocalFiles reports whether the run is a [Convert].
func (r *run) ofLocalFiles() bool { return r.journal.begun.Kind == ledger.KindFiles }

// stageAndPublish calls stage, then publishes all that was staged or nothing.
func (r *run) stageAndPublish(ctx context.Context, stage func(context.Context) error) (*lake.Report, error) {
	err := stage(ctx)
	r.fillReport()
	if err == nil {
		err = r.journal.checkStaged()
	}
	if err == nil {
		err = r.report.quality(r.MaxQuarantined)
	}
	if err == nil {
		err = r.publish(ctx)
	}
	if err != nil {
		return r.failed(r.afterFailure(ctx, err))
	}
	r.enter(Done)
	if r.report.Status == ledger.StatusPartial {
		partial := &PartialError{Run: r.id, Report: r.State.String() + "/" + lake.ReportKey(r.id), Issues: r.report.Issues.Failed(), Quarantined: r.report.Quarantined,
			OlderKept: r.report.OlderKept}
		if len(r.report.ServerErrors) > 0 {
			partial.ServerErrors = r.State.String() + "/" + r.report.ServerErrors[0]
		}
		if r.report.retiringRefused() {
			partial.NotRetired = r.report.Retired.Skipped
		}
		return &r.report.Report, partial
	}
	return &r.report.Report, nil
}

// enter notes the run's new phase in its progress and its report.
func (r *run) enter(p Phase) {
	r.Progress.enter(p)
	r.report.enter(p, r.Now())
}

// failed ends the report of a run that publishes nothing, and returns it with err.
func (r *run) failed(err error) (*lake.Report, error) {
	r.report.failed(err)
	r.report.finish(r.Now())
	r.enter(Ending)
	return &r.report.Report, err
}
