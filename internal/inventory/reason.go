package inventory

import "slices"

// Reason says why a record was not imported. Reasons are counted per run and shown to customers; the list is open.
type Reason string

// Accepted is the absence of a reason.
const Accepted Reason = ""

// Reasons for skipping a machine, in the order in which the rules are asked.
const (
	Unreadable     Reason = "record_unreadable" // no JSON object, or without a readable key; rows and catalogue entries too
	IDMissing      Reason = "id_missing"
	Duplicate      Reason = "duplicate"
	Merged         Reason = "merged"
	Excluded       Reason = "excluded"
	NotOnboarded   Reason = "not_onboarded"
	PlatformMobile Reason = "platform_mobile"
	PlatformIoT    Reason = "platform_iot"
	PlatformOdd    Reason = "platform_unknown"
	WSLInstance    Reason = "wsl_instance"
	GroupFiltered  Reason = "device_group_filtered"
	TagFiltered    Reason = "tag_filtered"

	NameMissing      Reason = "name_missing"
	NamePlaceholder  Reason = "name_placeholder"
	NameIsIP         Reason = "name_is_ip"
	NameIDNA         Reason = "name_idna"
	NameTooLong      Reason = "name_too_long"
	NameLabelTooLong Reason = "name_label_too_long"
	NameSyntax       Reason = "name_syntax"
	NameNumeric      Reason = "name_numeric"
	NameNotFQDN      Reason = "name_not_fqdn"

	IPNone          Reason = "ip_none"
	IPSyntax        Reason = "ip_syntax"
	IPUnspecified   Reason = "ip_unspecified"
	IPLoopback      Reason = "ip_loopback"
	IPLinkLocal     Reason = "ip_link_local"
	IPMulticast     Reason = "ip_multicast"
	IPReserved      Reason = "ip_reserved"
	IPDocumentation Reason = "ip_documentation"
	IPTransition    Reason = "ip_transition"
	IPContainer     Reason = "ip_container"
	IPDenied        Reason = "ip_denied"

	Stale         Reason = "stale" // it would count but for its age
	QuotaExceeded Reason = "quota_exceeded"
)

// Reasons for skipping a row of the vulnerability report, in the order in which the rules are asked.
const (
	CVEMissing          Reason = "cve_missing"
	AssetNotImported    Reason = "asset_not_imported"
	VectorIsLocal       Reason = "vector_local"
	VectorIsPhysical    Reason = "vector_physical"
	VectorIsUnknown     Reason = "vector_unknown"
	VectorNotSelected   Reason = "vector_not_selected" // network or adjacent, switched off by the settings
	UserInteractionOnly Reason = "user_interaction_required"
	SeverityBelowMin    Reason = "severity_below_minimum"
)

// Reasons for taking an open finding or a known asset out of scope that no rule gives. A machine is skipped for the last one
// as well.
const (
	Removed                  Reason = "removed"
	ImportVulnerabilitiesOff Reason = "import_vulnerabilities"
	ImportAssetsOff          Reason = "import_assets"
)

// machineReasons are all reasons for leaving a machine out, in the order in which the rules are asked.
var machineReasons = []Reason{
	Unreadable, IDMissing, Duplicate, Merged, Excluded, NotOnboarded, PlatformMobile, PlatformIoT, PlatformOdd, WSLInstance, GroupFiltered, TagFiltered,
	NameMissing, NamePlaceholder, NameIsIP, NameIDNA, NameTooLong, NameLabelTooLong, NameSyntax, NameNumeric, NameNotFQDN,
	IPNone, IPSyntax, IPUnspecified, IPLoopback, IPLinkLocal, IPMulticast, IPReserved, IPDocumentation, IPTransition, IPContainer, IPDenied,
	Stale, QuotaExceeded, ImportAssetsOff,
}

// MachineReasons lists every reason for which a run may leave a machine out.
func MachineReasons() []Reason { return slices.Clone(machineReasons) }

// RowReasons lists every reason for which a run may leave a row of the vulnerability report out.
func RowReasons() []Reason { return slices.Clone(rowRules) }

// rowRules are these reasons in the order in which the rules are asked.
var rowRules = []Reason{
	Unreadable, CVEMissing, AssetNotImported, VectorIsLocal, VectorIsPhysical, VectorIsUnknown, VectorNotSelected, UserInteractionOnly, SeverityBelowMin,
}

// ReasonsInOrder lists every reason once, of machines first, in the order in which the rules are asked.
func ReasonsInOrder() []Reason {
	list := MachineReasons()
	for _, r := range RowReasons() {
		if !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	return list
}

// rowReasons numbers the reasons of rows, for compact storage. The order is part of the stored format: only append.
var rowReasons = []Reason{
	Accepted, CVEMissing, AssetNotImported, VectorIsLocal, VectorIsPhysical, VectorIsUnknown, VectorNotSelected,
	SeverityBelowMin, UserInteractionOnly, Unreadable,
}

// RowReasonCode numbers a reason of the row rules; 0 is [Accepted].
func RowReasonCode(r Reason) uint8 {
	for i, known := range rowReasons {
		if known == r {
			return uint8(i)
		}
	}
	panic("inventory: not a row reason: " + string(r))
}

// RowReasonOf is the inverse of [RowReasonCode].
func RowReasonOf(code uint8) Reason { return rowReasons[code] }

// RowReasonCount is how many numbers of [RowReasonCode] are in use, 0 included.
func RowReasonCount() int { return len(rowReasons) }
