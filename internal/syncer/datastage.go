package syncer

import (
	"context"
	"time"

	"pgp.internal/defender/internal/inventory"
)

// DataStage takes in what a run reads and turns it, all at once, into the tenant's inventory.
type DataStage interface {
	// AddMachines takes judged machine records; of several with one index the last one counts.
	AddMachines(ctx context.Context, machines []StagedMachine) error
	// ApplyMachines compares what was added with what is stored and applies the difference in one transaction.
	ApplyMachines(ctx context.Context, o ApplyMachines) (MachineChanges, error)

	// AddFindings takes the findings of changed assets, asset by asset, in the order of assets and vulnerabilities.
	// A finding whose rows tell no time counts as first seen now.
	AddFindings(ctx context.Context, now time.Time, findings []StagedFinding) error
	// AddChanges takes what became of findings since the last reading, each finding once.
	AddChanges(ctx context.Context, now time.Time, changes []StagedChange) error
	// AddChangedAssets names the assets whose findings were taken, also those without any; only they are compared.
	AddChangedAssets(ctx context.Context, assets []StagedAsset) error
	// AddInstallations takes where software sits on changed assets, and AddLocations the places, some perhaps repeatedly.
	AddInstallations(ctx context.Context, installations []StagedInstallation) error
	AddLocations(ctx context.Context, locations []StagedLocation) error
	AddRemediations(ctx context.Context, remediations []StagedRemediation) error
	// ApplyFindings applies the difference for the changed assets in one transaction.
	ApplyFindings(ctx context.Context, o ApplyFindings) (FindingChanges, error)
	// Holdings adds up what is stored of the integration once both were applied, and what of it they kept.
	Holdings(ctx context.Context) (Holdings, error)

	Close() error
}

// StagedMachine is a machine record with the verdict of the rules.
type StagedMachine struct {
	Index    int32 // the run's own number of the machine, the same for every record with one source id
	SourceID string
	Reason   inventory.Reason
	Survivor string           // source id of the record it was merged into, for merged ones
	Asset    *inventory.Asset // nil when skipped
}

// ApplyMachines is how the machines of a complete read are to be applied.
type ApplyMachines struct {
	// CarriersOnly imports just the machines listed in Carriers, and those that still have open findings, as carriers of
	// findings: asset import is off.
	CarriersOnly bool
	Partial      bool    // only machines that reported lately were asked for: the others stay as they are but for their age
	Incomplete   bool    // some machines could not be read: none counts as gone
	Rejudged     bool    // by other settings than the last reading: unless the run comes to its end, the next one has to judge all again
	Carriers     []int32 // indexes with at least one accepted row
	MaxAssets    int     // 0 for no limit
	Removal      RemovalPolicy
	Now          time.Time
	// Confirm is asked before anything is committed; its error takes everything back.
	Confirm func(*MachineChanges) error
}

// MachineChanges is what applying machines did.
type MachineChanges struct {
	Created, Updated, Unchanged int64
	OutOfScope, Removed         int64
	StillOut                    int64    // not in scope before either, and now for another reason
	OverQuota                   int64    // machines left out because of MaxAssets: new ones, and known ones that were not in scope
	OverQuotaMachines           []int32  // their indexes, all of them
	OverQuotaNamed              []Sample // these by source id and name, at most MaxSkippedMachines
	CarrierFree                 int64    // machines left out because asset import is off and they carry no finding
	CarrierFreeNamed            []Sample // these by source id and name, at most MaxSkippedMachines
	Held                        int64    // assets that would have left, held back by the removal guard
	Missing                     int64    // assets that were not there, but not often enough to count as removed
	Withdrawn                   int64    // open findings that went out of scope with their assets
	OpenBefore, OpenAfter       int64    // open findings by the counters of the integration's assets
	// Assets are those in scope now, in no particular order.
	Assets []KnownAsset
}

// KnownAsset links a machine of this run with its stored asset.
type KnownAsset struct {
	Index       int32
	SourceID    string // of an asset whose machine was not asked for, and has no index therefore; empty for others
	ID          int64
	FindingHash RowSum // of the rows stored for it; zero when never compared
	Findings    int64  // open ones
	Dormant     bool   // has findings and was not compared since it left the scope, or since a reading went by without it
	Uncompared  bool   // only changes of its rows were read since they were compared last
	Fresh       bool   // its rows were never compared, or not since it came back into scope
	FirstSeenAt int64  // by the source, Unix seconds; 0 when not told
}

// StagedAsset is an asset whose rows differ from the stored ones.
type StagedAsset struct {
	AssetID int64
	Hash    RowSum   // of the rows
	Parts   uint8    // a bit for each part of the vulnerabilities to compare; see [PartOf]
	Open    [5]int32 // findings by severity

	Uncompared bool // Hash says nothing: only some of its rows were read
}

