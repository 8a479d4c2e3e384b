package pipeline

import (
	"errors"
	"fmt"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/lake"
)

// export is one export of a run. Its fields are written under the journal's lock.
type export struct {
	planned
	index      int
	job        *bulk.Job // nil until the server has accepted it
	accepted   time.Time // when it did; zero if an older version of fhirkiln kicked it off
	refused    bool
	complete   *complete // nil until all files are listed
	files      []*exportFile
	issues     lake.Issues
	issuesDone bool           // its error files were read
	members    *exportMembers // nil until they are read
	keys       []string       // of its parts and quarantine files
	deleted    bool           // the server was told to delete it

	// Not in the ledger:
	manifest    *bulk.Manifest // as last read
	queuedCount int            // how many of its first files were queued, or are converted
	whole       bool           // the server does not take _elements
	untyped     bool           // nor _type
}

// exportFile is an output file and how far its conversion has come.
type exportFile struct {
	listedFile
	end   *fileEnd // nil until it is converted to its end
	place place    // how much is in parts before that
	met   bool     // found in the manifest that is being read
}

// list adds files.
func (x *export) list(files []listedFile) {
	for _, f := range files {
		x.files = append(x.files, &exportFile{listedFile: f})
	}
}

// meet takes over the links of m, and returns m's files that are not listed yet, in m's order.
// It recognizes a listed file by its URL, or else by its identity and its order among the files
// of that identity. same is false if the listing is of no use: a listed file now has another
// count or hash, and so is another file; or a listed file is gone and m has a new one of its
// identity, while others of that identity have kept their URLs.
func (x *export) meet(m *bulk.Manifest) (fresh []listedFile, same bool) {
	x.manifest, same = m, true
	all := make([]listedFile, 0, len(m.Output)+len(m.Deleted))
	for _, f := range m.Output {
		all = append(all, listedFile{f, false})
	}
	for _, f := range m.Deleted {
		all = append(all, listedFile{f, true})
	}
	met := make([]bool, len(all))
	type name struct{ typ, url string }
	kept := map[name]bool{} // identities of files that were met by URL
	for pass, nameOf := range []func(listedFile) name{
		func(f listedFile) name { return name{f.Type, f.URL} },
		func(f listedFile) name { return name{"", f.Identity()} },
	} {
		listed := map[name][]*exportFile{} // those not met yet
		for _, f := range x.files {
			if !f.met {
				id := nameOf(f.listedFile)
				listed[id] = append(listed[id], f)
			}
		}
		for i, f := range all {
			id := nameOf(f)
			if met[i] || len(listed[id]) == 0 {
				continue
			}
			if pass == 0 {
				kept[name{"", f.Identity()}] = true
			} else if kept[id] {
				same = false
				continue
			}
			was := listed[id][0]
			listed[id] = listed[id][1:]
			same = same && (was.Count == f.Count || was.Count < 0 || f.Count < 0) && (was.SHA256 == f.SHA256 || was.SHA256 == "" || f.SHA256 == "")
			was.File, was.met, met[i] = f.File, true, true
		}
	}
	for _, f := range x.files {
		f.met = false
	}
	for i, f := range all {
		if !met[i] {
			fresh = append(fresh, f)
		}
	}
	return fresh, same
}

// fromLedger returns the manifest as the ledger has it.
func (x *export) fromLedger() *bulk.Manifest {
	m := &bulk.Manifest{TransactionTime: x.complete.TransactionTime, TransactionTimeText: x.complete.TransactionTimeText,
		RequiresAccessToken: x.complete.RequiresAccessToken, Expires: x.complete.Expires, Errors: x.complete.Errors,
		StatusURL: x.job.StatusURL, SeparateStatus: x.job.SeparateStatus}
	for _, f := range x.files {
		if f.Deleted {
			m.Deleted = append(m.Deleted, f.File)
		} else {
			m.Output = append(m.Output, f.File)
		}
	}
	return m
}

// use takes links from m, which has the same files in the same order as fromLedger.
func (x *export) use(m *bulk.Manifest) {
	x.manifest = m
	output, deleted := m.Output, m.Deleted
	for _, f := range x.files {
		if f.Deleted {
			f.File, deleted = deleted[0], deleted[1:]
		} else {
			f.File, output = output[0], output[1:]
		}
	}
}

// pending returns the files from index on that are not converted to their end.
func (x *export) pending(index int) []queuedFile {
	var files []queuedFile
	for i, f := range x.files {
		if i >= index && f.end == nil {
			files = append(files, x.queued(i))
		}
	}
	return files
}

// done reports whether all of the export is in parts and its error files are read.
func (x *export) done() bool {
	return x.complete != nil && x.issuesRead() && len(x.pending(0)) == 0
}

// issuesRead reports whether a complete export has no error files left to read.
func (x *export) issuesRead() bool { return x.issuesDone || len(x.complete.Errors) == 0 }

// unconverted returns an error if files of the export are in no part though nothing has failed.
// That is a bug in this program, and this is the last chance to notice it: the report names only
// what was converted.
func (x *export) unconverted() error {
	if x.complete == nil {
		return errors.New("an export counts as fetched, but not all of its files are listed")
	}
	if files := x.pending(0); len(files) > 0 {
		return fmt.Errorf("%d of %d output files of an export were not converted, although nothing failed; the first is of %s",
			len(files), len(x.files), files[0].Type)
	}
	return nil
}

func (x *export) queued(i int) queuedFile {
	f := x.files[i]
	return queuedFile{File: f.File, kind: fileKind{f.Type, f.Deleted}, manifest: x.manifest, index: i, place: f.place}
}
