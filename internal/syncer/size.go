package syncer

import (
	"context"

	"pgp.internal/defender/internal/job"
)

// rowsPerMachine is how many rows a machine is expected to have before a directory's report has been read: the proportion of
// [ReportPolicy.FilesRows] to FilesMachines.
const rowsPerMachine = 100

// weigh takes a place for large runs once it is known that this is one, and ends the run with [job.ErrNoPlace] if there is none.
// A size that the queue knew was weighed by the claim. A directory that was read before is as large as it was then, else as
// its machines so far let expect.
func (e *execution) weigh(ctx context.Context, machines int64) error {
	rows := e.known.Rows
	if e.known.WholeAt.IsZero() {
		rows = machines * rowsPerMachine
	}
	if e.large || e.job.Large.Is(e.job.Rows) || !e.job.Large.Is(rows) {
		return nil
	}
	taken, err := e.store.TakeLargePlace(ctx, e.job, rows)
	if err == nil && !taken {
		err = job.ErrNoPlace
	}
	e.large = err == nil
	return err
}
