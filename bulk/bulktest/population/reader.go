package population

import (
	"errors"
	"io"
	"os"
)

// A reader generates the resources of one type on demand, patient after patient, into a buffer.
// It holds no more than a few patients at a time.
type reader struct {
	scribe   scribe
	kind     kind
	next, to int
	unread   []byte
	closed   bool
}

// A scribe has what is needed to write a resource: whose it is, and where to write it.
type scribe struct {
	w       *World
	life    life
	invoice invoice
	doc     doc
	note    []byte
}

// writers write the resources of one patient, or the unit-th one of a shared type.
var writers = [kinds]func(s *scribe, unit int){
	patient:           (*scribe).writePatient,
	coverage:          (*scribe).writeCoverages,
	claim:             (*scribe).writeClaims,
	benefit:           (*scribe).writeBenefits,
	encounter:         (*scribe).writeEncounters,
	condition:         (*scribe).writeConditions,
	observation:       (*scribe).writeObservations,
	diagnosticReport:  (*scribe).writeReports,
	medicationRequest: (*scribe).writeOrders,
	procedure:         (*scribe).writeProcedures,
	immunization:      (*scribe).writeShots,
	allergy:           (*scribe).writeAllergies,
	document:          (*scribe).writeDocuments,
	provenance:        (*scribe).writeProvenances,
	practitioner:      (*scribe).writePractitioner,
	practitionerRole:  (*scribe).writeRole,
	organization:      (*scribe).writeOrganization,
	location:          (*scribe).writeLocation,
	group:             (*scribe).writeGroup,
}

func newReader(w *World, k kind, from, to int) *reader {
	r := &reader{kind: k, next: from, to: to}
	r.scribe.w = w
	r.scribe.doc.seed = w.seed
	return r
}

// enough is how much is written before it is handed on. It is small enough to stay in the
// processor's cache, but covers many patients if each has little.
const enough = 32 << 10

func (r *reader) refill() error {
	if r.closed {
		return os.ErrClosed
	}
	s := &r.scribe
	s.doc.b = s.doc.b[:0]
	for len(s.doc.b) < enough && r.next < r.to {
		if r.kind.ofPatients() {
			s.life.live(s.w, r.next)
			s.doc.ascii = s.life.ascii
		}
		writers[r.kind](s, r.next)
		r.next++
	}
	r.unread = s.doc.b
	if len(r.unread) == 0 {
		return io.EOF
	}
	return nil
}

func (r *reader) Read(p []byte) (int, error) {
	if len(r.unread) == 0 {
		if err := r.refill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

// WriteTo implements [io.WriterTo], so that io.Copy needs no buffer.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for {
		if len(r.unread) == 0 {
			if err := r.refill(); errors.Is(err, io.EOF) {
				return written, nil
			} else if err != nil {
				return written, err
			}
		}
		n, err := w.Write(r.unread)
		written += int64(n)
		r.unread = r.unread[n:]
		if err != nil {
			return written, err
		}
	}
}

func (r *reader) Close() error {
	r.closed, r.unread = true, nil
	return nil
}
