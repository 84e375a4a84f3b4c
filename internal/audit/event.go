// Package audit says what was done to what, by whom, in an order that nobody can rewrite unseen.
package audit

import (
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/tenant"
)

// IDPrefix begins the public id of an event.
const IDPrefix = "aud_"

// Kind is what sort of actor acted.
type Kind string

// Kinds of actors.
const (
	APIKey Kind = "api_key"
	Token  Kind = "token"
	CLI    Kind = "cli"    // an operator's command; the name is the operating system's user
	System Kind = "system" // the service by itself; the id is the run it acted in, if any
)

// Actor is who did it. Kind and Name are always there.
type Actor struct {
	Kind Kind
	ID   string
	Name string
}

// Outcome is how it ended.
type Outcome string

// Outcomes. Refused means that the actor was not permitted; failed that it was, and it did not come about.
const (
	Succeeded Outcome = "succeeded"
	Refused   Outcome = "refused"
	Failed    Outcome = "failed"
)

// Resource is what it was done to, by its public id.
type Resource struct {
	Type string
	ID   string
}

// Change is one field, as the API shows it, before and after. Values that are no plain text, number or time read Redacted.
type Change struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Platform is the chain of what belongs to no tenant, such as creating one. No tenant has this number.
const Platform tenant.ID = 0

// Event is one entry of a tenant's chain.
type Event struct {
	ID        uuid.UUID
	Tenant    tenant.ID // whose chain it is in, or Platform
	Sequence  int64     // 1 for the first of a chain, without gaps
	At        time.Time // UTC, to the microsecond
	Actor     Actor
	Action    Action
	Resource  Resource
	Outcome   Outcome
	RequestID string // of the API request; empty when there was none
	Address   string // where the request came from; empty when there was none
	Changes   []Change
	// Unreadable says that what is stored is nothing that could have been written: the event was changed in the database. Changes is empty
	// then, and At is zero if it cannot be read. It is found when events are read, and stored nowhere.
	Unreadable bool
}
