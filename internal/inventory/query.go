package inventory

import (
	"net/netip"
	"time"

	"github.com/google/uuid"
)

// Position is where a page ended: the sort key's and the tie-break's values as text. Only the store that made it can
// read it. Nil means the beginning, or that there is no further page.
type Position []string

// Sort orders a list by one key; the id breaks ties.
type Sort struct {
	Key        string
	Descending bool
}

// PageRequest is what every list takes.
type PageRequest struct {
	Limit int // 1..1000
	After Position
	Sort  Sort // the zero value means the list's default
}

// Sort keys that the store keeps an index for.
var (
	AssetSorts         = []string{"hostname", "last_seen_at", "created_at"}
	VulnerabilitySorts = []string{"id", "severity", "epss", "published_at", "exposed_assets"}
	FindingSorts       = []string{"severity", "first_seen_at"}
)

// AssetFilter selects assets. Values of one field are alternatives, fields are combined with and; the zero value selects
// every asset of the tenant.
type AssetFilter struct {
	Integrations   []uuid.UUID
	Hostnames      []string
	IPs            []netip.Addr // any usable address, not only the primary one
	OSFamilies     []string
	States         []AssetState
	Tags           []string
	DeviceGroups   []string
	LastSeenFrom   time.Time  // inclusive
	LastSeenBefore time.Time  // exclusive
	Severities     []Severity // has an open finding of one of these
	Text           string     // every term of it in host name or address; see SearchTerms
	VulnID         int32      // affected by this vulnerability, in an open finding; 0 for any
}

// VulnerabilityFilter selects vulnerabilities that the tenant has, or had, findings of.
type VulnerabilityFilter struct {
	Severities      []Severity
	Vectors         []AttackVector
	Exploit         *bool // any of public, verified, in kit
	EPSSFrom        float64
	PublishedFrom   time.Time // inclusive
	PublishedBefore time.Time // exclusive
	Text            string    // every term of it in name, title or description; see SearchTerms
}

// FindingFilter selects findings.
type FindingFilter struct {
	States          []FindingState
	Severities      []Severity
	Assets          []uuid.UUID
	Vulnerabilities []string // names
	Products        []string // part "product" or "vendor/product", exact, without case
	FixAvailable    *bool
	FirstSeenFrom   time.Time // inclusive
	FirstSeenBefore time.Time // exclusive
	Integrations    []uuid.UUID
}

// Empty tells whether the filter selects everything.
func (f *FindingFilter) Empty() bool {
	named := len(f.States) + len(f.Severities) + len(f.Assets) + len(f.Vulnerabilities) + len(f.Products) + len(f.Integrations)
	return named == 0 && f.FixAvailable == nil && f.FirstSeenFrom.IsZero() && f.FirstSeenBefore.IsZero()
}

// ExposedVulnerability is a vulnerability as one tenant has it.
type ExposedVulnerability struct {
	Vulnerability
	Severity      Severity
	AttackVector  AttackVector
	ExposedAssets int // assets with an open finding
	FirstSeenAt   time.Time
	Updates       []Update // distinct recommendations, for the detail view only
}

// Update is what Defender recommends against a vulnerability of a software.
type Update struct {
	Vendor, Product, Version string
	Text, ID, URL            string
	Ready                    *bool
}

// Finding is asset × vulnerability as it is read.
type Finding struct {
	AssetID           uuid.UUID
	IntegrationPublic uuid.UUID
	Hostname          string
	PrimaryIP         netip.Addr
	VulnID            int32
	Vulnerability     string // name
	Title             string
	Severity          Severity
	Source            SeveritySource
	AttackVector      AttackVector
	State             FindingState
	StateReason       string
	Partial           bool
	FirstSeenAt       time.Time
	LastSeenAt        time.Time
	FixedAt           time.Time // zero unless fixed
	ReopenedAt        time.Time // zero unless it came back
	ReopenCount       int
	CreatedAt         time.Time
	UpdatedAt         time.Time
	Instances         []Instance
}

// Instance is one software row behind a finding.
type Instance struct {
	SoftwareID               int32
	Vendor, Product, Version string
	DiskPaths, RegistryPaths []string
	UpdateText               string
	UpdateID                 string
	UpdateURL                string
	UpdateReady              *bool
}

// Summary is the tenant's inventory in numbers.
type Summary struct {
	Assets          map[AssetState]int
	OSFamilies      map[string]int
	OpenFindings    SeverityCounts
	FindingStates   map[FindingState]int
	Vulnerabilities int // with at least one open finding
	WithExploit     int // of these
}
