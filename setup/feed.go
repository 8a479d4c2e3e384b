package setup

import (
	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

// Feed returns a feed of the config as the pipeline takes it: the request with its PDex
// exportType, the groups, and what of the config's other feeds matters to it.
func Feed(cfg *config.Config, f config.Feed) pipeline.Feed {
	s := cfg.Sources[f.Source]
	return pipeline.Feed{
		Name:             f.Name,
		Source:           f.Source,
		Purpose:          string(f.Purpose),
		Base:             s.FHIR,
		Request:          request(f, s),
		DeltaType:        exportType(f, s, true),
		Groups:           f.Groups,
		GroupSearch:      f.GroupSearch,
		Overlap:          f.Overlap,
		FullEvery:        f.FullEvery,
		IgnoreNewMembers: f.NewMembers == config.NewMembersIgnore,
		Retire:           f.Retire == config.RetireFull,
		IDSpaces:         IDSpaces(cfg.Feeds),
		Keep:             Retention(f),
		MaxErrors:        int64(f.MaxErrors),
	}
}

// Retention says which of a feed's runs stay live.
func Retention(f config.Feed) lake.Retention {
	return lake.Retention{Runs: f.KeepRuns, Days: f.KeepDays}
}

// IDSpaces returns the id spaces of the feeds that have one which is not named after their
// source.
func IDSpaces(feeds []config.Feed) map[string]string {
	spaces := map[string]string{}
	for _, f := range feeds {
		if f.IDSpace != f.Source {
			spaces[f.Name] = f.IDSpace
		}
	}
	return spaces
}

// keepJob says whether a source's exports are left on the server.
func keepJob(s config.Source) pipeline.KeepJob {
	switch s.DeleteExport {
	case config.DeleteAlways:
		return pipeline.KeepNever
	case config.DeleteNever:
		return pipeline.KeepAlways
	}
	return pipeline.KeepForAttachments
}
