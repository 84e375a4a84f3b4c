package audit

import "time"

// Filter narrows a list of events; what is empty permits all.
type Filter struct {
	Actors    []string // actors' ids, or Kinds
	Actions   []Action
	Resources []string // public ids
	Outcomes  []Outcome
	From      time.Time
	Before    time.Time // not included
}
