package defender

import (
	"slices"

	"pgp.internal/defender/internal/fault"
)

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

// accessOf sets what a token grants against what is needed; nil when the token could not be read. Of permissions that are
// none of this package's business only the number is told: their names are whatever somebody upstream called them.
func accessOf(granted []string, known bool, needed ...string) *fault.Access {
	if !known {
		return nil
	}
	a := &fault.Access{Needed: needed}
	for _, name := range []string{machineRead, machineReadWrite, vulnerabilityRead} {
		if slices.Contains(granted, name) {
			a.Granted = append(a.Granted, name)
		}
	}
	for _, name := range granted {
		if !slices.Contains(a.Granted, name) {
			a.Others++
		}
	}
	return a
}

// lacking notes which permissions were found missing, where both sides are known.
func lacking(a *fault.Access, missing ...string) *fault.Access {
	if a != nil {
		a.Missing = missing
	}
	return a
}
