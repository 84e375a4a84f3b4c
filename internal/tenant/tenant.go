// Package tenant says who is asking and for whom.
package tenant

import (
	"time"

	"github.com/google/uuid"
)

// ID is a tenant's internal number. It is the first argument after the context of every store call, and stands in every
// WHERE; it never comes from a request, only from the credential.
type ID int32

// State is the life of a tenant.
type State string

// Tenant states.
const (
	Active    State = "active"
	Suspended State = "suspended"
	Deleting  State = "deleting"
)

// Tenant is a PGP customer account.
type Tenant struct {
	ID        ID
	PublicID  uuid.UUID
	Name      string
	Account   string // the PGP account (e-mail) it mirrors; may be empty
	State     State
	Limits    Limits
	Version   int64 // moves with every change somebody made
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Limits bound what a tenant may have, whatever it is entitled to.
type Limits struct {
	MaxIntegrations int // connected at a time; 0 means no limit
}

// Filter narrows a list of tenants; what is empty permits all.
type Filter struct {
	States []State
	Name   string // a part of the name, in any case
}

// Role is what a credential may do.
type Role string

// Roles within a tenant, weakest first; each includes the ones before it.
const (
	ReadOnly Role = "readonly"
	Analyst  Role = "analyst"
	Admin    Role = "admin"
)

// Platform is the role of whoever runs the service for all tenants. It is no admin of any: it includes no other role, and none
// includes it.
const Platform Role = "platform"

// Includes reports whether r may do what needs the role other. An unknown role includes nothing.
func (r Role) Includes(other Role) bool {
	if r == Platform || other == Platform {
		return r == other
	}
	return rank(r) >= rank(other) && rank(other) > 0
}

// Valid reports whether r is a known role.
func (r Role) Valid() bool { return r == Platform || rank(r) > 0 }

func rank(r Role) int {
	switch r {
	case ReadOnly:
		return 1
	case Analyst:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// Principal is an authenticated caller. It came with an API key, or with a token of PGP's.
type Principal struct {
	Tenant       ID        // 0 for the role platform
	TenantPublic uuid.UUID // for people
	KeyID        uuid.UUID // the API key; zero for a token
	Subject      string    // of the token; empty for a key
	Name         string    // the key's name, or the token's for its subject
	Role         Role
	Refused      Refusal // why it may do nothing; empty when it may
}
