package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

type runRow struct {
	ID                int64           `db:"id"`
	PublicID          uuid.UUID       `db:"public_id"`
	TenantID          int32           `db:"tenant_id"`
	IntegrationID     int64           `db:"integration_id"`
	IntegrationPublic uuid.UUID       `db:"integration_public"`
	Kind              string          `db:"kind"`
	Trigger           string          `db:"trigger"`
	Mode              string          `db:"mode"`
	State             string          `db:"state"`
	Stage             string          `db:"stage"`
	Report            []byte          `db:"report"`
	Preview           *settingsColumn `db:"preview"`
	CreatedAt         time.Time       `db:"created_at"`
	UpdatedAt         time.Time       `db:"updated_at"`
	StartedAt         sql.NullTime    `db:"started_at"`
	FinishedAt        sql.NullTime    `db:"finished_at"`
}

const runQuery = `
	select r.id, r.public_id, r.tenant_id, r.integration_id,
	       (select i.public_id from integration i where i.tenant_id = r.tenant_id and i.id = r.integration_id) as integration_public,
	       r.kind, r.trigger, r.mode, r.state, r.stage, r.report, r.preview, r.created_at, r.updated_at, r.started_at, r.finished_at
	from run r`

func (r runRow) run() (syncer.Run, error) {
	run := syncer.Run{
		ID: r.ID, PublicID: r.PublicID, Tenant: tenant.ID(r.TenantID), IntegrationID: r.IntegrationID,
		IntegrationPublic: r.IntegrationPublic, Kind: syncer.Kind(r.Kind), Trigger: syncer.Trigger(r.Trigger), Mode: syncer.Mode(r.Mode),
		State: syncer.RunState(r.State), Stage: syncer.Stage(r.Stage), CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), StartedAt: utc(r.StartedAt),
		FinishedAt: utc(r.FinishedAt),
	}
	if r.Preview != nil {
		run.Preview = &syncer.Preview{Settings: inventory.Settings(*r.Preview)}
	}
	return run, json.Unmarshal(r.Report, &run.Report)
}

// StartRun queues a run for the integration. If one is active already it returns the fault run_in_progress, with that
// run's public id as its Data.
func (s *Store) StartRun(ctx context.Context, t tenant.ID, integration uuid.UUID, mode syncer.Mode) (run syncer.Run, err error) {
	return s.startRun(ctx, t, integration, mode, nil)
}

// StartPreview queues a run that changes nothing, also of a paused integration; otherwise it is StartRun.
func (s *Store) StartPreview(ctx context.Context, t tenant.ID, integration uuid.UUID, mode syncer.Mode, p syncer.Preview) (syncer.Run, error) {
	return s.startRun(ctx, t, integration, mode, &p)
}

func (s *Store) startRun(ctx context.Context, t tenant.ID, integration uuid.UUID, mode syncer.Mode, p *syncer.Preview) (run syncer.Run, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		i, err := lockIntegration(ctx, tx, t, integration, 0)
		if err != nil {
			return err
		}
		if i.SecretBox == nil {
			return fault.New(fault.CodeConflict, "the integration is disconnected")
		}
		if i.State == connector.StatePaused && p == nil {
			return fault.New(fault.CodeIntegrationPaused, "")
		}
		if run, err = insertRun(ctx, tx, t, i.ID, syncer.KindSync, syncer.ByHand, mode); err != nil {
			return err
		}
		if run.Preview = p; p != nil {
			_, err = tx.ExecContext(ctx, `update run set preview = $3 where tenant_id = $1 and id = $2`, t, run.ID, settingsColumn(p.Settings))
			if err != nil {
				return err
			}
		}
		changes := audit.Diff(audit.Diff(nil, "mode", "", mode), "preview", false, p != nil)
		changes = audit.Diff(changes, "integration_id", "", tenant.PublicText(tenant.IntegrationPrefix, integration))
		return s.record(ctx, tx, t, deed{action: audit.RunStarted, resource: on(tenant.RunPrefix, run.PublicID), changes: changes})
	})
	return run, err
}

