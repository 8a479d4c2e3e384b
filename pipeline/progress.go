package pipeline

import (
	"sync"
	"sync/atomic"
	"time"
)

// Phase is what a run is doing.
type Phase string

// The phases of a run, in order. A run with several exports goes from Starting to Converting for
// each of them. A run that fails goes from any phase to Ending.
const (
	Queued     Phase = "queued" // until it is this run's turn
	Starting   Phase = "starting"
	Waiting    Phase = "waiting"
	Converting Phase = "converting"
	Publishing Phase = "publishing"
	Ending     Phase = "ending" // cleaning up, without a result
	Done       Phase = "done"
)

// Progress is the state of a run, for others to watch. The zero value is ready to use. [Run]
// writes it; Snapshot may be called from any goroutine.
type Progress struct {
	bytes, resources atomic.Int64

	mu  sync.Mutex
	now Snapshot
}

// Snapshot is a Progress at one moment.
type Snapshot struct {
	Phase     Phase
	Since     time.Time // when the phase began
	Said      string    // the server's X-Progress
	Files     int       // in the manifests read so far
	FilesDone int
	Bytes     int64 // NDJSON read
	Resources int64 // lines processed
	Expected  int64 // resources according to the manifests' counts, -1 if a file has no count

	BytesBefore, ResourcesBefore int64 // Bytes and Resources when the phase began
}

// Snapshot returns the state now.
func (p *Progress) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.now
	s.Bytes, s.Resources = p.bytes.Load(), p.resources.Load()
	return s
}

func (p *Progress) enter(phase Phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Phase, p.now.Since, p.now.Said = phase, time.Now(), ""
	p.now.BytesBefore, p.now.ResourcesBefore = p.bytes.Load(), p.resources.Load()
}

func (p *Progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Said = text
}

func (p *Progress) expect(files []queuedFile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Files += len(files)
	for _, f := range files {
		if f.Count < 0 || p.now.Expected < 0 {
			p.now.Expected = -1
			continue
		}
		p.now.Expected += f.Count
	}
}

func (p *Progress) fileDone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.FilesDone++
}
