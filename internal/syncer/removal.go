package syncer

import "time"

// RemovalPolicy says when an asset that is missing from complete reads counts as removed, and how long after a drop of assets or findings
// was held back a run may confirm it. The zero value believes the first, and the next run that confirms.
type RemovalPolicy struct {
	Misses int           // complete reads by different runs in a row that did not have it
	Over   time.Duration // between the first and the last of them
}

// DefaultRemovalPolicy wants two reads some hours apart: lists that are paged by offset may skip a record while others come
// and go, and single machines were seen to vanish and return within minutes.
func DefaultRemovalPolicy() RemovalPolicy { return RemovalPolicy{Misses: 2, Over: confirmAfter} }

// confirmAfter is how long after a whole list that missed assets another one may say that they are gone.
const confirmAfter = 6 * time.Hour
