package fault

import "slices"

// Definition is what a code always means. It is published under /problems/{code}, so texts address the person who has
// to mend it.
type Definition struct {
	Code      string
	Kind      Kind
	Title     string
	Cause     string
	Remedy    string
	Permanent bool  // repeating the same attempt cannot help until somebody changes something
	Actor     Actor // who has to act, unless the [Error] knows better
}

// Actor is who can mend a failure. The words are those of the contract.
type Actor string

// Who can mend it.
const (
	Caller        Actor = "caller"         // the program or person that sent the request
	CustomerAdmin Actor = "customer_admin" // an administrator of the customer's Microsoft tenant
	Operator      Actor = "pgp_operator"   // whoever runs this service
	Nobody        Actor = "nobody"         // wait: it passes by itself
)

// Codes of requests to this service.
const (
	CodeInternal              = "internal"
	CodeInvalidRequest        = "invalid_request"
	CodeInvalidJSON           = "invalid_json"
	CodeInvalidCursor         = "invalid_cursor"
	CodeAccountRequired       = "account_required"
	CodeUnauthenticated       = "unauthenticated"
	CodeForbidden             = "forbidden"
	CodeEntitlementMissing    = "entitlement_missing"
	CodeNotFound              = "not_found"
	CodeMethodNotAllowed      = "method_not_allowed"
	CodeUnsupportedMedia      = "unsupported_media_type"
	CodeBodyTooLarge          = "payload_too_large"
	CodeConflict              = "conflict"
	CodeAlreadyConnected      = "already_connected"
	CodeRunInProgress         = "run_in_progress"
	CodeIntegrationPaused     = "integration_paused"
	CodePreconditionFailed    = "precondition_failed"
	CodePreconditionRequired  = "precondition_required"
	CodeNoImportSelected      = "no_import_selected"
	CodeInvalidExpiry         = "invalid_expiry"
	CodeURITooLong            = "uri_too_long"
	CodeRateLimited           = "rate_limited"
	CodeIdempotencyReused     = "idempotency_key_reused"
	CodeUnavailable           = "unavailable"
	CodeIdempotencyInProgress = "idempotency_in_progress"
	CodeTokensUnavailable     = "tokens_unavailable" // #nosec G101 -- a code
	CodeKeysUnavailable       = "key_service_unavailable"
	CodeReadOnly              = "read_only"
)

// Codes of the link to Microsoft, as met at Connect, re-check and in runs.
const (
	CodeCredentialsInvalid  = "credentials_invalid"
	CodeSecretIDPasted      = "secret_id_pasted"
	CodeSecretExpired       = "secret_expired"
	CodeDirectoryNotFound   = "directory_not_found"
	CodeApplicationNotFound = "application_not_found"
	CodeApplicationDisabled = "application_disabled"
	CodeConsentMissing      = "consent_missing"
	CodePermissionMissing   = "permission_missing"
	CodeAccessBlocked       = "access_denied"
	CodeLicenceMissing      = "license_missing"
	CodeServiceNotEnabled   = "service_not_enabled"
	CodeUpstreamThrottled   = "upstream_throttled"
	CodeUpstreamUnavailable = "upstream_unavailable"
	CodeUpstreamTimeout     = "upstream_timeout"
	CodeUpstreamUnexpected  = "upstream_unexpected"
	CodeSecretUnreadable    = "secret_unreadable"
	CodeCertificateUnusable = "certificate_unusable"
	CodeMethodUnavailable   = "method_unavailable"
	CodeFederatedToken      = "federated_token_unavailable"
)

// Codes of runs: how work inside the service ended.
const (
	CodeWorkerLost       = "worker_lost"
	CodeRunCancelled     = "run_cancelled"
	CodeRemovalHeld      = "removal_held_back"
	CodeQuotaExceeded    = "quota_exceeded"
	CodeUnreadable       = "records_unreadable"
	CodeLedgerUnbalanced = "ledger_unbalanced"
	CodeReportPoor       = "report_incomplete"
	CodeDatabaseTimeout  = "database_timeout"
	CodeDiskFull         = "disk_full"

	CodeSecretExpiring = "secret_expiring" // only ever a warning
)

// Lookup finds a code's definition.
func Lookup(code string) (Definition, bool) {
	i := slices.IndexFunc(definitions, func(d Definition) bool { return d.Code == code })
	if i < 0 {
		return Definition{}, false
	}
	return definitions[i], true
}

// Definitions lists the whole catalogue in its documented order.
func Definitions() []Definition { return slices.Clone(definitions) }
