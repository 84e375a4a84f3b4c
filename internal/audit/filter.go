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

// Empty tells whether the filter permits all.
func (f Filter) Empty() bool {
	return len(f.Actors) == 0 && len(f.Actions) == 0 && len(f.Resources) == 0 && len(f.Outcomes) == 0 && f.From.IsZero() && f.Before.IsZero()
}
