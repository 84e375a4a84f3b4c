package connector

import "errors"

// Exposure is on how many machines of the directory a vulnerability is, by the source's own count. It is the directory's own
// and no part of the shared catalogue.
type Exposure struct {
	Vulnerability string // upper case
	Machines      int64
}

// ErrNotTold is in the chain of the error of a source that does not tell what it was asked for in few calls.
var ErrNotTold = errors.New("connector: the source tells that only with its whole catalogue")
