package config

import (
	"fmt"
	"slices"

	"fhirkiln/fhir"
	"fhirkiln/spelling"
)

// checkFilters checks what a feed asks for besides level and groups.
func (d *decoder) checkFilters(path string, f *Feed) {
	for i, t := range f.Types {
		// Servers have types of later versions, and their own. Report only what looks like a typo.
		if best := spelling.Nearest(t, fhir.R4().ResourceTypes()); best != "" && best != t {
			d.problemAt(fmt.Sprintf("%s[%d]", join(path, "types"), i), "%q is not a resource type, did you mean %s?", t, best)
		}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Until.After(f.Since) {
		d.problemAt(join(path, "until"), "must be later than since")
	}
	d.checkParameters(join(path, "parameters"), f.Parameters)
}

// checkOperation checks what depends on the source's kick-offs. s is zero if there is no source.
func (d *decoder) checkOperation(path string, f *Feed, s Source) {
	if s.Name == "" {
		return
	}
	if len(f.Patients) > 0 {
		switch patients := join(path, "patients"); {
		case s.Method == "GET":
			d.problemAt(patients, "can only be sent by POST; set method: POST in the source %s, or remove patients", s.Name)
		case f.Level == LevelSystem:
			d.problemAt(patients, "is not used with level system; use level patient or group")
		}
	}
	exportType := join(path, "export_type")
	switch s.Operation {
	case OperationExport:
		if f.ExportType != "" {
			d.problemAt(exportType, "is not used with $export; set operation: $davinci-data-export in the source %s, or remove export_type", s.Name)
		}
	case OperationDaVinci:
		if f.Level == LevelSystem || f.Level == LevelPatient {
			d.problemAt(join(path, "level"), "the source's operation, $davinci-data-export, is only for groups; use level group")
		}
		if f.ExportType == "" && f.Purpose == PurposeBackfill && !d.failed[exportType] && !d.failed[join(path, "purpose")] {
			d.problemAt(exportType, "missing; $davinci-data-export requires it, or a purpose other than backfill, which implies one")
		}
	}
}

// checkHistory checks settings about earlier runs and errors.
func (d *decoder) checkHistory(path string, f *Feed) {
	if d.given(join(path, "new_members")) && slices.Contains([]Level{LevelSystem, LevelPatient}, f.Level) {
		d.problemAt(join(path, "new_members"), "is not used with level %s; use level group, or remove new_members", f.Level)
	}
	maxErrors := join(path, "max_errors")
	switch {
	case d.failed[maxErrors] || d.failed[join(path, "errors")]:
	case f.Errors == ErrorsBudget && f.MaxErrors == 0:
		d.problemAt(maxErrors, "missing; errors: budget requires it")
	case f.Errors == ErrorsStrict && f.MaxErrors > 0:
		d.problemAt(maxErrors, "is not used with errors: strict; set errors: budget")
	}
	if f.FullEvery > 0 || d.failed[join(path, "full_every")] {
		return
	}
	if f.Retire == RetireFull {
		d.warnAt(join(path, "retire"), "without full_every, only full exports that you ask for retire anything")
	}
	for _, key := range []string{"keep_runs", "keep_days"} {
		if d.given(join(path, key)) {
			d.warnAt(join(path, key), "without full_every, nothing is removed until you ask for a full export: runs since the last one stay")
			break
		}
	}
}