// insertRun adds a queued run and its job. The caller holds the integration's lock, so that one run is active at a time.
func insertRun(ctx context.Context, tx *sqlx.Tx, t tenant.ID, integration int64, kind syncer.Kind, trigger syncer.Trigger, mode syncer.Mode) (syncer.Run, error) {
	var active uuid.UUID
	err := tx.GetContext(ctx, &active, `
		select public_id from run
		where tenant_id = $1 and integration_id = $2 and state in ('queued', 'running', 'cancelling')`, t, integration)
	if err == nil {
		f := fault.New(fault.CodeRunInProgress, "")
		f.Data = active
		return syncer.Run{}, f
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return syncer.Run{}, err
	}
	id := newID()
	var runID int64
	err = tx.GetContext(ctx, &runID, `
		insert into run (tenant_id, public_id, integration_id, kind, trigger, mode, state)
		values ($1, $2, $3, $4, $5, $6, 'queued') returning id`, t, id, integration, kind, trigger, mode)
	if err != nil {
		return syncer.Run{}, err
	}
	_, err = tx.ExecContext(ctx, `
		insert into job (tenant_id, kind, subject, run_id, report_rows)
		select $1, $2::text, $3, $4, case when $2 = 'sync' then coalesce((reading->>'rows')::bigint, 0) else 0 end
		from integration where tenant_id = $1 and id = $5`, t, kind, id, runID, integration)
	if err != nil {
		return syncer.Run{}, err
	}
	return readRun(ctx, tx, t, id)
}

// Run reads one run.
func (s *Store) Run(ctx context.Context, t tenant.ID, id uuid.UUID) (run syncer.Run, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		run, err = readRun(ctx, tx, t, id)
		return err
	})
	return run, err
}

func readRun(ctx context.Context, tx *sqlx.Tx, t tenant.ID, id uuid.UUID) (syncer.Run, error) {
	var row runRow
	if err := tx.GetContext(ctx, &row, runQuery+` where r.tenant_id = $1 and r.public_id = $2`, t, id); err != nil {
		return syncer.Run{}, notFound(err, "run")
	}
	return row.run()
}

// ListRuns pages through runs, newest first.
func (s *Store) ListRuns(ctx context.Context, t tenant.ID, f syncer.RunFilter, page inventory.PageRequest) ([]syncer.Run, inventory.Position, error) {
	before, err := beforeID(page.After)
	if err != nil {
		return nil, nil, err
	}
	var rows []runRow
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, runQuery+`
			where r.tenant_id = $1 and r.id < $2 and (cardinality($3::uuid[]) = 0 or r.integration_id = any(array(
			    select i.id from integration i where i.tenant_id = $1 and i.public_id = any($3))))
			  and (cardinality($4::text[]) = 0 or r.state = any($4)) and (cardinality($5::text[]) = 0 and not $9 or r.kind = 'purge' and $9 or r.kind <> 'purge' and r.trigger = any($5))
			  and ($6::timestamptz is null or r.created_at >= $6) and ($7::timestamptz is null or r.created_at < $7)
			order by r.id desc limit $8`,
			t, before, pq.Array(listOf(f.Integrations)), texts(f.States), texts(f.Triggers), nullTime(f.CreatedFrom), nullTime(f.CreatedBefore), page.Limit+1, f.Purges)
	})
	if err != nil {
		return nil, nil, err
	}
	rows, next := cut(rows, page.Limit, func(r runRow) inventory.Position { return inventory.Position{strconv.FormatInt(r.ID, 10)} })
	runs, err := runsOf(rows)
	return runs, next, err
}

// RunsByID reads several runs at once, in no particular order; ids that are not the tenant's are left out.
func (s *Store) RunsByID(ctx context.Context, t tenant.ID, ids []uuid.UUID) ([]syncer.Run, error) {
	var rows []runRow
	err := s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, runQuery+` where r.tenant_id = $1 and r.public_id = any($2)`, t, pq.Array(ids))
	})
	if err != nil {
		return nil, err
	}
	return runsOf(rows)
}

