package inventory

import (
	"net/netip"
	"time"

	"github.com/google/uuid"
)

// Machine is one device record as a source reports it: nothing is judged or repaired yet. Empty strings and zero times
// stand for absent and null alike.
type Machine struct {
	SourceID           string // 40 hex digits in Defender; compared without case
	MergedInto         string // SourceID of the surviving record
	PotentialDuplicate bool
	Excluded           bool
	ExclusionReason    string
	DNSName            string
	FirstSeen          time.Time
	LastSeen           time.Time
	Platform           string
	Version            string
	Build              int64 // 0 when absent
	Architecture       string
	Processor          string
	LastIP             string
	LastExternalIP     string
	Interfaces         []Interface
	AgentVersion       string
	Health             string
	Onboarding         string // empty means onboarded
	DeviceValue        string
	GroupID            int64
	GroupName          string
	RiskScore          string
	ExposureLevel      string
	AADJoined          *bool
	AADDeviceID        string
	Tags               []string
	ManagedBy          string
	ManagedByStatus    string
	Cloud              *Cloud
}

// Interface is one network interface of a machine, as reported.
type Interface struct {
	Address string
	MAC     string
	Type    string
	Status  string // Up, Down, Unknown
}

// Cloud places a machine in a cloud.
type Cloud struct {
	Provider   string
	ResourceID string
	Account    string // subscription
	VMID       string
}

// NameKind tells a fully qualified host name from a bare one.
type NameKind string

// Name kinds.
const (
	FQDN  NameKind = "fqdn"
	Short NameKind = "short"
)

// AssetState is where an asset stands.
type AssetState string

// Asset states. Active and inactive assets are in scope; the other states keep the record readable.
const (
	AssetActive     AssetState = "active"       // health Active and seen within 7 days
	AssetInactive   AssetState = "inactive"     // in scope, but not both of these
	AssetStale      AssetState = "stale"        // known before, now unseen for longer than max_age_days; findings stay open
	AssetOutOfScope AssetState = "out_of_scope" // known before, now filtered by a rule or setting (StateReason)
	AssetMerged     AssetState = "merged"       // the source merged it into another record
	AssetRemoved    AssetState = "removed"      // missing from complete reads
)

// ImportState tells imported assets from mere carriers of findings.
type ImportState string

// Import states.
const (
	Imported ImportState = "imported"
	Carrier  ImportState = "carrier" // asset import is off; the record exists because findings need it
)

// Address is one usable address of an asset.
type Address struct {
	IP            netip.Addr
	MAC           string // colon-separated lower case; empty when unknown
	Scope         string // private, shared, public
	InterfaceType string // ethernet, wireless, tunnel, other
	Up            bool
}

// OS is the operating system of an asset.
type OS struct {
	Platform     string // the source's word
	Family       string // windows, windows_server, macos, linux, bsd, unix, other
	Version      string
	Build        int64
	Architecture string
	Processor    string
}

// Asset is a machine that counts: it passed every rule.
type Asset struct {
	ID                int64
	PublicID          uuid.UUID
	IntegrationID     int64
	IntegrationPublic uuid.UUID
	SourceID          string
	Hostname          string // normalised, lower case A-labels
	HostnameRaw       string
	NameKind          NameKind
	PreviousHostnames []string
	PrimaryIP         netip.Addr
	Addresses         []Address
	EgressIP          netip.Addr // the NAT or proxy it was seen behind; never an address of the asset
	OS                OS
	Health            string
	Onboarding        string
	RiskScore         string
	ExposureLevel     string
	DeviceValue       string
	GroupID           int64
	GroupName         string
	Tags              []string
	AADDeviceID       string
	AADJoined         *bool
	AgentVersion      string
	ManagedBy         string
	ManagedByStatus   string
	Cloud             *Cloud
	PotentialDup      bool
	Warnings          []string // e.g. platform_unrecognised
	FirstSeen         time.Time
	LastSeen          time.Time
	State             AssetState
	StateReason       string
	MergedInto        string    // source id of the survivor, while merged
	MissingSince      time.Time // start of the first complete read that did not have it, since it was last read; zero while it is there
	Import            ImportState
	Counts            SeverityCounts // open findings
	CreatedAt         time.Time
	UpdatedAt         time.Time
}

// SeverityCounts counts open findings by severity.
type SeverityCounts struct {
	Critical, High, Medium, Low, Unknown int
}

// Total is the sum over all severities.
func (c SeverityCounts) Total() int { return c.Critical + c.High + c.Medium + c.Low + c.Unknown }
