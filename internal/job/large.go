package job

import (
	"errors"
	"math"
)

// Large is the rule that keeps a worker of each process free of large jobs, however many of them wait: which jobs are large,
// and how many a process works on at a time. The zero value knows no large jobs.
type Large struct {
	Rows   int64 // a job that reads more rows of its source's report than this is large; 0: none is
	Places int   // for large jobs in a process
}

// large is the rule for a process with so many workers: all of them but one, and the only one if there is but one.
func large(rows int64, workers int) Large { return Large{Rows: rows, Places: max(1, workers-1)} }

// Is tells whether a job that reads so many rows is large.
func (l Large) Is(rows int64) bool { return rows > l.Threshold() }

// Threshold is the number of rows above which a job is large, also where none is.
func (l Large) Threshold() int64 {
	if l.Rows == 0 {
		return math.MaxInt64
	}
	return l.Rows
}

// ErrNoPlace ends a job that turned out to be large while its process has no place for a further large one: it goes back into
// the queue, which knows its size from then on.
var ErrNoPlace = errors.New("the process has no place for a further large job")

// Room is what a process asks of the queue.
type Room struct {
	Holder    string // names the process
	Jobs      int    // free workers
	PerTenant int    // jobs of one tenant that may run at a time, over all processes
	Large     Large
}
