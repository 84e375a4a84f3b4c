package audit

import "time"

// Filter narrows a list of events; what is empty permits all.
type Filter struct {
	Actor    string // an actor's id, or a Kind
	Actions  []Action
	Resource string // a public id
	From     time.Time
	Before   time.Time // not included
}
