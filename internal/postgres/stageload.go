package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/syncer"
)

// load is the first import of a tenant's findings: they are copied into a bare table, which then gets its keys and becomes
// the tenant's partition, all in one transaction. That costs a third of comparing and inserting, and nobody sees a part.
type load struct {
	tx    *sqlx.Tx
	table string
	rows  int64
}

type findingStep = func(context.Context, *sqlx.Tx, syncer.ApplyFindings, *syncer.FindingChanges) error

// beginLoad opens the load if the tenant is to have a partition and has no finding yet. It asks once per stage, in a
// transaction of its own; nobody else can give the tenant findings meanwhile, since imports need the job's claim to commit.
func (st *stage) beginLoad(ctx context.Context, now time.Time) error {
	if st.asked {
		return nil
	}
	st.asked = true
	var wanted bool
	err := st.store.inTenant(ctx, st.job.Tenant, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &wanted, `select load_wanted($1)`, st.store.partitions)
	})
	if err != nil || !wanted {
		return err
	}
	tx, err := st.begin(ctx)
	if err != nil {
		return err
	}
	var table string
	if err := tx.GetContext(ctx, &table, `select load_begin($1)`, now); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	st.load = &load{tx: tx, table: table}
	return nil
}

// loadFindings copies findings into the bare table. Rejections have nothing to act on. The rows are frozen from the start:
// they become visible with the table itself, and nothing has to visit them again.
func (st *stage) loadFindings(ctx context.Context, now time.Time, findings []syncer.StagedFinding) error {
	const columns = "asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, first_seen_at"
	statement := fmt.Sprintf("copy %s (%s) from stdin with (freeze)", st.load.table, columns)
	return copyInside(ctx, st.conn, statement, func(w *copyWriter) {
		for i := range findings {
			f := &findings[i]
			if f.Reason != 0 {
				continue
			}
			copyFinding(w, now, f)
			w.end()
			st.load.rows++
		}
	})
}

// steps are what is left to do once all findings are in the table, but for attaching it; see attachTable.
func (l *load) steps(st *stage) []findingStep {
	steps := []findingStep{l.guard(st), st.loadCounters, st.writeSurroundings, st.releaseCarriers}
	if st.preview {
		return steps
	}
	return append(steps, func(ctx context.Context, tx *sqlx.Tx, _ syncer.ApplyFindings, _ *syncer.FindingChanges) error {
		_, err := tx.ExecContext(ctx, `select load_index()`)
		return err
	})
}

// guard lets the removal guard know what was read; nothing was there that could have gone.
func (l *load) guard(st *stage) findingStep {
	return func(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
		c.Created = l.rows
		h, err := st.beginHold(ctx, tx, o)
		if err != nil {
			return err
		}
		return st.rememberRows(ctx, tx, h)
	}
}

// loadCounters sets what countFindings and its like would have worked out, from what the run counted while it grouped.
func (st *stage) loadCounters(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	_, err := tx.ExecContext(ctx, `
		update asset a set open_critical = c.open_critical, open_high = c.open_high, open_medium = c.open_medium, open_low = c.open_low,
		       open_unknown = c.open_unknown, finding_hash = c.hash, findings_seen_at = `+seenAt+`
		from changed_asset c left join stage_seen s using (asset_id)
		where a.tenant_id = $1 and a.id = c.asset_id`, st.job.Tenant, !o.Incomplete, o.Now)
	if err != nil {
		return err
	}
	// No other asset has findings. To look for them would lock the shared partitions until the load ends, and two loads would
	// wait for each other.
	if _, err := tx.ExecContext(ctx, noteRowless, st.job.Tenant, st.integration.ID, syncer.RowSum{}.Bytes()); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `create temp table loaded_exposure (vulnerability_id int not null, open_assets int not null, severity smallint not null,
		first_seen_at timestamptz not null) on commit drop`)
	if err != nil {
		return err
	}
	err = copyInside(ctx, st.conn, "copy loaded_exposure from stdin", func(w *copyWriter) {
		for _, e := range o.Exposures {
			w.int(int64(e.Vulnerability))
			w.int(int64(e.OpenAssets))
			w.int(int64(e.Severity))
			w.time(time.Unix(int64(e.FirstSeen), 0))
			w.end()
		}
	})
	if err != nil {
		return err
	}
	// A vulnerability without a word of its own has the worst severity among its findings; see rateExposures.
	_, err = tx.ExecContext(ctx, `
		insert into exposure as e (tenant_id, vulnerability_id, open_assets, severity, first_seen_at)
		select $1, l.vulnerability_id, l.open_assets,
		       case when btrim(v.severity_word) = '' or v.severity = 0 then l.severity else v.severity end, l.first_seen_at
		from loaded_exposure l join vulnerability v on v.id = l.vulnerability_id
		order by l.vulnerability_id
		on conflict (tenant_id, vulnerability_id) do update set open_assets = excluded.open_assets, severity = excluded.severity,
		  first_seen_at = least(e.first_seen_at, excluded.first_seen_at), updated_at = $2`, st.job.Tenant, o.Now)
	return err
}
