package syncer

import (
	"context"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

// Consequence is what the end of a run means for its integration.
type Consequence struct {
	State      connector.State     // empty leaves it as it is
	Reason     string              // a fault code
	Succeeded  bool                // everything was read: moves last_success_at and clears the failure count
	Failed     bool                // counts as one more failure in a row
	Unfinished bool                // something could not be read: counts as one more, too, but the link is good
	Reading    *Reading            // what to remember of how the report was read; nil leaves it
	Reconciled *Reconciliation     // with the source's own totals; nil leaves the last one
	Skipped    []SkippedChunk      // what the run left out, kept with the last KeepSkipped runs of the integration
	NotBefore  time.Time           // puts off a next scheduled run that is planned for sooner; zero leaves the schedule
	WaitUntil  time.Time           // until when Microsoft asks to wait: no planned run comes before, whoever asks for one; zero leaves what it asked before
	RetryAt    time.Time           // brings the next scheduled run forward; zero leaves the schedule
	JudgedBy   *inventory.Settings // of a run: if others are stored by now, the next one comes at once; nil for a preview
	Held       []connector.Held    // with JudgedBy: what was held back when the run began; if more of it has been approved of by now, the next one comes at once
	Entitled   *tenant.Entitlement // with JudgedBy: if more may be imported by now, likewise
	ClientOf   string              // which application Microsoft asked to wait; if it was replaced since, nobody waits
	SecretOf   time.Time           // when the secret that was used had been stored; if it was replaced since, a failure says nothing about the link
}

// KeepSkipped is of how many runs of an integration the list of what they left out is kept.
const KeepSkipped = 10

// Store is what a run needs of the database. Every writing method fails with [job.ErrLeaseLost], and writes nothing, when
// the job's claim is no longer the caller's.
type Store interface {
	BeginRun(ctx context.Context, j job.Job) (Run, error)
	SaveProgress(ctx context.Context, j job.Job, stage Stage, report Report) error
	// RequeueRun puts a run back into the queue; an untouched one has stored nothing and counts as never started.
	RequeueRun(ctx context.Context, j job.Job, untouched bool) error
	// TakeLargePlace notes that a job turned out to read so many rows, which make it large, and tells whether its process may go
	// on with it.
	TakeLargePlace(ctx context.Context, j job.Job, rows int64) (taken bool, err error)
	FinishRun(ctx context.Context, j job.Job, run Run, c Consequence) error
	// Estimates gives what the last complete run of an integration fetched in each stage; empty without one.
	Estimates(ctx context.Context, t tenant.ID, integration int64) (map[Stage]int64, error)
	// Reading gives what the last runs of an integration remembered of how they read the report.
	Reading(ctx context.Context, t tenant.ID, integration int64) (Reading, error)
	// LastReconciled is when what is stored of an integration was last held against the source's own counts; zero for never.
	LastReconciled(ctx context.Context, t tenant.ID, integration int64) (time.Time, error)
	FailuresInARow(ctx context.Context, j job.Job, integration int64) (int, error)

	IntegrationByID(ctx context.Context, t tenant.ID, id int64) (connector.Integration, error)
	Entitlement(ctx context.Context, t tenant.ID) (tenant.Entitlement, error)

	// BeginCatalogue asks whether the shared catalogue has to be read, and reserves the reading for the caller.
	BeginCatalogue(ctx context.Context, j job.Job, source connector.Kind, policy CataloguePolicy) (CatalogueTurn, error)
	// PutVulnerabilities stores entries; unchanged ones cause no write. That the rules may see one otherwise from now on is kept; see
	// RuledAnew.
	PutVulnerabilities(ctx context.Context, now time.Time, entries []inventory.Vulnerability) (created, updated int64, err error)
	// EndCatalogue gives the reservation back; complete says that everything since Turn.Since was read.
	EndCatalogue(ctx context.Context, j job.Job, source connector.Kind, turn CatalogueTurn, complete bool) error

	// SoftwareIDs numbers software, adding what is new. The result is in the order of the argument.
	SoftwareIDs(ctx context.Context, software []Software) ([]int32, error)
	// KnownVulnerabilities numbers vulnerabilities by name, adding unknown ones as partial, in the order of the argument.
	KnownVulnerabilities(ctx context.Context, names []string) ([]inventory.Vulnerability, error)
	// RulesAt is the newest of the moments that RuledAnew goes by; zero without any.
	RulesAt(ctx context.Context) (time.Time, error)
	// RuledAnew counts the vulnerabilities that the rules may see otherwise since a moment, of those that the tenant has findings of,
	// open or out of scope, and the others that are given by number.
	RuledAnew(ctx context.Context, t tenant.ID, since time.Time, others []int32) (int64, error)
	// KeptVulnerabilities gives those that the tenant has findings of, open or out of scope.
	KeptVulnerabilities(ctx context.Context, t tenant.ID) ([]KeptVulnerability, error)

	// NewStage opens a private working area of one database session, and ends that of who held the claim before; without the
	// claim it fails with job.ErrLeaseLost. It vanishes with Close, and with the process; so does, of a preview, everything that
	// was applied.
	NewStage(ctx context.Context, j job.Job, i connector.Integration, preview bool) (DataStage, error)

	// Purge deletes a batch of an integration's data and reports whether any is left; after the last one the integration
	// is disconnected.
	Purge(ctx context.Context, j job.Job, integration int64) (deleted int64, more bool, err error)
}

// CataloguePolicy says how fresh the shared catalogue has to be.
type CataloguePolicy struct {
	MaxAge     time.Duration // read what changed when the last read is older
	FullEvery  time.Duration // read everything when the last full read is older
	Overlap    time.Duration // re-read this much before the last read, against late entries
	LeaseFor   time.Duration // how long a reservation lives without an end
	WaitForAny bool          // without any complete read yet, wait for whoever is reading
	GapsAtOnce bool          // read again what the last read could not, however young that is
}

// CatalogueTurn is the answer to BeginCatalogue.
type CatalogueTurn struct {
	Read      bool      // the caller has to read, and holds the reservation
	Wait      bool      // somebody else is making the first read
	Since     time.Time // zero for everything
	StartedAt time.Time
	ReadAt    time.Time // as of when what is there already is; zero while there is none
	Unread    int64     // of what was read: entries that could not be read
}

// Software names a product version.
type Software struct{ Vendor, Product, Version string }
