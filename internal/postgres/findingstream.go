package postgres

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// EachFinding hands over all findings that f selects, of every state unless f names some, in the order of assets and
// vulnerabilities and in batches that are take's until it returns. Each batch is read in a transaction of its own, the
// next one while take is at work, so that however long take needs it holds neither a connection nor more than two batches
// in memory. What changes meanwhile may be seen or not; no finding is handed over twice.
func (s *Store) EachFinding(ctx context.Context, id tenant.ID, f inventory.FindingFilter, take func([]inventory.Finding) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := &findingStream{store: s, tenant: id, filter: f, facts: newFacts()}
	next := r.ahead(ctx)
	for {
		batch := <-next
		if batch.err != nil {
			return batch.err
		}
		if !batch.last {
			next = r.ahead(ctx)
		}
		if err := take(batch.findings); err != nil || batch.last {
			return err
		}
	}
}

// findingStream is the state between two batches.
type findingStream struct {
	store  *Store
	tenant tenant.ID
	filter inventory.FindingFilter
	plan   *findingPlan
	facts  *facts
	asset  int64 // where the last batch ended
	vuln   int32
}

type findingBatch struct {
	findings []inventory.Finding
	last     bool
	err      error
}

// ahead reads the next batch in the background. The channel has room for it, so nobody waits if it is not wanted any more.
func (r *findingStream) ahead(ctx context.Context) <-chan findingBatch {
	ready := make(chan findingBatch, 1)
	go func() {
		var b findingBatch
		defer func() {
			if reason := recover(); reason != nil { // of whoever asked it would end no more than the request
				b = findingBatch{err: fmt.Errorf("panic: %v\n%s", reason, debug.Stack())}
			}
			ready <- b
		}()
		b.err = r.store.inSnapshot(ctx, r.tenant, func(tx *sqlx.Tx) (err error) {
			b.findings, b.last, err = r.read(ctx, tx)
			return err
		})
	}()
	return ready
}

func (r *findingStream) read(ctx context.Context, tx *sqlx.Tx) (findings []inventory.Finding, last bool, err error) {
	err = inOrder(ctx, tx, func() error {
		rows, ended, err := r.next(ctx, tx)
		if err != nil {
			return err
		}
		if err := r.facts.learn(ctx, tx, r.tenant, rows); err != nil {
			return err
		}
		findings, last = r.facts.describe(rows), ended
		return nil
	})
	return findings, last, err
}

// next reads a batch, and takes the stream to where it ended.
func (r *findingStream) next(ctx context.Context, tx *sqlx.Tx) (rows []findingRow, last bool, err error) {
	k := r.asTheyLie()
	if r.plan == nil {
		plan, err := r.store.planFindings(ctx, tx, r.tenant, r.filter, k)
		if err != nil {
			return nil, false, err
		}
		plan.limits.walk *= streamWalks
		r.plan = &plan
	}
	if rows, err = r.page(ctx, tx, k); err != nil {
		return nil, false, err
	}
	if len(rows) == r.plan.limits.batch {
		end := &rows[len(rows)-1]
		r.asset, r.vuln = end.AssetID, end.VulnID
		return rows, false, nil
	}
	walked, err := r.plan.walkEnd(ctx, tx, r.tenant, k)
	if err != nil || walked == nil {
		return rows, true, err
	}
	r.asset, r.vuln = walked.AssetID, walked.VulnID
	return rows, false, nil
}

// asTheyLie is the order of the primary key, after the last batch.
func (r *findingStream) asTheyLie() keyset {
	return keyset{columns: findingOrder.ties, after: []string{strconv.FormatInt(r.asset, 10), strconv.FormatInt(int64(r.vuln), 10)}}
}

// page reads the finding table alone: what else belongs to findings repeats too much to be joined row by row.
func (r *findingStream) page(ctx context.Context, tx *sqlx.Tx, k keyset) ([]findingRow, error) {
	q, batch := newListQuery(r.tenant), r.plan.limits.batch
	source, order := r.plan.streamed(q, k)
	statement := `
		select f.asset_id, f.vulnerability_id, f.software_ids, f.severity, f.severity_source, f.attack_vector, f.state, f.reopen_count,
		       coalesce(f.state_reason, ''), f.first_seen_at, f.last_seen_at, case when f.state = 2 then f.closed_at end, f.reopened_at,
		       f.created_at, f.updated_at` + source + order + " limit " + q.bind(batch)
	rows, err := tx.QueryContext(ctx, statement, q.args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	list := make([]findingRow, 0, batch)
	for rows.Next() {
		list = append(list, findingRow{})
		f := &list[len(list)-1]
		err := rows.Scan(&f.AssetID, &f.VulnID, &f.SoftwareIDs, &f.Severity, &f.SeveritySource, &f.AttackVector, &f.State, &f.ReopenCount,
			&f.StateReason, &f.FirstSeenAt, &f.LastSeenAt, &f.FixedAt, &f.ReopenedAt, &f.CreatedAt, &f.UpdatedAt)
		if err != nil {
			return nil, err
		}
	}
	return list, rows.Err()
}
