package main

import (
	"slices"
	"strings"

	"fhirkiln/bulk"
	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

// pipelineFeed is a feed of the config as the pipeline has it.
func pipelineFeed(f config.Feed, s config.Source, all []config.Feed) pipeline.Feed {
	return pipeline.Feed{
		Name:             f.Name,
		Source:           f.Source,
		Purpose:          string(f.Purpose),
		Request:          request(f, s),
		DeltaType:        exportType(f, s, true),
		Groups:           f.Groups,
		GroupSearch:      f.GroupSearch,
		Overlap:          f.Overlap,
		FullEvery:        f.FullEvery,
		IgnoreNewMembers: f.NewMembers == config.NewMembersIgnore,
		Retire:           f.Retire == config.RetireFull,
		IDSpaces:         idSpaces(all),
		Keep:             retention(f),
		MaxErrors:        int64(f.MaxErrors),
	}
}

// retention says which of a feed's runs stay live.
func retention(f config.Feed) lake.Retention {
	return lake.Retention{Runs: f.KeepRuns, Days: f.KeepDays}
}

// idSpaces are those of feeds that were given one.
func idSpaces(feeds []config.Feed) map[string]string {
	spaces := map[string]string{}
	for _, f := range feeds {
		if f.IDSpace != f.Source {
			spaces[f.Name] = f.IDSpace
		}
	}
	return spaces
}

// request is what a feed asks for. The pipeline says of which group and since when.
func request(f config.Feed, s config.Source) bulk.Request {
	return bulk.Request{
		Level:            bulk.Level(f.Level),
		Types:            f.Types,
		Since:            f.Since,
		Until:            f.Until,
		Elements:         f.Elements,
		TypeFilters:      f.TypeFilters,
		Patients:         patients(f.Patients),
		AssociatedData:   f.AssociatedData,
		OrganizeBy:       f.OrganizeBy,
		ExportType:       exportType(f, s, !f.Since.IsZero()),
		PartialManifests: f.PartialManifests,
		Parameters:       parameters(f, s),
		Header:           headers(s, config.HeaderKickOff),
		Lenient:          s.Lenient,
		SeparateStatus:   s.SeparateStatus,
		SinceAsDate:      s.SinceFormat == "date",
		RepeatLists:      s.ListFormat == "repeat",
		Post:             s.Method == "POST",
	}
}

// keepJob says whether a source's exports stay there.
func keepJob(s config.Source) pipeline.KeepJob {
	switch s.DeleteExport {
	case config.DeleteAlways:
		return pipeline.KeepNever
	case config.DeleteNever:
		return pipeline.KeepAlways
	}
	return pipeline.KeepForAttachments
}

// exportType is that of a kick-off with or without _since; "" is a plain $export. The
// names are PDex 2.2.0's.
func exportType(f config.Feed, s config.Source, since bool) string {
	const pdex = "hl7.fhir.us.davinci-pdex#"
	switch {
	case s.Operation != config.OperationDaVinci:
		return ""
	case f.ExportType != "":
		return f.ExportType
	case f.Purpose == config.PurposePayerToPayer:
		return pdex + "payertopayer"
	case !since:
		return pdex + "provider-download"
	}
	return pdex + "provider-delta" // which must have a _since, as the other need not
}

// parameters are the source's free parameters but for those that the feed has itself, and
// the feed's.
func parameters(f config.Feed, s config.Source) []bulk.Parameter {
	var all []bulk.Parameter
	for _, p := range s.Parameters {
		if !slices.ContainsFunc(f.Parameters, func(own config.Parameter) bool { return own.Name == p.Name }) {
			all = append(all, parameter(p))
		}
	}
	for _, p := range f.Parameters {
		all = append(all, parameter(p))
	}
	return all
}

func parameter(p config.Parameter) bulk.Parameter {
	return bulk.Parameter{Name: p.Name, Value: p.Value, Kind: strings.ToUpper(p.Type[:1]) + p.Type[1:]} // value[x]
}

// headers are those of a source's extra headers that go with some requests, revealed; nil
// for none.
func headers(s config.Source, requests config.HeaderRequests) map[string]string {
	var some map[string]string
	for _, h := range s.Headers {
		if h.Requests == requests {
			if some == nil {
				some = map[string]string{}
			}
			some[h.Name] = h.Value.Reveal()
		}
	}
	return some
}

// patients are references to patients.
func patients(ids []string) []string {
	var references []string
	for _, id := range ids {
		references = append(references, "Patient/"+id)
	}
	return references
}
