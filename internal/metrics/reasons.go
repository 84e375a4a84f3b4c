package metrics

import "pgp.internal/defender/internal/inventory"

// machineReasons are the reasons for which a machine is left out.
func machineReasons() []inventory.Reason {
	return []inventory.Reason{
		inventory.IDMissing, inventory.Duplicate, inventory.Merged, inventory.Excluded, inventory.NotOnboarded,
		inventory.PlatformMobile, inventory.PlatformIoT, inventory.PlatformOdd, inventory.WSLInstance, inventory.Stale,
		inventory.GroupFiltered, inventory.TagFiltered,
		inventory.NameMissing, inventory.NamePlaceholder, inventory.NameIsIP, inventory.NameIDNA, inventory.NameTooLong,
		inventory.NameLabelTooLong, inventory.NameSyntax, inventory.NameNumeric, inventory.NameNotFQDN,
		inventory.IPNone, inventory.IPSyntax, inventory.IPUnspecified, inventory.IPLoopback, inventory.IPLinkLocal,
		inventory.IPMulticast, inventory.IPReserved, inventory.IPDocumentation, inventory.IPTransition, inventory.IPContainer,
		inventory.IPDenied, inventory.QuotaExceeded,
	}
}
