package audit

// Action is what was done, as an object and a past participle.
type Action string

// Actions.
const (
	IntegrationCreated       Action = "integration.created"
	IntegrationUpdated       Action = "integration.updated"
	IntegrationRotated       Action = "integration.secret_rotated"
	IntegrationStaged        Action = "integration.secret_staged"
	IntegrationStagedDropped Action = "integration.staged_secret_dropped"
	IntegrationStagedAdopted Action = "integration.staged_secret_adopted"
	IntegrationStagedTried   Action = "integration.staged_secret_tried"
	IntegrationValidated     Action = "integration.validated"
	IntegrationResealed      Action = "integration.secret_resealed"
	IntegrationUnreadable    Action = "integration.secret_unreadable"
	IntegrationStateChanged  Action = "integration.state_changed"
	IntegrationPaused        Action = "integration.paused"
	IntegrationResumed       Action = "integration.resumed"
	IntegrationDisconnected  Action = "integration.disconnected"
	IntegrationPurged        Action = "integration.purge_requested"
	IntegrationEmptied       Action = "integration.purged"
	RunStarted               Action = "run.started"
	RunCancelled             Action = "run.cancelled"
	HeldChangeApproved       Action = "held_change.approved"
	APIKeyCreated            Action = "api_key.created"
	APIKeyRevoked            Action = "api_key.revoked"
	APIKeyResealed           Action = "api_key.resealed" // #nosec G101 -- the name of a deed
	TenantCreated            Action = "tenant.created"
	TenantUpdated            Action = "tenant.updated"
	TenantStateChanged       Action = "tenant.state_changed"
	TenantPlaced             Action = "tenant.placed"
	TenantShredded           Action = "tenant.data_keys_destroyed"
	TenantKeyRewrapped       Action = "tenant.data_key_rewrapped"
	TenantKeyRenewed         Action = "tenant.data_key_renewed"
	TenantKeyDropped         Action = "tenant.data_key_dropped"
	TenantDeletionRequested  Action = "tenant.deletion_requested"
	TenantDeleted            Action = "tenant.deleted"
	EntitlementSet           Action = "entitlement.set"
	AccessDenied             Action = "access.denied"
)

// Actions lists every action there is.
func Actions() []Action {
	return []Action{
		IntegrationCreated, IntegrationUpdated, IntegrationRotated, IntegrationStaged, IntegrationStagedDropped,
		IntegrationStagedAdopted, IntegrationStagedTried, IntegrationValidated, IntegrationResealed, IntegrationUnreadable, IntegrationStateChanged, IntegrationPaused,
		IntegrationResumed, IntegrationDisconnected, IntegrationPurged, IntegrationEmptied, RunStarted, RunCancelled,
		HeldChangeApproved, APIKeyCreated, APIKeyRevoked, APIKeyResealed, TenantCreated, TenantUpdated, TenantStateChanged, TenantPlaced, TenantShredded,
		TenantKeyRewrapped, TenantKeyRenewed, TenantKeyDropped, TenantDeletionRequested, TenantDeleted, EntitlementSet, AccessDenied,
	}
}
