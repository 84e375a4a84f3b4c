package connector

import (
	"errors"
	"io"
)

// ErrSnapshotLost is in the chain of a stream's error when what was read of the report no longer belongs together, so that
// the report has to be read from its start.
var ErrSnapshotLost = errors.New("connector: the report has to be read from its start")

// ErrWayClosed is in the chain of an error of Rows when the directory does not offer the report that way, and perhaps another.
var ErrWayClosed = errors.New("connector: the report cannot be had this way")

// PageLog keeps the pages of a source's lists as they came, beyond the end of the process if need be. Different lists may
// be in use at the same time, each by one caller.
type PageLog interface {
	// Replay gives the kept pages of a list to use, in order. When use finds a page unusable, that page and those behind it
	// are forgotten and Replay ends; an error of use ends it too and is returned.
	Replay(l PageList, use func(KeptPage) (usable bool, err error)) error
	// Begin takes in the page behind the kept ones.
	Begin(l PageList) (PageBody, error)
	// Forget gives the kept pages up: the list has to be read from its start.
	Forget(l PageList) error
}

// PageList is a list as its source names it.
type PageList struct {
	Name     string
	First    string // address of its first page; with another one it is another list
	Snapshot bool   // all its pages show one point in time, so that a later run may go on with it
	Part     bool   // it is one of several lists of a snapshot, which is not finished with it
}

// KeptPage is a page as the source sent it.
type KeptPage struct {
	Next     string // address of the page behind it; empty on the last one
	Encoding string // Content-Encoding of Body
	Body     io.Reader
	Damaged  bool // Body is not as it was kept, and use can only tell so: the page is unusable
}

// PageBody takes in the body of one page. Exactly one of Keep and Discard ends it.
type PageBody interface {
	io.Writer // never fails; Keep reports what went wrong
	// Again forgets what was written: the page is read once more.
	Again()
	// Keep makes the page count.
	Keep(next, encoding string) error
	Discard()
}
