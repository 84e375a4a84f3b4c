package tenant

// Refusal says why a credential that is known, or was good once, was refused.
type Refusal string

// Refusals.
const (
	RefusedRole    Refusal = "role" // it does not reach
	KeyRevoked     Refusal = "key_revoked"
	KeyExpired     Refusal = "key_expired"
	KeyAltered     Refusal = "key_altered" // its stored row is not as the service made it
	TokenExpired   Refusal = "token_expired"
	TenantInactive Refusal = "tenant_inactive" // suspended, or being deleted
	OtherTenant    Refusal = "other_tenant"    // an API key was presented with the account of a tenant that is not its own
)
