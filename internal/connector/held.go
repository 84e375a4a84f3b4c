package connector

import (
	"fmt"
	"time"

	"pgp.internal/defender/internal/fault"
)

// Held is a drop that the removal guard keeps from happening until a second complete run agrees or somebody approves of it, as the
// last run found it that held it back.
type Held struct {
	Kind       string // what would leave: assets or findings
	At         time.Time
	Before     int64 // in scope until then
	Leaving    int64
	ApprovedAt time.Time // zero while nobody has
}

// HeldWarnings tells what is held back, and what to do about it.
func (i *Integration) HeldWarnings() []*fault.Error {
	if i.Gone() {
		return nil
	}
	told := make([]*fault.Error, len(i.Held))
	for n, h := range i.Held {
		f := fault.New(fault.CodeRemovalHeld, fmt.Sprintf("A run on %s would have taken %d of %d %s out of the inventory; they were kept.",
			h.At.UTC().Format("2 January 2006, 15:04 MST"), h.Leaving, h.Before, h.Kind))
		if !h.ApprovedAt.IsZero() {
			f.Remedy, f.Acts = "Nothing to do: somebody has approved of it, and the next complete run goes through with it.", fault.Nobody
		}
		told[n] = f
	}
	return told
}
