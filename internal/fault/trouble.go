package fault

import "slices"

// Trouble is what somebody notices of a failure: the help article's four troubles, by which people look for help, and what
// only the sender of a request meets.
type Trouble string

// The troubles, in the order of the help article.
const (
	NoToken         Trouble = "No access token"
	Denied          Trouble = "Access denied"
	NothingImported Trouble = "Nothing, or not everything, is imported"
	Failing         Trouble = "Time-outs and errors of an API"
	Misasked        Trouble = "A request to this service is refused"
)

// Troubles lists all of them in their order.
func Troubles() []Trouble { return []Trouble{NoToken, Denied, NothingImported, Failing, Misasked} }

// ofImports are the codes that explain what an import left out.
var ofImports = []string{
	CodeEntitlementMissing, CodeNoImportSelected, CodeIntegrationPaused, CodeRunCancelled, CodeRemovalHeld, CodeUnreadable, CodeQuotaExceeded,
}

// Trouble is where somebody looks for the code.
func (d Definition) Trouble() Trouble {
	switch {
	case slices.Contains(ofImports, d.Code):
		return NothingImported
	case d.Title == titleToken || d.Code == CodeSecretUnreadable:
		return NoToken
	case d.Title == titleDenied || d.Title == titlePrivileges:
		return Denied
	case d.Actor == Caller:
		return Misasked
	}
	return Failing
}
