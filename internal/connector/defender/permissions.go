package defender

import "slices"

// Application permissions of WindowsDefenderATP.
const (
	machineRead       = "Machine.Read.All"
	machineReadWrite  = "Machine.ReadWrite.All"
	vulnerabilityRead = "Vulnerability.Read.All"
)

// grants reports whether the roles of a token contain a needed permission. Read access to machines comes with write
// access, too.
func grants(roles []string, permission string) bool {
	return slices.Contains(roles, permission) || (permission == machineRead && slices.Contains(roles, machineReadWrite))
}
