package api

// AssetState tells whether an asset is there and counts.
type AssetState string

// The states of an asset; openapi.yaml explains them.
const (
	AssetActive     AssetState = "active"
	AssetInactive   AssetState = "inactive"
	AssetStale      AssetState = "stale"
	AssetOutOfScope AssetState = "out_of_scope"
	AssetMerged     AssetState = "merged"
	AssetRemoved    AssetState = "removed"
)

// AssetImportState tells whether an asset was asked for.
type AssetImportState string

// AssetCarrier exists only to bear findings, because importing assets is switched off.
const (
	AssetImported AssetImportState = "imported"
	AssetCarrier  AssetImportState = "carrier"
)

// FindingState tells whether a finding is there and counts.
type FindingState string

// The states of a finding; openapi.yaml explains them.
const (
	FindingOpen       FindingState = "open"
	FindingFixed      FindingState = "fixed"
	FindingOutOfScope FindingState = "out_of_scope"
)

// Severity rates a vulnerability or finding.
type Severity string

// The severities in falling order.
const (
	SeverityCritical Severity = "critical"
	SeverityHigh     Severity = "high"
	SeverityMedium   Severity = "medium"
	SeverityLow      Severity = "low"
	SeverityUnknown  Severity = "unknown"
)

// SeveritySource is who rated a finding.
type SeveritySource string

// Who rates: the vulnerability's entry, the machine's software row, a CVSS score, nobody.
const (
	SeverityFromVulnerability SeveritySource = "vulnerability"
	SeverityFromRow           SeveritySource = "row"
	SeverityDerived           SeveritySource = "derived"
	SeverityFromNone          SeveritySource = "none"
)

// AttackVector is the base metric AV of a CVSS vector.
type AttackVector string

// The attack vectors; VectorUnknown when there is none.
const (
	VectorNetwork  AttackVector = "network"
	VectorAdjacent AttackVector = "adjacent"
	VectorLocal    AttackVector = "local"
	VectorPhysical AttackVector = "physical"
	VectorUnknown  AttackVector = "unknown"
)

// UnknownVectorRule is what to do with vulnerabilities of unknown attack vector.
type UnknownVectorRule string

// UnknownIncludeIfSevere, the default, takes the critical, the high and the exploited.
const (
	UnknownInclude         UnknownVectorRule = "include"
	UnknownExclude         UnknownVectorRule = "exclude"
	UnknownIncludeIfSevere UnknownVectorRule = "include_if_severe"
)

// OSFamily is a family of operating systems.
type OSFamily string

// The families.
const (
	OSWindows OSFamily = "windows"
	OSLinux   OSFamily = "linux"
	OSMacOS   OSFamily = "macos"
	OSOther   OSFamily = "other"
)

// Surface is an attack surface in PGP's sense.
type Surface string

// SurfaceInternal is the surface of everything that Defender manages.
const SurfaceInternal Surface = "internal"

// NameKind tells whether a host name has a domain.
type NameKind string

// The kinds of host names.
const (
	NameFQDN  NameKind = "fqdn"
	NameShort NameKind = "short"
)

// AddressScope tells where an address is valid.
type AddressScope string

// The scopes: RFC 1918 or RFC 4193, RFC 6598, any other.
const (
	ScopePrivate AddressScope = "private"
	ScopeShared  AddressScope = "shared"
	ScopePublic  AddressScope = "public"
)

// DetailLevel tells how much is known of a vulnerability.
type DetailLevel string

// DetailPartial: Microsoft's catalogue does not have it, so only the software rows speak.
const (
	DetailFull    DetailLevel = "full"
	DetailPartial DetailLevel = "partial"
)

// PGPAssetStatus is PGP's word for the state of an asset.
type PGPAssetStatus string

// PGP's words: active, pending.
const (
	PGPAssetActive  PGPAssetStatus = "A"
	PGPAssetPending PGPAssetStatus = "P"
)
