package connector

import "time"

// CallKey names what a source counts calls by: the application that calls, the directory it calls for, and a group of
// routes that share a quota. The first two are GUIDs.
type CallKey struct {
	Application string
	Directory   string
	Family      string
}

// CallRate is a limit as a bucket that is full at the beginning: up to Burst calls at once, and one more every Every.
type CallRate struct {
	Every time.Duration // at least a microsecond
	Burst int           // at least 1
}

// CallRequest asks for one call. The same request is later the name of what was granted.
type CallRequest struct {
	CallKey
	Minute, Hour CallRate      // both hold
	MostRepeats  int           // repeats that may be saved up
	Caller       int64         // who asks: who tries a directory that failed goes on under the same number
	Person       bool          // somebody waits for it, and may try a directory that failed before its time has come
	MostWait     time.Duration // longest wait that is of use; 0 means any
	ProbeLease   time.Duration // how long nobody else may try a directory that failed
	At           time.Time     // when; the zero time is the present one by the ledger's clock
}

// CallGrant is the answer to a request. Nothing is reserved when it was refused.
type CallGrant struct {
	Wait    time.Duration // from now until the call may be made; when it was refused, until it is worth to ask again
	Ticket  time.Time     // names the reservation
	Refused CallRefusal
	Since   time.Time // with RefusedOpen: since when the directory has not answered
	Failing bool      // the last call failed, so that an answer is worth telling
	Probe   bool      // the directory failed, and this caller tries whether it answers again
}

// CallRefusal says why a call was not granted.
type CallRefusal string

// Refusals.
const (
	CallGranted CallRefusal = ""
	RefusedWait CallRefusal = "wait" // it would have to wait longer than MostWait
	RefusedOpen CallRefusal = "open" // the directory does not answer, and it is not the time or the caller to try again
)

// CallFailure tells that a granted call was not answered.
type CallFailure struct {
	CallRequest
	Threshold int           // failures in a row after which the directory is left alone
	Shortest  time.Duration // for how long at first, doubled each time it still does not answer
	Longest   time.Duration
	Cut       float64 // 0 to 1: how much of a fifth is taken off, by chance
}
