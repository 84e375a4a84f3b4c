// Package syncer turns one due integration into one finished, truthful run.
package syncer

import (
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// RunState is where a run stands.
type RunState string

// Run states. The last four are final.
const (
	Queued             RunState = "queued"
	Running            RunState = "running"
	Cancelling         RunState = "cancelling"
	Succeeded          RunState = "succeeded"
	PartiallySucceeded RunState = "partially_succeeded" // some stage read everything, another could not
	Failed             RunState = "failed"
	Cancelled          RunState = "cancelled"
)

// Final reports whether nothing more will happen.
func (s RunState) Final() bool {
	return s == Succeeded || s == PartiallySucceeded || s == Failed || s == Cancelled
}

// PGPStatus is the state in PGP's job codes: queued, running, passed, failed.
func (s RunState) PGPStatus() string {
	switch s {
	case Queued:
		return "JQ"
	case Running, Cancelling:
		return "JR"
	case Succeeded, PartiallySucceeded:
		return "JP"
	}
	return "JF"
}

// Trigger says who started a run.
type Trigger string

// Triggers.
const (
	BySchedule Trigger = "schedule"
	ByHand     Trigger = "manual"
	ByConnect  Trigger = "connect"
)

// Mode says how much a run compares: incremental trusts the content hash of an asset's findings, full compares every row.
type Mode string

// Modes.
const (
	Incremental Mode = "incremental"
	Full        Mode = "full"
)

// Kind is what a run does.
type Kind string

// Run kinds.
const (
	KindSync  Kind = "sync"
	KindPurge Kind = "purge"
)

// Stage is a step of a run.
type Stage string

// Stages, in order.
const (
	StageQueued          Stage = "queued"
	StageAuthenticate    Stage = "authenticate"
	StageAssets          Stage = "assets"
	StageCatalogue       Stage = "catalogue"
	StageVulnerabilities Stage = "vulnerabilities"
	StageFinish          Stage = "finish"
)

// Run is one execution for one integration.
type Run struct {
	ID                int64
	PublicID          uuid.UUID
	Tenant            tenant.ID
	IntegrationID     int64
	IntegrationPublic uuid.UUID
	Kind              Kind
	Trigger           Trigger
	Mode              Mode
	State             RunState
	Stage             Stage
	Report            Report
	Preview           *Preview // nil for a run that applies what it reads
	CreatedAt         time.Time
	UpdatedAt         time.Time
	StartedAt         time.Time
	FinishedAt        time.Time
}

// Preview makes a run tell what it would do: it reads, judges and compares like any other, and takes everything back at its end.
// The shared catalogue and the numbers of software may grow by it.
type Preview struct {
	Settings inventory.Settings // to try out
}

// RunFilter selects runs; the zero value selects all of the tenant.
type RunFilter struct {
	Integrations  []uuid.UUID
	States        []RunState
	Triggers      []Trigger // of imports
	Purges        bool      // also purges; without Triggers only these
	CreatedFrom   time.Time // inclusive
	CreatedBefore time.Time // exclusive
}

// Report is everything a run tells about itself. It grows while the run goes on.
type Report struct {
	Judged    *Judged `json:",omitempty"` // nil until the run has begun, and in runs stored before it was kept
	Stages    []StageReport
	Warnings  []Notice
	Error     *Notice
	NoChanges bool   // complete, and nothing differed from the last run
	Restarted bool   // an earlier attempt was interrupted; what it stored counts as unchanged here
	Applied   Stage  `json:",omitempty"` // the last stage whose changes were committed, by this attempt or one before; empty while nothing was
	Summary   string // one sentence for people, set at the end
}

// Judged is what a run took and left out by. It stays with the run, whatever is set later.
type Judged struct {
	Settings inventory.Settings
	Entitled bool // the subscription let anything be imported
}

// SettingsUsed are those the run takes and leaves out by; nil while that is open, and of a purge, which takes nothing.
func (r *Run) SettingsUsed() *inventory.Settings {
	switch {
	case r.Report.Judged != nil:
		return &r.Report.Judged.Settings
	case r.Preview != nil:
		return &r.Preview.Settings
	}
	return nil
}

// Counts are the figures of a stage. In the stage assets the unit of all of them is the machine record; in the stage
// vulnerabilities Fetched, Accepted and Skipped count software rows while the others count findings (asset ×
// vulnerability), those included that left with their assets; in the stage catalogue all count catalogue entries. A stage
// finish counts findings that left with their assets in a run that did not get to vulnerabilities, or what a purge deleted.
type Counts struct {
	Fetched    int64
	Accepted   int64
	Skipped    int64
	Created    int64
	Updated    int64
	Unchanged  int64
	Fixed      int64
	Reopened   int64
	OutOfScope int64 // known before, no longer taken
	Removed    int64 // known before, missing from a complete read
}

// StageReport is what one stage did and spent.
type StageReport struct {
	Name          Stage
	State         RunState // running, succeeded, failed or cancelled
	StartedAt     time.Time
	Duration      time.Duration
	Counts        Counts
	TotalEstimate int64  // of Fetched, from the last complete run; 0 when unknown
	Held          int64  // assets or findings that would have left, held back by the removal guard
	Missing       int64  // of the stage assets: assets that were not read and wait to be missing once more before they count as removed
	Partial       bool   // of the stage assets: only machines that reported lately were asked for
	Moved         int64  // of the stage vulnerabilities: assets with software that lies elsewhere than it did
	Readvised     int64  // of the stage vulnerabilities: recommendations against a vulnerability of a software that changed
	Plan          Plan   // of the stage vulnerabilities: how it read the report
	Ledger        Ledger // what the figures of the stages vulnerabilities and assets were held against
	SkippedBy     map[inventory.Reason]int64
	Samples       map[inventory.Reason][]Sample // at most SamplesPerReason each
	Calls         int64
	Pages         int64
	Resumed       int64  // pages that an interrupted attempt had kept
	ResumedFrom   string `json:",omitempty"` // public id of the earlier run that had kept them; empty when it was this one
	Retries       int64
	Throttled     time.Duration
	WaitsUntil    time.Time `json:",omitzero"` // when the wait ends that was under way when the report was stored
	CatalogueAt   time.Time `json:",omitzero"` // of the stage catalogue: as of when the one is that the run went by
	Bytes         int64

	spentBefore connector.Usage // what the source had spent when the stage began

	publish func() // makes the figures so far visible to the progress writer
}

// SamplesPerReason bounds the examples kept for each skip reason.
const SamplesPerReason = 5

// Sample is one skipped record.
type Sample struct {
	SourceID string
	Name     string
	Detail   string
}

// HeldChange is what the removal guard keeps from happening until a second complete run agrees or somebody approves of it.
type HeldChange struct {
	Kind        HeldKind
	HeldReading              // that met it
	Latest      *HeldReading // that held it back still; nil until a later run has looked
	ApprovedAt  time.Time    // zero while nobody has
}

// HeldReading is what a whole reading by a run showed of a drop.
type HeldReading struct {
	Run     uuid.UUID
	At      time.Time
	Before  int64 // records in scope until then
	After   int64 // that would be left
	Leaving int64
	Samples []Sample
}

// Approval names a held change that was looked at.
type Approval struct {
	Kind   HeldKind
	Run    uuid.UUID // that met it
	Latest uuid.UUID // whose figures were looked at; zero for whoever looked last
}

// HeldKind is what a held change is about.
type HeldKind string

// Kinds of held changes.
const (
	HeldAssets   HeldKind = "assets"
	HeldFindings HeldKind = "findings"
)

// SignedIn tells whether Microsoft took the credentials that the run was left with.
func (r *Report) SignedIn() bool {
	s := r.StageNamed(StageAuthenticate)
	return s != nil && s.State == Succeeded
}

// StageNamed finds a stage's report, or nil if the run never entered it.
func (r *Report) StageNamed(name Stage) *StageReport {
	for i := range r.Stages {
		if r.Stages[i].Name == name {
			return &r.Stages[i]
		}
	}
	return nil
}

// missing tells whether stored assets were not read, and wait to be missing once more.
func (r *Report) missing() bool {
	s := r.StageNamed(StageAssets)
	return s != nil && s.Missing > 0
}

// surrounded tells whether anything changed that is no finding: where software lies, or what is recommended against it.
func (r *Report) surrounded() bool {
	s := r.StageNamed(StageVulnerabilities)
	return s != nil && s.Moved+s.Readvised > 0
}

// Totals sums all stages but the catalogue, which is shared by all tenants and does not count.
func (r *Report) Totals() Counts {
	var sum Counts
	for _, s := range r.Stages {
		if s.Name != StageCatalogue {
			sum = sum.plus(s.Counts)
		}
	}
	return sum
}

func (c Counts) plus(o Counts) Counts {
	return Counts{
		c.Fetched + o.Fetched, c.Accepted + o.Accepted, c.Skipped + o.Skipped, c.Created + o.Created, c.Updated + o.Updated,
		c.Unchanged + o.Unchanged, c.Fixed + o.Fixed, c.Reopened + o.Reopened, c.OutOfScope + o.OutOfScope, c.Removed + o.Removed,
	}
}

// Changes is how many stored records a stage altered.
func (c Counts) Changes() int64 {
	return c.Created + c.Updated + c.Fixed + c.Reopened + c.OutOfScope + c.Removed
}
