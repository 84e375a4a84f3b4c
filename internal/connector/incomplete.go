package connector

import "pgp.internal/defender/internal/fault"

// IncompleteWarning is what the last run told of why it could not read everything, if it could not. A later run that reads
// everything ends it.
func (i *Integration) IncompleteWarning() (told fault.Notice, incomplete bool) {
	incomplete = i.State == StateDegraded && (i.StateReason == fault.CodeUnreadable || i.StateReason == fault.CodeReportPoor)
	if !incomplete {
		return fault.Notice{}, false
	}
	return i.StateNotice, true
}
