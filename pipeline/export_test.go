package pipeline

import (
	"testing"

	"fhirkiln/bulk"
)

// A run publishes only if everything is staged, whatever has kept the rest from it. A fault in
// this program may have, and rows would be lost silently.
func TestNothingIsPublishedUnstaged(t *testing.T) {
	t.Parallel()
	file := func(converted bool) *exportFile {
		f := &exportFile{listedFile: listedFile{File: bulk.File{Type: "Patient", URL: "https://h.example/1"}}}
		if converted {
			f.end = &fileEnd{}
		}
		return f
	}
	whole := &export{complete: &complete{}, files: []*exportFile{file(true), file(true)}}
	for name, test := range map[string]struct {
		export export
		fails  bool
	}{
		"all is converted":       {*whole, false},
		"there are no files":     {export{complete: &complete{}}, false},
		"a file is not":          {export{complete: &complete{}, files: []*exportFile{file(true), file(false)}}, true},
		"no file is":             {export{complete: &complete{}, files: []*exportFile{file(false)}}, true},
		"it is not all listed":   {export{files: []*exportFile{file(true)}}, true},
		"it never began":         {export{}, true},
		"its errors are unread":  {export{complete: &complete{Errors: []bulk.File{{}}}}, true},
		"its errors are read":    {export{complete: &complete{Errors: []bulk.File{{}}}, issuesDone: true}, false},
		"the server refused it":  {export{refused: true}, false},
		"it is a list of people": {export{planned: planned{Role: roleMembers}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &journal{exports: []*export{whole, &test.export}}
			if err := j.checkStaged(); (err != nil) != test.fails {
				t.Errorf("got %v", err)
			}
		})
	}
}
