package postgres

import (
	"context"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// AddMachines stages judged records. Of several with one index the one added last counts.
func (st *stage) AddMachines(ctx context.Context, machines []syncer.StagedMachine) error {
	var failed error
	err := st.copy(ctx, "stage_machine (idx, seq, source_id, reason, survivor, public_id, "+sourceColumns+", words)", func(w *copyWriter) {
		for _, m := range machines {
			st.sequence++
			w.int(int64(m.Index))
			w.int(st.sequence)
			w.text(m.SourceID)
			w.text(string(m.Reason))
			w.text(m.Survivor)
			if m.Asset == nil {
				for range 1 + strings.Count(sourceColumns, ",") + 1 + 1 {
					w.null()
				}
			} else {
				w.text(newID().String())
				if err := writeAsset(w, m.Asset); err != nil {
					failed = err
					return
				}
				w.strings(assetWords(m.Asset))
			}
			w.end()
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// machinePlan is one application of machines in progress.
type machinePlan struct {
	syncer.ApplyMachines
	done     syncer.MachineChanges
	accepted int64 // machines that count, quota aside
	fresh    int64 // of these, unknown until now
	returned int64 // of these, known and not in scope until now
	before   int64 // assets in scope until now, without those that leave because asset import is off
}

// ApplyMachines makes the stored assets equal to what was staged, in one transaction.
func (st *stage) ApplyMachines(ctx context.Context, o syncer.ApplyMachines) (c syncer.MachineChanges, err error) {
	if st.preview {
		return st.previewMachines(ctx, o)
	}
	err = st.apply(ctx, syncer.StageAssets, func(tx *sqlx.Tx) (err error) {
		c, err = st.applyMachines(ctx, tx, o)
		return err
	})
	return c, err
}

type machineStep = func(context.Context, *sqlx.Tx, *machinePlan) error

func (st *stage) applyMachines(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyMachines) (c syncer.MachineChanges, err error) {
	p := &machinePlan{ApplyMachines: o}
	// Those that leave make room under the quota before others come, back or for the first time.
	for _, step := range []machineStep{
		st.openBefore, st.gatherMachines, st.updateAssets, st.releaseAssets, st.ration, st.bringBack, st.insertAssets, st.leaveBehind, st.listAssets, st.noteKept, st.openAfter,
	} {
		if err := step(ctx, tx, p); err != nil {
			return c, err
		}
	}
	c, st.relist = p.done, o.Rejudged || o.Incomplete || p.done.Held > 0 // should the run end before it can tell what it has learnt
	return c, o.Confirm(&c)
}

// gatherMachines reduces the staged records to one per machine and, while asset import is off, to the carriers: machines
// with rows that count, and those with open findings, which have to be compared once more before the machine may leave.
func (st *stage) gatherMachines(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	_, err := tx.ExecContext(ctx, `
		create temp table incoming on commit drop as
		select distinct on (idx) * from stage_machine order by idx, seq desc;
		create unique index on incoming (source_id);
		analyze incoming (idx, source_id, reason);`)
	if err != nil {
		return err
	}
	if p.CarriersOnly {
		if err := inSets(ctx, tx, func() error { return st.leaveBare(ctx, tx, p) }); err != nil {
			return err
		}
	}
	return tx.QueryRowxContext(ctx, `
		select count(*) filter (where i.reason = ''), count(*) filter (where i.reason = '' and a.id is null),
		       count(*) filter (where i.reason = '' and a.state is not null and a.state not in ('active', 'inactive')),
		       count(*) filter (where a.state in ('active', 'inactive') and i.reason is distinct from $3)
		from incoming i
		full join (select * from asset where tenant_id = $1 and integration_id = $2) a on a.source_id = i.source_id`,
		st.job.Tenant, st.integration.ID, string(inventory.ImportAssetsOff)).Scan(&p.accepted, &p.fresh, &p.returned, &p.before)
}

// leaveBare leaves out machines that are no carriers.
func (st *stage) leaveBare(ctx context.Context, tx *sqlx.Tx, p *machinePlan) (err error) {
	p.done.CarrierFree, err = affected(ctx, tx, `
		update incoming i set reason = $1 where reason = '' and not idx = any(coalesce($2::int[], '{}')) and not exists (
		  select from asset a where a.tenant_id = $3 and a.integration_id = $4 and a.source_id = i.source_id
		    and a.open_critical + a.open_high + a.open_medium + a.open_low + a.open_unknown > 0)`,
		string(inventory.ImportAssetsOff), pq.Array(p.Carriers), st.job.Tenant, st.integration.ID)
	if err != nil {
		return err
	}
	return tx.SelectContext(ctx, &p.done.CarrierFreeNamed, `
		select source_id as sourceid, hostname as name from incoming where reason = $1 order by idx limit $2`,
		string(inventory.ImportAssetsOff), syncer.MaxSkippedMachines)
}

// importState is what assets of this run are marked as.
func importState(p *machinePlan) string {
	if p.CarriersOnly {
		return string(inventory.Carrier)
	}
	return string(inventory.Imported)
}

// updateAssets makes those current that are in scope and stay there.
func (st *stage) updateAssets(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	return st.refresh(ctx, tx, p, `a.state in ('active', 'inactive')`)
}

// bringBack takes those in again that were not in scope, as far as the quota allows.
func (st *stage) bringBack(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	return st.refresh(ctx, tx, p, `a.state not in ('active', 'inactive')`)
}

// refresh makes the known assets that meet the condition equal to their machines. A changed host name leaves the old one behind;
// an asset that was out of scope has its rows compared afresh, and one that was stale as well: nobody looked at them meanwhile.
func (st *stage) refresh(ctx context.Context, tx *sqlx.Tx, p *machinePlan, of string) error {
	updated, err := affected(ctx, tx, `
		with changed as (
		update asset a set (`+sourceColumns+`) = row(`+incomingColumns+`),
		  previous_hostnames = case when a.hostname = i.hostname then a.previous_hostnames
		    else array_append(array_remove(array_remove(a.previous_hostnames, i.hostname), a.hostname), a.hostname) end,
		  finding_hash = case when a.state in ('active', 'inactive') then a.finding_hash else '' end,
		  state_reason = '', merged_into = '', import_state = $3, updated_at = now()
		from incoming i
		where a.tenant_id = $1 and a.integration_id = $2 and a.source_id = i.source_id and i.reason = '' and `+of+`
		  and (a.content_hash <> i.content_hash or a.state <> i.state or a.import_state <> $3)
		returning a.id, i.words
		)
		insert into renewed (asset_id, words) select id, words from changed`, st.job.Tenant, st.integration.ID, importState(p))
	if err == nil && updated > 0 {
		err = st.renewWords(ctx, tx)
	}
	if err != nil {
		return err
	}
	p.done.Updated += updated
	// Times of sighting alone are kept current but are no change worth reporting.
	_, err = tx.ExecContext(ctx, `
		update asset a set first_seen_at = i.first_seen_at, last_seen_at = i.last_seen_at
		from incoming i
		where a.tenant_id = $1 and a.integration_id = $2 and a.source_id = i.source_id and i.reason = '' and `+of+`
		  and (a.first_seen_at is distinct from i.first_seen_at or a.last_seen_at is distinct from i.last_seen_at)`,
		st.job.Tenant, st.integration.ID)
	return err
}

// renewWords has the text search find assets by what they are called now. Their words are looked up from a table with an index: the planner may expect
// the tenant to have a single word, and would go through all of them for each asset.
func (st *stage) renewWords(ctx context.Context, tx *sqlx.Tx) error {
	if _, err := tx.ExecContext(ctx, `analyze renewed (asset_id)`); err != nil {
		return err
	}
	for _, statement := range []string{
		`delete from asset_word w using renewed r where w.tenant_id = $1 and w.asset_id = r.asset_id and w.word <> all (r.words)`,
		`insert into asset_word (tenant_id, word, asset_id) select $1, unnest(r.words), r.asset_id from renewed r on conflict do nothing`,
	} {
		if _, err := tx.ExecContext(ctx, statement, st.job.Tenant); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `truncate renewed`)
	return err
}

// insertAssets adds new machines; ration has left those out that are too many.
func (st *stage) insertAssets(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	err := tx.GetContext(ctx, &p.done.Created, `
		with created as (
		insert into asset (tenant_id, public_id, integration_id, source_id, import_state, `+sourceColumns+`)
		select $1, i.public_id, $2, i.source_id, $3, `+incomingColumns+`
		from incoming i
		where i.reason = '' and not exists (
		  select from asset a where a.tenant_id = $1 and a.integration_id = $2 and a.source_id = i.source_id)
		order by i.idx
		returning id, source_id
		), learnt as (
		insert into asset_word (tenant_id, word, asset_id) select $1, unnest(i.words), c.id from created c join incoming i using (source_id)
		)
		select count(*) from created`, st.job.Tenant, st.integration.ID, importState(p))
	p.done.Unchanged = p.accepted - p.done.OverQuota - p.done.Created - p.done.Updated
	return err
}

// leaveBehind marks the assets that stay in scope without being read, but for those that have yet to get back what they had lost; see settleKept.
func (st *stage) leaveBehind(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	if p.Partial {
		return nil // the others are read as well, as far as there are changes of their rows, and what is missing was marked by a whole list
	}
	_, err := tx.ExecContext(ctx, `
		update asset a set finding_hash = $3
		where a.tenant_id = $1 and a.integration_id = $2 and a.state in ('active', 'inactive') and a.finding_hash <> $3
		  and not exists (select from incoming i where i.source_id = a.source_id and i.reason = '')
		  and not (a.finding_hash = '' and `+hasFindings+`)`,
		st.job.Tenant, st.integration.ID, behind)
	return err
}

// listAssets hands the run the assets it may attach findings to. Where only some machines were asked for, that is the others as well, unless
// the last whole list missed them.
func (st *stage) listAssets(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	rows, err := tx.QueryxContext(ctx, `
		select coalesce(i.idx, -1), case when i.idx is null then a.source_id else '' end, a.id, a.finding_hash, a.open_critical + a.open_high + a.open_medium + a.open_low + a.open_unknown,
		       a.finding_hash = $5 or a.finding_hash = '' and `+hasFindings+`,
		       a.finding_hash = $3, a.finding_hash = '', coalesce(extract(epoch from a.first_seen_at)::bigint, 0)
		from asset a left join incoming i on i.source_id = a.source_id
		where a.tenant_id = $1 and a.integration_id = $2 and (i.reason = '' or $4 and i.idx is null and a.state in ('active', 'inactive') and a.missing_since is null)`,
		st.job.Tenant, st.integration.ID, uncompared, p.Partial, behind)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	p.done.Assets = make([]syncer.KnownAsset, 0, p.accepted)
	for rows.Next() {
		var known syncer.KnownAsset
		var hash []byte
		if err := rows.Scan(&known.Index, &known.SourceID, &known.ID, &hash, &known.Findings, &known.Dormant, &known.Uncompared, &known.Fresh, &known.FirstSeenAt); err != nil {
			return err
		}
		known.FindingHash = syncer.ReadRowSum(hash)
		p.done.Assets = append(p.done.Assets, known)
	}
	return rows.Err()
}

// incomingColumns are sourceColumns of a staged machine.
var incomingColumns = "i." + strings.Join(splitColumns(sourceColumns), ", i.")

func splitColumns(list string) []string {
	columns := strings.Split(list, ",")
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	return columns
}
