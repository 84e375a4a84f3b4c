package postgres

import (
	"context"
	"strconv"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// keepSkipped stores the list of what a run left out, and drops those of runs that are too long ago.
func keepSkipped(ctx context.Context, tx *sqlx.Tx, run *syncer.Run, chunks []syncer.SkippedChunk) error {
	for i := range chunks {
		c := &chunks[i]
		_, err := tx.ExecContext(ctx, `
			insert into run_skipped (tenant_id, run_id, chunk, stage, reason, lines, records, body) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
			run.Tenant, run.ID, i, c.Stage, string(c.Reason), c.Lines, c.Records, c.Body)
		if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `
		delete from run_skipped where tenant_id = $1 and run_id in (
		  select id from run where tenant_id = $1 and integration_id = $2 order by id desc offset $3)`, run.Tenant, run.IntegrationID, syncer.KeepSkipped)
	return err
}

// skippedChunk is a stored chunk with its place in the list.
type skippedChunk struct {
	Chunk int64
	syncer.SkippedChunk
}

// ListSkipped pages through what a run left out, in the order of stages and reasons; no reasons means all. The fault
// not_found says that there is no such run, that it has not ended, or that its list is not kept any more.
func (s *Store) ListSkipped(ctx context.Context, t tenant.ID, id uuid.UUID, reasons []inventory.Reason, page inventory.PageRequest) (found []syncer.SkippedRecord, next inventory.Position, err error) {
	chunk, line, err := skippedPosition(page.After)
	if err != nil {
		return nil, nil, err
	}
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		run, err := readRun(ctx, tx, t, id)
		if err != nil {
			return err
		}
		if err := mustHaveList(ctx, tx, &run); err != nil {
			return err
		}
		found, next, err = readSkipped(ctx, tx, &run, reasons, chunk, line, page.Limit)
		return err
	})
	return found, next, err
}

// mustHaveList tells an empty list from one that is missing.
func mustHaveList(ctx context.Context, tx *sqlx.Tx, run *syncer.Run) error {
	var booked, listed int64
	for i := range run.Report.Stages {
		booked += run.Report.Stages[i].Counts.Skipped
	}
	err := tx.GetContext(ctx, &listed, `select coalesce(sum(records), 0) from run_skipped where tenant_id = $1 and run_id = $2`, run.Tenant, run.ID)
	switch {
	case err != nil || listed == booked:
		return err
	case !run.State.Final():
		return fault.New(fault.CodeNotFound, "the list is there once the run has ended")
	}
	return fault.Newf(fault.CodeNotFound, "the list is kept for the last %d runs of an integration, until its data are purged", syncer.KeepSkipped)
}

// readSkipped reads chunks from the given place on until a page is full and it is known whether there is more.
func readSkipped(ctx context.Context, tx *sqlx.Tx, run *syncer.Run, reasons []inventory.Reason, chunk, line int64, limit int) ([]syncer.SkippedRecord, inventory.Position, error) {
	found := []syncer.SkippedRecord{}
	for {
		var stored []skippedChunk
		err := tx.SelectContext(ctx, &stored, `
			select chunk, stage, reason, lines, records, body from run_skipped
			where tenant_id = $1 and run_id = $2 and chunk >= $3 and (cardinality($4::text[]) = 0 or reason = any($4))
			order by chunk limit 1`, run.Tenant, run.ID, chunk, texts(reasons))
		if err != nil || len(stored) == 0 {
			return found, nil, err
		}
		if stored[0].Chunk > chunk {
			chunk, line = stored[0].Chunk, 0
		}
		if len(found) == limit {
			return found, inventory.Position{strconv.FormatInt(chunk, 10), strconv.FormatInt(line, 10)}, nil
		}
		lines, err := stored[0].Unpack()
		if err != nil {
			return nil, nil, err
		}
		lines = lines[min(line, int64(len(lines))):]
		n := min(limit-len(found), len(lines))
		found = append(found, lines[:n]...)
		if line += int64(n); n == len(lines) {
			chunk, line = chunk+1, 0
		}
	}
}

// skippedPosition is the chunk and the line in it from which to read on.
func skippedPosition(p inventory.Position) (chunk, line int64, err error) {
	if p == nil {
		return 0, 0, nil
	}
	if len(p) == 2 {
		chunk, err = strconv.ParseInt(p[0], 10, 32)
		if err == nil {
			line, err = strconv.ParseInt(p[1], 10, 32)
		}
		if err == nil && chunk >= 0 && line >= 0 {
			return chunk, line, nil
		}
	}
	return 0, 0, fault.New(fault.CodeInvalidCursor, "")
}
