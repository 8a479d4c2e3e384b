package pipeline

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/transport"
)

// newMembers lists the patients of the feed's groups, and exports the history of those who are
// new since the last run: under _since, a server need not send what has not changed (IG, "Group
// Membership Request Pattern"). It returns the groups for which the server does not export the
// history of new patients alone; these must be exported in full.
func (r *run) newMembers(ctx context.Context) (full map[string]bool, err error) {
	if !r.journal.begun.Members {
		return nil, nil
	}
	lists := r.journal.withRole(roleMembers)
	if len(lists) == 0 {
		var plan []planned
		for _, group := range r.groups() {
			plan = append(plan, planned{Role: roleMembers, Group: group})
		}
		if err := r.journal.add(ctx, entry{Planned: plan}); err != nil {
			return nil, err
		}
		lists = r.journal.withRole(roleMembers)
	}
	for _, x := range lists {
		if err := r.listMembers(ctx, x); err != nil {
			return nil, err
		}
	}
	if r.journal.begun.Kind == ledger.KindFull {
		return nil, nil
	}
	if len(r.journal.withRole(roleHistory)) == 0 && len(r.journal.withRole(roleData)) == 0 {
		plan, err := r.planHistory(ctx, lists)
		if err != nil {
			return nil, err
		}
		if len(plan) > 0 {
			if err := r.journal.add(ctx, entry{Planned: plan}); err != nil {
				return nil, err
			}
		}
	}
	full = map[string]bool{}
	for _, x := range r.journal.withRole(roleHistory) {
		if !x.refused {
			if err := r.history(ctx, x); err != nil {
				return nil, err
			}
		}
		full[x.Group] = full[x.Group] || x.refused
	}
	return full, nil
}

// history exports everything about the patients who are new in a group.
func (r *run) history(ctx context.Context, x *export) error {
	log := r.logOf(x)
	err := r.stageExport(ctx, x, log)
	if err == nil || x.job != nil || ctx.Err() != nil {
		return err
	}
	var exchange *transport.Error
	if !errors.As(err, &exchange) || exchange.Kind == transport.Unavailable || exchange.Kind == transport.Denied && exchange.Status != http.StatusForbidden {
		return err
	}
	log.Info("the server does not export patients by name; exporting the group in full for its new members", "error", err)
	// Discard what was staged for it: once the run is published, only gc would find that. A worker
	// may have been stopped while it recorded parts. Only this export's can be in doubt, since
	// anybody else's would have ended the run; and since the export is lost, they count for nothing.
	r.journal.dismissDoubts()
	if err := r.discardUncommitted(ctx); err != nil {
		return err
	}
	return r.journal.add(ctx, entry{Refused: &exportEnd{Export: x.index}})
}

// planHistory plans exports for the groups with patients who were not there at the last run. A
// patient who was away has missed changes, and counts as new.
func (r *run) planHistory(ctx context.Context, lists []*export) ([]planned, error) {
	before, err := r.membersBefore(ctx)
	if err != nil {
		return nil, err
	}
	var plan []planned
	planning := map[string]bool{}
	for _, x := range lists {
		var fresh []string
		err := r.eachMember(ctx, x.members.Key, func(id string) {
			if m, known := before[id]; (!known || m.Left) && !planning[id] {
				planning[id] = true
				fresh = append(fresh, "Patient/"+id)
			}
		})
		if err != nil {
			return nil, err
		}
		for chunk := range slices.Chunk(fresh, patientsAtOnce) {
			plan = append(plan, planned{Role: roleHistory, Group: x.Group, Types: r.journal.begun.Types, Patients: chunk})
		}
	}
	return plan, nil
}

// patientsAtOnce keeps the body of a kick-off well below what servers accept (commonly 1 MiB).
const patientsAtOnce = 5_000

// listMembers exports the ids of a group's patients and stores them with the run.
func (r *run) listMembers(ctx context.Context, x *export) error {
	if x.members != nil {
		return r.deleteMembers(ctx, x)
	}
	if err := r.takeTurn(ctx); err != nil {
		return err
	}
	log := r.logOf(x)
	if err := r.startMembers(ctx, x, log); err != nil {
		return fmt.Errorf("listing the group's members to find the new ones: %w", err)
	}
	m, err := r.wait(ctx, x, log, func(*bulk.Manifest) error { return nil })
	if err != nil {
		return r.waitFailed(ctx, x, err)
	}
	var list bytes.Buffer
	packed := gzip.NewWriter(&list)
	count := 0
	for _, f := range m.Output {
		if f.Type != "Patient" && f.Type != "" {
			continue
		}
		n, err := r.patientIDs(ctx, m, f, packed)
		if err != nil {
			return &FileError{Type: f.Type, URL: transport.Redact(f.URL), Err: err}
		}
		count += n
	}
	if err := packed.Close(); err != nil {
		return err
	}
	key := fmt.Sprintf("%smembers-%05d.txt.gz", ledger.Folder(r.id), x.index)
	if err := r.State.Put(ctx, key, list.Bytes()); err != nil {
		return err
	}
	if err := r.journal.add(ctx, entry{Members: &exportMembers{Export: x.index, Key: key, Count: count}}); err != nil {
		return err
	}
	log.Info("listed the group's members", "members", count)
	return r.deleteMembers(ctx, x)
}

// startMembers kicks off the export of a list of members. If the server refuses, it tries again
// without _elements, and then without _type as well.
func (r *run) startMembers(ctx context.Context, x *export, log *slog.Logger) error {
	refused := func(err error) *transport.Error {
		if e, ok := errors.AsType[*transport.Error](err); ok && e.Kind == transport.Refused {
			return e
		}
		return nil
	}
	err := r.start(ctx, x, log)
	if refused(err) != nil {
		log.Info("the server does not accept _elements; listing its patients with all their elements")
		x.whole = true
		err = r.start(ctx, x, log)
	}
	if refused(err) != nil {
		log.Info("the server does not accept _type either; looking for its patients in everything that the group has")
		x.untyped = true
		err = r.start(ctx, x, log)
	}
	if e := refused(err); e != nil {
		e.Hint += "; new_members: ignore does without the list"
	}
	return err
}

// deleteMembers has the server delete the export of a list of members once the list is read:
// many servers run one export at a time, and start no other until it is deleted. If the process
// is killed in between, the resumed run does it.
func (r *run) deleteMembers(ctx context.Context, x *export) error {
	if x.deleted || x.job == nil || x.job.StatusURL == "" {
		return nil
	}
	if r.deleteJob(context.WithoutCancel(ctx), *x.job) != nil {
		return nil //nolint:nilerr // it is tried again when the run ends
	}
	return r.journal.add(ctx, entry{Deleted: &exportEnd{Export: x.index}})
}
