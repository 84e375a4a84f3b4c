package inventory

import (
	"time"

	"github.com/google/uuid"
)

// EventKind is what became of a finding. The numbers are part of the stored format.
type EventKind int16

// Kinds of events.
const (
	EventCreated    EventKind = 1
	EventUpdated    EventKind = 2 // its severity, vector or software
	EventFixed      EventKind = 3
	EventReopened   EventKind = 4 // it had been fixed
	EventOutOfScope EventKind = 5
	EventReturned   EventKind = 6 // it had been out of scope
)

// Event is one change of a finding.
type Event struct {
	At          time.Time
	Run         uuid.UUID // uuid.Nil once the run's record is gone, or when the finding came before events were kept
	Kind        EventKind
	Reason      string   // why it went out of scope
	Severity    Severity // from then on
	OldSeverity Severity // until then; meaningful when Severe
	Severe      bool     // OldSeverity is known
	Added       []string // software, as vendor/product/version
	Gone        []string
}
