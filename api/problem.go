package api

import (
	"errors"
	"fmt"
	"time"
)

// Codes of problems that an answer may carry; the list grows. GET /problems/{code} explains each.
const (
	CodeInvalidJSON           = "invalid_json"
	CodeInvalidRequest        = "invalid_request"
	CodeInvalidCursor         = "invalid_cursor"
	CodeAccountRequired       = "account_required"
	CodeUnauthenticated       = "unauthenticated"
	CodeForbidden             = "forbidden"
	CodeNotFound              = "not_found"
	CodeMethodNotAllowed      = "method_not_allowed"
	CodeConflict              = "conflict"
	CodeAlreadyConnected      = "already_connected"
	CodeRunInProgress         = "run_in_progress"
	CodeIntegrationPaused     = "integration_paused"
	CodePreconditionFailed    = "precondition_failed"
	CodePreconditionRequired  = "precondition_required"
	CodePayloadTooLarge       = "payload_too_large"
	CodeURITooLong            = "uri_too_long"
	CodeRateLimited           = "rate_limited"
	CodeIdempotencyKeyReused  = "idempotency_key_reused"
	CodeIdempotencyInProgress = "idempotency_in_progress"
	CodeUnsupportedMediaType  = "unsupported_media_type"
	CodeNoImportSelected      = "no_import_selected"
	CodeInvalidExpiry         = "invalid_expiry"
	CodeCredentialsInvalid    = "credentials_invalid"
	CodeSecretIDPasted        = "secret_id_pasted"
	CodeSecretExpired         = "secret_expired"
	CodeSecretUnreadable      = "secret_unreadable"
	CodeCertificateUnusable   = "certificate_unusable"
	CodeMethodUnavailable     = "method_unavailable"
	CodeFederatedToken        = "federated_token_unavailable"
	CodeDirectoryNotFound     = "directory_not_found"
	CodeApplicationNotFound   = "application_not_found"
	CodeApplicationDisabled   = "application_disabled"
	CodeConsentMissing        = "consent_missing"
	CodePermissionMissing     = "permission_missing"
	CodeAccessDenied          = "access_denied"
	CodeLicenseMissing        = "license_missing"
	CodeServiceNotEnabled     = "service_not_enabled"
	CodeUpstreamThrottled     = "upstream_throttled"
	CodeUpstreamUnavailable   = "upstream_unavailable"
	CodeUpstreamTimeout       = "upstream_timeout"
	CodeUpstreamUnexpected    = "upstream_unexpected"
	CodeUnavailable           = "unavailable"
	CodeTokensUnavailable     = "tokens_unavailable" // #nosec G101 -- a code
	CodeKeyServiceUnavailable = "key_service_unavailable"
	CodeReadOnly              = "read_only"
	CodeInternal              = "internal"
)

// Problem is a problem document (RFC 9457), and the error that client methods return for one.
type Problem struct {
	Type          string       `json:"type"`
	Title         string       `json:"title"`
	Status        int          `json:"status"`
	Detail        string       `json:"detail"`
	Instance      string       `json:"instance,omitempty"`
	Code          string       `json:"code"`
	Acts          Actor        `json:"acts"`
	RequestID     string       `json:"request_id"`
	Errors        []FieldError `json:"errors,omitempty"`
	Checks        []Check      `json:"checks,omitempty"`
	RunID         string       `json:"run_id,omitempty"`
	IntegrationID string       `json:"integration_id,omitempty"`

	// RetryAfter is how long the server asks to wait, from the header of that name; 0 if it does not say.
	RetryAfter time.Duration `json:"-"`
}

// Error gives status, code, title, detail and request id in one line.
func (p *Problem) Error() string {
	return fmt.Sprintf("api: %d %s: %s: %s (request %s)", p.Status, p.Code, p.Title, p.Detail, p.RequestID)
}

// HasCode tells whether err is or wraps a Problem with this code.
func HasCode(err error, code string) bool {
	p, ok := errors.AsType[*Problem](err)
	return ok && p.Code == code
}

// ErrNotModified is returned by reads of one object when the tag given with IfNoneMatch still holds.
var ErrNotModified = errors.New("api: not modified")

// UnexpectedError is an answer that the API does not give: that of a proxy in between, for example, or of another server.
type UnexpectedError struct {
	Status      int
	ContentType string
	Reason      string
}

// Error says what came instead.
func (e *UnexpectedError) Error() string {
	return fmt.Sprintf("api: unexpected answer: status %d, content type %q: %s", e.Status, e.ContentType, e.Reason)
}

// FieldError is one faulty value of a request. Pointer (RFC 6901) says where in the body, Parameter which query parameter or header.
type FieldError struct {
	Pointer   string `json:"pointer,omitempty"`
	Parameter string `json:"parameter,omitempty"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
}

// Check is one live check of credentials. Code, Detail, Cause, Remedy and Acts are there only if it failed.
type Check struct {
	Name              string  `json:"name"`
	OK                bool    `json:"ok"`
	Code              string  `json:"code,omitempty"`
	Title             string  `json:"title"`
	Detail            string  `json:"detail,omitempty"`
	Cause             string  `json:"cause,omitempty"`
	Remedy            string  `json:"remedy,omitempty"`
	Acts              Actor   `json:"acts,omitempty"`
	Access            *Access `json:"access,omitempty"`
	RetryAfterSeconds *int64  `json:"retry_after_seconds,omitempty"`
	DurationMS        int64   `json:"duration_ms"`
}

// Access is what the application needs and what its access token grants; OtherGranted counts permissions without a name here.
type Access struct {
	Needed       []string `json:"needed"`
	Granted      []string `json:"granted"`
	OtherGranted int      `json:"other_granted"`
}

// Validation is the outcome of the live checks that were made.
type Validation struct {
	OK        bool      `json:"ok"`
	CheckedAt time.Time `json:"checked_at"`
	Checks    []Check   `json:"checks"`
}

// Explanation is something worth knowing, in plain language. Detail is about this time, Cause about the kind of failure. Remedy is
// empty if nothing needs doing.
type Explanation struct {
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Cause  string `json:"cause,omitempty"`
	Remedy string `json:"remedy"`
	Acts   Actor  `json:"acts"`
}
