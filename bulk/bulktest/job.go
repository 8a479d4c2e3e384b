package bulktest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	statusPath = "/fhir/$export/job/"
	filePath   = "/fhir/$export/file/"
)

// patience is how long a status request waits for the counting to end if nothing else keeps the
// job in progress.
const patience = time.Second

// jobs holds the jobs that were not deleted.
type jobs struct {
	mu   sync.Mutex
	byID map[string]*job
}

func (js *jobs) add(j *job) {
	js.mu.Lock()
	defer js.mu.Unlock()
	if js.byID == nil {
		js.byID = make(map[string]*job)
	}
	js.byID[j.id] = j
}

// find returns the job with that id, or a refusal.
func (js *jobs) find(id string) (*job, error) {
	js.mu.Lock()
	defer js.mu.Unlock()
	if j := js.byID[id]; j != nil {
		return j, nil
	}
	return nil, noJob()
}

// remove removes j. Of concurrent calls, one succeeds.
func (js *jobs) remove(j *job) error {
	js.mu.Lock()
	defer js.mu.Unlock()
	if js.byID[j.id] == nil {
		return noJob()
	}
	delete(js.byID, j.id)
	return nil
}

// job is one export, from its kick-off to its end.
type job struct {
	id          string // in the URLs of the status and the files
	request     string
	transaction time.Time
	started     time.Time

	outputs, deleted, errors []*output // reduced by prepare; fixed once done is closed
	total                    int       // planned outputs of all sections

	cancel  context.CancelFunc // ends the counting
	counted atomic.Int64
	polls   atomic.Int64

	done  chan struct{} // closed at the end of prepare
	ready time.Time     // when prepare ended
	err   error         // prepare's error
}

// output plans another file. A nil filter keeps all of it.
func (j *job) output(f File, keep *filter) *output {
	j.total++
	return &output{File: f, keep: keep, name: fmt.Sprintf("%s.%d.ndjson", f.Type, j.total)}
}

// prepare counts the lines of each output, and drops empty ones.
func (j *job) prepare(ctx context.Context, now func() time.Time) {
	defer close(j.done)
	for _, section := range []*[]*output{&j.outputs, &j.deleted, &j.errors} {
		var kept []*output
		for _, o := range *section {
			if j.err = o.count(ctx); j.err != nil {
				return
			}
			j.counted.Add(1)
			if o.lines > 0 {
				kept = append(kept, o)
			}
		}
		*section = kept
	}
	j.ready = now()
}

// file returns the output with that name, or nil if there is none or the job is not done.
func (j *job) file(name string) *output {
	select {
	case <-j.done:
	default:
		return nil
	}
	if j.err != nil {
		return nil
	}
	for _, section := range [][]*output{j.outputs, j.deleted, j.errors} {
		for _, o := range section {
			if o.name == name {
				return o
			}
		}
	}
	return nil
}

// expired refuses requests for expired exports.
func (s *Server) expired(j *job) error {
	if s.o.Now().After(j.ready.Add(s.o.FilesTTL)) {
		return refuse(http.StatusGone, "expired", "the export has expired")
	}
	return nil
}

// status answers a poll with 202, the manifest, or the reason why there will be none.
func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	if err := s.authorize(r); err != nil {
		return err
	}
	j, err := s.jobs.find(r.PathValue("job"))
	if err != nil {
		return err
	}
	held := j.polls.Add(1) <= int64(s.o.Polls) || s.o.Now().Before(j.started.Add(s.o.Duration))
	if held || !j.wait(r.Context(), patience) {
		if s.o.RetryAfter >= 0 {
			seconds := (s.o.RetryAfter + time.Second - 1) / time.Second
			w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
		}
		w.Header().Set("X-Progress", fmt.Sprintf("counting %d of %d files", min(int(j.counted.Load())+1, j.total), j.total))
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	if j.err != nil {
		return fmt.Errorf("preparing the export: %w", j.err)
	}
	if err := s.expired(j); err != nil {
		return err
	}
	w.Header().Set("Expires", j.ready.Add(s.o.FilesTTL).UTC().Format(http.TimeFormat))
	writeJSON(w, http.StatusOK, "application/json", s.manifest(j, s.fileBase(r)))
	return nil
}

// wait waits for the counting to end, and reports whether it has.
func (j *job) wait(ctx context.Context, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-j.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// deleteJob removes a job and its files. A download in progress continues to its end, as the IG
// recommends.
func (s *Server) deleteJob(w http.ResponseWriter, r *http.Request) error {
	if err := s.authorize(r); err != nil {
		return err
	}
	j, err := s.jobs.find(r.PathValue("job"))
	if err != nil {
		return err
	}
	if err := s.jobs.remove(j); err != nil {
		return err
	}
	j.cancel()
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func noJob() error {
	return refuse(http.StatusNotFound, "not-found", "there is no such export, or it was deleted")
}

// manifest is the IG's export manifest.
type manifest struct {
	TransactionTime     string         `json:"transactionTime"`
	Request             string         `json:"request"`
	RequiresAccessToken bool           `json:"requiresAccessToken"`
	Output              []manifestFile `json:"output"`
	Deleted             []manifestFile `json:"deleted"`
	Error               []manifestFile `json:"error"`
}

type manifestFile struct {
	Type  string `json:"type"`
	URL   string `json:"url"`
	Count int    `json:"count"`
}

func (s *Server) manifest(j *job, base string) manifest {
	list := func(outputs []*output) []manifestFile {
		files := make([]manifestFile, 0, len(outputs)) // [], not null
		for _, o := range outputs {
			files = append(files, manifestFile{o.Type, base + filePath + j.id + "/" + url.PathEscape(o.name), o.lines})
		}
		return files
	}
	return manifest{
		TransactionTime:     j.transaction.Format("2006-01-02T15:04:05.000Z07:00"),
		Request:             j.request,
		RequiresAccessToken: !s.o.NoAuth && !s.o.OpenFiles,
		Output:              list(j.outputs),
		Deleted:             list(j.deleted),
		Error:               list(j.errors),
	}
}
