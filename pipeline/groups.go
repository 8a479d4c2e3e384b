package pipeline

import (
	"context"
	"errors"
	"slices"

	"fhirkiln/bulk"
	"fhirkiln/transport"
)

// groups returns the groups that the run exports. At other levels, it is one without a name.
func (r *run) groups() []string {
	switch {
	case len(r.journal.groups) > 0:
		return r.journal.groups
	case r.Feed.Request.Level == bulk.Group:
		return r.journal.begun.Groups
	}
	return []string{""}
}

// findGroups searches for the feed's groups, once per run: a resumed run keeps the groups it
// has, whatever the server would find now, as long as the server exports them.
func (r *run) findGroups(ctx context.Context) error {
	if len(r.groups()) > 0 {
		return nil
	}
	if r.Feed.GroupSearch == "" {
		return errors.New("the feed has no groups")
	}
	found, err := r.Server.Groups(ctx, r.Feed.GroupSearch)
	if err != nil {
		return err
	}
	if len(found) == 0 { // nothing would be exported, and that would look like a quiet night
		return &transport.Error{Kind: transport.NotThere, Doing: "searching for the feed's groups", Err: errors.New("no group matches"),
			Hint: "check group_search; a payer may have to match its members again before there is a group"}
	}
	r.Log.Info("found the feed's groups", "groups", len(found))
	return r.journal.add(ctx, entry{Groups: found})
}

// groupGone reports whether the server refused an export of a resumed run because one of its
// groups is no longer the feed's: the config names other groups by now, or the server has
// matched the members again and given them groups with new ids.
func (r *run) groupGone(ctx context.Context, err error) bool {
	refused, ok := errors.AsType[*transport.Error](err)
	if !ok || refused.Kind != transport.NotThere && refused.Kind != transport.Denied {
		return false
	}
	next := slices.IndexFunc(r.journal.exports, func(x *export) bool { return x.job == nil && !x.refused })
	if next < 0 || r.journal.exports[next].Group == "" {
		return false // what was refused was not a group's kick-off
	}
	now := r.Feed.Groups
	if len(now) == 0 && r.Feed.GroupSearch != "" {
		if now, err = r.Server.Groups(ctx, r.Feed.GroupSearch); err != nil {
			return false
		}
	}
	return !slices.Contains(now, r.journal.exports[next].Group)
}
