package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// tellsNothing looks for planted values in everything that the run wrote: stdout, stderr, and
// in the sink the names of files and folders, the report, and Parquet's metadata and column
// __origin. The rows are patient data. So, by design, is the run's state, which may be kept
// elsewhere: quarantine, ledger, the manifests with the files' links, and the members of
// groups. A run that published must have written Parquet and a report.
func (o outcome) tellsNothing(t *testing.T) {
	t.Helper()
	looked := map[string]int{} // number of files checked, by kind
	tellsNothing(t, "stdout", o.stdout)
	tellsNothing(t, "stderr", o.stderr)
	err := filepath.WalkDir(o.sink, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(o.sink, path)
		if err != nil {
			return err
		}
		tellsNothing(t, "the name", name)
		if d.IsDir() || isState(name) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".parquet" {
			looked["Parquet"]++
			return parquetTellsNothing(t, name, data)
		}
		looked[filepath.Base(path)]++
		tellsNothing(t, name, string(data))
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if o.published && (looked["Parquet"] == 0 || looked["report.json"] == 0) {
		t.Errorf("no Parquet was looked at, or no report: %v", looked)
	}
}

// isState reports whether a file holds what a resume or a retry needs, such as links and lines,
// or the credentials of a later run.
func isState(name string) bool {
	parts := strings.Split(filepath.ToSlash(name), "/")
	if len(parts) == 3 && parts[0] == "_fhirkiln" && parts[1] == "tokens" {
		return true
	}
	return len(parts) > 3 && parts[0] == "_fhirkiln" && parts[1] == "runs" &&
		(parts[3] == "quarantine" || parts[3] == "ledger" || strings.HasPrefix(parts[3], "manifest") || strings.HasPrefix(parts[3], "members"))
}

func tellsNothing(t *testing.T, where, text string) {
	t.Helper()
	tells(t, where, text, plants)
}

// tellsNoSecret is for what is stored beside patient data: a file's name in its URL may be a
// patient's.
func tellsNoSecret(t *testing.T, where, text string) {
	t.Helper()
	secrets := maps.Clone(plants)
	for _, patient := range []string{"family name", "given name", "record number", "birth date"} {
		delete(secrets, patient)
	}
	tells(t, where, text, secrets)
}

func tells(t *testing.T, where, text string, plants map[string]string) {
	t.Helper()
	for name, plant := range plants {
		for _, form := range []string{plant, url.QueryEscape(plant), url.PathEscape(plant), base64.StdEncoding.EncodeToString([]byte(plant))} {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("%s tells the %s: …%s…", where, name, text[max(0, i-120):min(len(text), i+len(form)+60)])
				break
			}
		}
	}
	for file, key := range signingKeys() {
		if strings.Contains(text, strings.Split(key, "\n")[2]) {
			t.Errorf("%s tells the key %s", where, file)
		}
	}
	if _, key := clientPair(); strings.Contains(text, strings.Split(key, "\n")[1]) {
		t.Errorf("%s tells the certificate's key", where)
	}
}

func parquetTellsNothing(t *testing.T, name string, data []byte) error {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	for _, kv := range f.Metadata().KeyValueMetadata {
		tellsNothing(t, name+", metadata "+kv.Key, kv.Value)
	}
	origins := 0
	for i, path := range f.Schema().Columns() {
		if path[0] != "__origin" {
			continue
		}
		for _, group := range f.RowGroups() {
			pages := group.ColumnChunks()[i].Pages()
			for {
				page, err := pages.ReadPage()
				if err == io.EOF {
					break
				}
				if err != nil {
					return err
				}
				values := make([]parquet.Value, page.NumValues())
				if _, err := page.Values().ReadValues(values); err != nil && err != io.EOF {
					return err
				}
				for _, v := range values {
					origins++
					tellsNoSecret(t, name+", "+strings.Join(path, "."), fmt.Sprint(v))
				}
			}
			pages.Close()
		}
	}
	if origins == 0 {
		t.Errorf("%s has no __origin", name)
	}
	return nil
}

func page(status int) answer {
	return answer{status: status, kind: "text/html", body: "<html><body>" + patientWords + " " + plantedSecret + "</body></html>"}
}

// said returns an OperationOutcome that names the patient in every possible place.
func said(status int, code string) answer {
	return answer{status: status, kind: "application/fhir+json", body: outcomeLine("error", code)}
}

func outcomeLine(severity, code string) string {
	return fmt.Sprintf(`{"resourceType":"OperationOutcome","issue":[{"severity":%q,"code":%q,"diagnostics":%q},{"severity":%q,"code":%q,"details":{"text":%q}},`+
		`{"severity":%q,"code":"processing","details":{"coding":[{"code":%q,"display":%q}]}}]}`,
		severity, code, "cannot read "+patientWords, severity, code, "Patient/"+plantedMRN+" "+plantedFamily, severity, plantedMRN, patientWords)
}

