package syncer

import (
	"strings"

	"pgp.internal/defender/internal/fault"
)

// Notice is a failure or warning as it is kept with the run.
type Notice = fault.Notice

// NoticeOf keeps what may be told of a fault.
func NoticeOf(e *fault.Error) Notice { return fault.NoticeOf(e) }

// ofChanges tells a notice of records that should have changed something from one about the link, and one of the quota: what that
// leaves out changes nothing, and is left out by every run alike.
func ofChanges(n Notice) bool {
	return n.Code != fault.CodeSecretExpiring && n.Code != fault.CodeSecretExpired && n.Code != fault.CodeQuotaExceeded
}

// Told is what the run told of a code: as its error, else as its warning of it; of several all details, with the usual words
// around them. A code it did not tell of gives the zero value.
func (r *Report) Told(code string) Notice {
	if r.Error != nil && r.Error.Code == code {
		return *r.Error
	}
	var details []string
	var told Notice
	for _, n := range r.Warnings {
		if n.Code == code {
			told, details = n, append(details, n.Detail)
		}
	}
	if len(details) > 1 {
		return NoticeOf(fault.New(code, strings.Join(details, "; ")))
	}
	return told
}
