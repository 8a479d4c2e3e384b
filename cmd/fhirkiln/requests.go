package main

import (
	"slices"
	"strings"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/config"
)

// requests are the kick-offs of a feed for what has changed since an instant, or for all
// where that is zero: one for each group, or one.
func requests(f config.Feed, s config.Source, since time.Time) []bulk.Request {
	request := bulk.Request{
		Level:            bulk.Level(f.Level),
		Types:            f.Types,
		Since:            since,
		Until:            f.Until,
		Elements:         f.Elements,
		TypeFilters:      f.TypeFilters,
		Patients:         patients(f.Patients),
		AssociatedData:   f.AssociatedData,
		OrganizeBy:       f.OrganizeBy,
		ExportType:       exportType(f, s, since),
		PartialManifests: f.PartialManifests,
		Parameters:       parameters(f, s),
		Header:           headers(s),
		Lenient:          s.Lenient,
		SeparateStatus:   s.SeparateStatus,
		SinceAsDate:      s.SinceFormat == "date",
		RepeatLists:      s.ListFormat == "repeat",
		Post:             s.Method == "POST",
	}
	if request.Level != bulk.Group {
		return []bulk.Request{request}
	}
	all := make([]bulk.Request, len(f.Groups))
	for i, group := range f.Groups {
		all[i] = request
		all[i].Group = group
	}
	return all
}

// exportType is that of a kick-off since an instant; "" is a plain $export. The names are
// PDex 2.2.0's.
func exportType(f config.Feed, s config.Source, since time.Time) string {
	const pdex = "hl7.fhir.us.davinci-pdex#"
	switch {
	case s.Operation != config.OperationDaVinci:
		return ""
	case f.ExportType != "":
		return f.ExportType
	case f.Purpose == config.PurposePayerToPayer:
		return pdex + "payertopayer"
	case since.IsZero():
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

// headers are the source's extra headers, revealed.
func headers(s config.Source) map[string]string {
	if len(s.Headers) == 0 {
		return nil
	}
	all := make(map[string]string, len(s.Headers))
	for _, h := range s.Headers {
		all[h.Name] = h.Value.Reveal()
	}
	return all
}

// patients are references to patients.
func patients(ids []string) []string {
	var references []string
	for _, id := range ids {
		references = append(references, "Patient/"+id)
	}
	return references
}
