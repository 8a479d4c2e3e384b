package setup

import (
	"slices"
	"strings"

	"fhirkiln/bulk"
	"fhirkiln/config"
)

// request returns a feed's request. The pipeline adds the group and _since.
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

// exportType returns the exportType of a kick-off with or without _since, or "" for a plain
// $export. The names are from PDex 2.2.0.
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
	return pdex + "provider-delta" // requires _since; the other one does not
}

// parameters returns the free parameters of the source and of the feed. The feed's override
// the source's of the same name.
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

// headers returns a source's extra headers for the given requests, with their secrets
// revealed, or nil if there are none.
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

// patients returns references to the patients with these ids.
func patients(ids []string) []string {
	var references []string
	for _, id := range ids {
		references = append(references, "Patient/"+id)
	}
	return references
}