func runsOf(rows []runRow) ([]syncer.Run, error) {
	runs := make([]syncer.Run, 0, len(rows))
	for _, r := range rows {
		run, err := r.run()
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// listOf is the list itself, never nil, which would be sent as NULL.
func listOf[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

// texts passes enumerations as a text[]; none at all becomes the empty array.
func texts[T ~string](values []T) any {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return pq.Array(out)
}

func beforeID(p inventory.Position) (int64, error) {
	if p == nil {
		return 1<<63 - 1, nil
	}
	if len(p) == 1 {
		if id, err := strconv.ParseInt(p[0], 10, 64); err == nil {
			return id, nil
		}
	}
	return 0, fault.New(fault.CodeInvalidCursor, "")
}

// auditEvery is how often a scheduled run compares every stored finding, whatever the content hashes say: a deviation of
// whatever origin then lasts a week at most.
const auditEvery = 7 * 24 * time.Hour

// ScheduleDue queues a run for every integration whose time has come and plans the next one, jittered by up to a tenth of
// the interval so that integrations connected together drift apart. It also queues the purges of data that have aged out, and
// deletions of tenants that were set aside. It returns how many runs and deletions were queued.
func (s *Store) ScheduleDue(ctx context.Context, now time.Time) (queued int, err error) {
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		if queued, err = s.schedulePurges(ctx, tx, now); err != nil {
			return err
		}
		endings, err := scheduleOffboarding(ctx, tx, now)
		if err != nil {
			return err
		}
		queued += int(endings)
		var due []struct {
			TenantID int32 `db:"tenant_id"`
			ID       int64 `db:"id"`
			Interval int   `db:"interval_hours"`
			Audit    bool  `db:"audit"`
		}
		err = tx.SelectContext(ctx, &due, `
			select i.tenant_id, i.id, i.interval_hours,
			       not exists (select from run r where r.tenant_id = i.tenant_id and r.integration_id = i.id and r.kind = 'sync' and r.mode = 'full'
			                   and r.state = 'succeeded' and r.preview is null and r.created_at > $1::timestamptz - make_interval(secs => $2)) as audit
			from integration i join tenant t on t.id = i.tenant_id
			where i.next_run_at <= $1 and (i.wait_until is null or i.wait_until <= $1) and i.secret_box is not null and t.state = 'active'
			order by i.next_run_at limit 100
			for update of i skip locked`, now, auditEvery.Seconds())
		if err != nil {
			return err
		}
		for _, d := range due {
			mode := syncer.Incremental
			if d.Audit {
				mode = syncer.Full
			}
			next := nextRun(now, d.Interval)
			_, err := insertRun(ctx, tx, tenant.ID(d.TenantID), d.ID, syncer.KindSync, syncer.BySchedule, mode)
			switch {
			case fault.Is(err, fault.CodeRunInProgress): // it does today's work, unless it is a preview
				next, err = afterPreview(ctx, tx, d.TenantID, d.ID, now, next)
				if err != nil {
					return err
				}
			case err != nil:
				return err
			default:
				queued++
			}
			_, err = tx.ExecContext(ctx, `update integration set next_run_at = $3 where tenant_id = $1 and id = $2`, d.TenantID, d.ID, next)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return queued, err
}

// previewsTake is how soon a run is tried again whose turn came during a preview.
const previewsTake = time.Minute

// afterPreview puts off the next run of an integration that is busy: shortly if it is busy with a preview, which imports nothing.
func afterPreview(ctx context.Context, tx *sqlx.Tx, t int32, integration int64, now, next time.Time) (time.Time, error) {
	var preview bool
	err := tx.GetContext(ctx, &preview, `
		select exists (select from run where tenant_id = $1 and integration_id = $2 and preview is not null and state in ('queued', 'running', 'cancelling'))`, t, integration)
	if preview {
		next = now.Add(previewsTake)
	}
	return next, err
}
