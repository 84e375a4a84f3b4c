package syncer

import (
	"strings"

	"pgp.internal/defender/internal/fault"
)

// Notice is a failure or warning as it is kept with the run.
type Notice = fault.Notice

// NoticeOf keeps what may be told of a fault.
func NoticeOf(e *fault.Error) Notice { return fault.NoticeOf(e) }

// ofRecords tells a notice about what was read from one about the link, which changes nothing.
func ofRecords(n Notice) bool {
	return n.Code != fault.CodeSecretExpiring && n.Code != fault.CodeSecretExpired
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