// TestNothingIsTold brings runs to every kind of end, against servers that put patients and
// whatever they were sent into all their answers.
func TestNothingIsTold(t *testing.T) {
	t.Parallel()
	good := []string{"fhir", "storage"}
	for _, test := range []struct {
		name  string
		shape shape
		code  int
	}{
		{"success", shape{files: good}, exitOK},
		{"partial", shape{files: good, outcomes: []string{outcomeLine("error", "exception"), outcomeLine("fatal", "ottilia"), "{\"resourceType\":\"" + plantedFamily + "\"}"}}, exitPartial},
		{"partial by codes that are names", shape{files: good, outcomes: []string{strings.ToLower(outcomeLine(plantedFamily, plantedGiven))}}, exitPartial},
		{"quarantine", shape{files: good, lines: []string{
			patientLine("p"), patientLine("q"), `{"resourceType":"` + plantedFamily + ` ` + plantedBirth + `","id":"1"}`, `{"id":"` + plantedMRN + `"}`,
			`{"resourceType":"Patient","name":[{"family":"` + plantedFamily, plantedFamily, patientLine("r"), patientLine("s"), patientLine("t"),
		}}, exitPartial},
		{"too much in quarantine", shape{files: good, lines: []string{`{"` + plantedFamily + `":"` + plantedMRN, `{"resourceType":"` + plantedMRN + `"}`, `{"resourceType":7,"` + plantedFamily + `":1}`}}, exitData},
		{"keys twice", shape{files: good, lines: []string{`{"resourceType":"Patient","` + plantedFamily + `":1,"` + plantedFamily + `":2}`}}, exitOK},

		{"token refused", shape{answers: map[string]answer{"token": {status: 401, kind: "application/json",
			body: `{"error":"invalid_client","error_description":"` + plantedSecret + ` of ` + patientWords + ` ` + plantedUser + ` is wrong"}`}}}, exitDenied},
		{"token page", shape{answers: map[string]answer{"token": page(403)}}, exitDenied},
		{"token is none", shape{answers: map[string]answer{"token": page(200)}}, exitNotThere},
		{"token missing", shape{answers: map[string]answer{"token": {status: 200, kind: "application/json", body: `{"user":"` + patientWords + `"}`}}}, exitNotThere},

		{"kick-off denied", shape{answers: map[string]answer{"kick-off": said(403, "forbidden")}}, exitDenied},
		{"kick-off denied by a page", shape{answers: map[string]answer{"kick-off": page(403)}}, exitDenied},
		{"kick-off refused", shape{answers: map[string]answer{"kick-off": said(400, "invalid")}}, exitRefused},
		{"kick-off not there", shape{answers: map[string]answer{"kick-off": page(404)}}, exitNotThere},
		{"kick-off answered with an outcome", shape{answers: map[string]answer{"kick-off": said(200, "processing")}}, exitRefused},

		{"export failed", shape{answers: map[string]answer{"status": said(500, "exception")}}, exitRefused},
		{"export failed, code a name", shape{answers: map[string]answer{"status": said(500, strings.ToLower(plantedFamily))}}, exitRefused},
		{"export unknown", shape{answers: map[string]answer{"status": page(404)}}, exitRefused},
		{"manifest is a page", shape{answers: map[string]answer{"status": page(200)}}, exitNotThere},
		{"manifest of a patient", shape{answers: map[string]answer{"status": {status: 200, body: patientLine("p")}}}, exitBroken},
		{"manifest cut", shape{answers: map[string]answer{"status": {status: 200, body: `{"transactionTime":"` + plantedBirth + `","output":[{"type":"` + plantedFamily}}}, exitBroken},
		{"manifest with a bad count", shape{answers: map[string]answer{"status": {status: 200,
			body: `{"transactionTime":"` + plantedFamily + `","output":[{"type":"` + plantedFamily + ` ` + plantedMRN + `","url":"/a","count":"` + plantedMRN + `"}]}`}}}, exitBroken},
		{"manifest with a bad URL", shape{answers: map[string]answer{"status": {status: 200,
			body: `{"transactionTime":"` + plantedFamily + `","output":[{"type":"` + plantedFamily + ` ` + plantedMRN + `","url":"https://[` + plantedMRN + `"}]}`}}}, exitBroken},
		{"manifest with a time that is none", shape{answers: map[string]answer{"status": {status: 200,
			body: `{"transactionTime":"` + patientWords + `","requiresAccessToken":true,"output":[]}`}}}, exitOK},

		{"file denied", shape{files: good[:1], answers: map[string]answer{"file": said(403, "forbidden")}}, exitDenied},
		{"link denied", shape{files: good[1:], answers: map[string]answer{"file": said(403, "forbidden")}}, exitBroken},
		{"file a page", shape{files: good, answers: map[string]answer{"file": page(200)}}, exitBroken},
		{"file an outcome", shape{files: good, answers: map[string]answer{"file": said(200, "exception")}}, exitRefused},
		{"file gone", shape{files: good, answers: map[string]answer{"file": page(410)}}, exitBroken},
		{"file cut", shape{files: []string{"fhir"}, answers: map[string]answer{"file": {status: 200, kind: "application/fhir+ndjson", body: patientLine("p") + "\n", length: 1000}}}, exitBroken},
	} {
		for _, format := range []string{"text", "json"} {
			t.Run(test.name+"/"+format, func(t *testing.T) {
				t.Parallel()
				way := byCode() // the one with most secrets
				w := newWorld(t, test.shape, func(place string) []string {
					if place == "code" || place == "token" {
						return nil // not checked
					}
					return way.sends[place]
				})
				w.renews = true
				source := way.auth + "\nfile_hosts: ['{storage}']\n"
				flags := []string{"--log-format", format}
				if format == "json" {
					flags = append(flags, "--json")
				}
				got := w.run(t, source, flags...)
				if got.code != test.code {
					t.Errorf("exit code %d, want %d\n%s", got.code, test.code, got.stderr)
				}
				if got.stderr == "" {
					t.Error("nothing was logged")
				}
				got.tellsNothing(t)
			})
		}
	}
}