// StagedFinding is a vulnerability of a changed asset, judged.
type StagedFinding struct {
	AssetID       int64
	Vulnerability int32
	Software      []int32 // ascending; nil for a rejection
	Severity      inventory.Severity
	Source        inventory.SeveritySource
	Vector        inventory.AttackVector
	Reason        uint8  // inventory.RowReasonCode of why all its rows were refused; 0 for a finding
	FirstSeen     uint32 // Unix seconds; 0 when not told
}

// StagedChange is what became of a vulnerability of an asset: its Software are those that were reported as new or
// updated, with the severity and so on they give.
type StagedChange struct {
	StagedFinding
	Gone []int32 // software that is reported no more, ascending; Reason says why if not because it was fixed
}

// StagedExposure sums up the findings of one vulnerability over all changed assets.
type StagedExposure struct {
	Vulnerability int32
	OpenAssets    int32
	Severity      inventory.Severity // the worst
	FirstSeen     uint32             // the earliest, Unix seconds
}

// StagedInstallation is where the software of an asset sits, in parallel slices.
type StagedInstallation struct {
	AssetID   int64
	Software  []int32
	Locations []int64
}

// StagedLocation is a set of paths. Equal sets have equal numbers.
type StagedLocation struct {
	ID            int64
	DiskPaths     []string
	RegistryPaths []string
}

// StagedRemediation is what Defender recommends for a software × vulnerability.
type StagedRemediation struct {
	Software, Vulnerability int32
	Text, ID, URL           string
	Ready                   *bool // nil: not told, and what is known stays
	Exploitability          string
	ChangedAt               uint32 // of a reading of changes, Unix seconds: the newest counts
}

// SeenAsset is when the newest row of an asset was seen.
type SeenAsset struct {
	AssetID int64
	At      int64 // Unix seconds
}

// ApplyFindings is how the rows of a complete read are to be applied.
type ApplyFindings struct {
	Now       time.Time
	LastSeen  []SeenAsset      // assets that a row told the time of
	Open      int64            // findings of the assets that were listed, open until now
	Unchanged int64            // of these, in a whole reading, those that need no comparison
	Present   int64            // findings that were read, those that need no comparison among them
	Rows      int64            // rows behind these, each that was taken counted once; of a whole reading
	Exposures []StagedExposure // of the changed assets
	// Changes says that changes were read instead of all rows: what is not among them stays.
	Changes bool
	// Refused takes what is open of these vulnerabilities out of scope besides, whatever the changes are, and tells what is so
	// already why it is.
	Refused []RefusedVulnerability
	// Rejudged says that other settings than those of the last reading decide: unless the run comes to its end, the next one has
	// to judge all again. Judge is by them; it is asked of findings whose rows nobody reads, those of kept assets.
	Rejudged bool
	Judge    *inventory.Judge
	// CarriersOnly releases carriers that have no open finding any more.
	CarriersOnly bool
	Removal      RemovalPolicy    // how long after findings were held back for a drop a run may confirm it
	Recount      bool             // set the counters by what is stored, not only by what changed
	Poor         bool             // the rows told no times, places or updates: what is stored of those stays
	Incomplete   bool             // some rows could not be read: no finding counts as fixed for want of rows
	CloseReason  inventory.Reason // when set, no rows were read: every open finding of the integration is taken out of scope for this reason
	// Confirm is asked before anything is committed; its error takes everything back.
	Confirm func(*FindingChanges) error
}

// FindingChanges is what applying findings did, in findings.
type FindingChanges struct {
	Created, Updated, Unchanged int64
	Fixed, Reopened, OutOfScope int64
	Held                        int64    // findings that would have closed, held back by the removal guard; see Holdings
	Recounted                   int64    // counters that a recount set right
	Corrected                   int64    // by how much a recount changed the open findings
	Back                        int64    // of Updated: out of scope before, and open again
	StillOut                    int64    // of Updated: out of scope still, for another reason, or gone meanwhile
	KeptOut                     int64    // of OutOfScope: those of assets that are kept without being read
	BackUnread                  int64    // of Back: those of such assets, and those without a row whose closing is held back
	OpenBefore, OpenAfter       int64    // open findings by the counters of the integration's assets
	Miscounted                  int64    // compared assets whose counters differ from what was staged of them
	Moved                       int64    // assets with software that lies elsewhere than it did
	Readvised                   int64    // recommendations against a vulnerability of a software that changed
	Released                    int64    // assets that left, because they were carriers and have no finding any more
	ReleasedNamed               []Sample // these by source id and name
}
