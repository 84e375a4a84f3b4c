// Package fault says what kind of failure something is and what may be told about it.
//
// Every error that can reach a user of the service is an [Error] with a stable code from the catalogue in this package;
// anything else is internal and its text never leaves the process.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind groups codes by what a caller can do about them; the HTTP layer maps kinds to statuses.
type Kind int

// The kinds, from the caller's point of view.
const (
	Internal        Kind = iota // our defect, or the operator's to mend: nothing the caller can change
	Invalid                     // the request is malformed or breaks the contract
	Unauthenticated             // no usable credential came with the request
	Forbidden                   // the credential is good but does not allow this
	NotFound                    // absent, or another tenant's: deliberately the same
	Conflict                    // the present state of the object forbids it
	Precondition                // If-Match named another version
	Unconditional               // If-Match is missing where it is demanded
	Refused                     // understood, and refused by a check (live validation)
	TooLarge                    // body beyond the limit
	Unsupported                 // media type we do not read
	NotAllowed                  // method not offered here
	URITooLong                  // URL beyond the limit
	Unavailable                 // passing trouble, ours or Microsoft's: try again
	Limited                     // too much was asked in too little time
)

// Field is one thing wrong in a request.
type Field struct {
	Pointer string // JSON Pointer (RFC 6901) into the body, or "?name" for a query parameter
	Code    string // stable, e.g. "required", "pattern", "looks_like_secret_id"
	Detail  string // for the person who filled in the form
}

// Access is what an application was granted against what it needs. It holds names that this service knows and no others,
// so that nothing of an upstream text is repeated.
type Access struct {
	Needed  []string
	Granted []string
	Others  int      // granted permissions whose names this service does not know
	Missing []string `json:",omitempty"` // those of Needed whose lack is what was met; none in what was stored before it was kept
}

// Error is a failure that may be told. Title, cause, remedy and actor come from the code's [Definition] unless set.
type Error struct {
	Code       string
	Detail     string        // what happened this time; never holds secrets or upstream text
	Headline   string        // overrides the definition's title where a link is told of; a problem document keeps the code's own
	Cause      string        // overrides the definition's cause when more is known
	Remedy     string        // overrides the definition's remedy when more is known
	Acts       Actor         // overrides the definition's actor when more is known
	RetryAfter time.Duration // 0 when unknown
	Asked      bool          // RetryAfter is what the upstream asks for or grants, not what this service supposes
	Access     *Access       // nil unless permissions are what it is about and both sides are known
	Fields     []Field
	Data       any // code-specific evidence for the HTTP layer, e.g. the checks behind credentials_invalid

	wrapped error
}

// New makes an error of a catalogued code. It panics on an unknown code: codes are a closed, documented list.
func New(code, detail string) *Error {
	if _, ok := Lookup(code); !ok {
		panic("fault: code not in the catalogue: " + code)
	}
	return &Error{Code: code, Detail: detail}
}

// Newf is [New] with a formatted detail.
func Newf(code, format string, args ...any) *Error { return New(code, fmt.Sprintf(format, args...)) }

// Wrap makes an error of a catalogued code that keeps err for logs and errors.Is; err's text is never told to callers.
func Wrap(err error, code, detail string) *Error {
	e := New(code, detail)
	e.wrapped = err
	return e
}

// Error is the text for logs: code, detail and the wrapped error.
func (e *Error) Error() string {
	text := e.Code
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.wrapped != nil {
		text += ": " + e.wrapped.Error()
	}
	return text
}

// Unwrap gives the hidden reason.
func (e *Error) Unwrap() error { return e.wrapped }

// Definition gives the catalogue entry of the error's code.
func (e *Error) Definition() Definition {
	d, _ := Lookup(e.Code)
	return d
}

// Kind is the kind of the error's code.
func (e *Error) Kind() Kind { return e.Definition().Kind }

// Title is the one-line name of the failure: this time's if it is more precise, else the usual one.
func (e *Error) Title() string { return orElse(e.Headline, e.Definition().Title) }

// CauseText says why it happened: this time's cause if known, else the usual one.
func (e *Error) CauseText() string { return orElse(e.Cause, e.Definition().Cause) }

// RemedyText says what to do about it.
func (e *Error) RemedyText() string { return orElse(e.Remedy, e.Definition().Remedy) }

// Actor says who has to act: this time's if known, else the usual one.
func (e *Error) Actor() Actor {
	if e.Acts != "" {
		return e.Acts
	}
	return e.Definition().Actor
}

// As finds the fault in err's chain; anything without one is reported as internal, with err kept for the log.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Wrap(err, CodeInternal, "")
}

// Is reports whether err carries the given code.
func Is(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
