package postgres

import (
	"context"
	"errors"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/syncer"
)

// replay is what a preview has to do again: machines are applied and taken back at once, because the report is read before anything
// else is, which may take as long as Microsoft likes, and whoever waits in a transaction that wrote findings keeps all others from
// attaching, dropping and moving partitions.
type replay struct {
	machines syncer.ApplyMachines
	assets   []syncer.KnownAsset // as the run knows them by now: new ones get the same numbers again
}

// previewMachines tells what applying machines would do.
func (st *stage) previewMachines(ctx context.Context, o syncer.ApplyMachines) (c syncer.MachineChanges, err error) {
	tx, err := st.open(ctx)
	if err != nil {
		return c, classify(ctx, err)
	}
	defer func() { _ = tx.Rollback() }()
	if c, err = st.applyMachines(ctx, tx, o); err != nil {
		return c, classify(ctx, err)
	}
	st.again = &replay{machines: o, assets: c.Assets}
	return c, nil
}

// beginWhole opens the one transaction of a preview, which is never committed, with the machines applied.
func (st *stage) beginWhole(ctx context.Context) (err error) {
	if st.again != nil {
		if err := st.number(ctx, st.again.assets); err != nil {
			return err
		}
	}
	if st.whole, err = st.open(ctx); err != nil || st.again == nil {
		return err
	}
	p := &machinePlan{ApplyMachines: st.again.machines}
	for _, step := range []machineStep{st.gatherMachines, st.updateAssets, st.releaseAssets, st.ration, st.bringBack, st.insertNumbered, st.insertAssets, st.leaveBehind, st.noteKept} {
		if err := step(ctx, st.whole, p); err != nil {
			err = errors.Join(err, st.whole.Rollback())
			st.whole = nil
			return err
		}
	}
	st.again = nil
	return nil
}

// number keeps which number each machine's asset has.
func (st *stage) number(ctx context.Context, assets []syncer.KnownAsset) error {
	if _, err := st.conn.ExecContext(ctx, `create temp table numbered (idx int not null, id bigint not null)`); err != nil {
		return err
	}
	return copyRows(ctx, st.conn, "numbered (idx, id)", func(w *copyWriter) {
		for _, a := range assets {
			w.int(int64(a.Index))
			w.int(a.ID)
			w.end()
		}
	})
}

// insertNumbered is insertAssets for the machines whose assets have numbers already.
func (st *stage) insertNumbered(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	_, err := tx.ExecContext(ctx, `
		insert into asset (tenant_id, id, public_id, integration_id, source_id, import_state, `+sourceColumns+`) overriding system value
		select $1, n.id, i.public_id, $2, i.source_id, $3, `+incomingColumns+`
		from incoming i join numbered n using (idx)
		where i.reason = '' and not exists (
		  select from asset a where a.tenant_id = $1 and a.integration_id = $2 and a.source_id = i.source_id)`,
		st.job.Tenant, st.integration.ID, importState(p))
	return err
}
