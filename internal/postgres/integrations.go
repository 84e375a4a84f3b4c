package postgres

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

type integrationRow struct {
	ID              int64        `db:"id"`
	PublicID        uuid.UUID    `db:"public_id"`
	TenantID        int32        `db:"tenant_id"`
	Type            string       `db:"type"`
	Name            string       `db:"name"`
	DirectoryID     string       `db:"directory_id"`
	ClientID        string       `db:"client_id"`
	SecretMethod    string       `db:"secret_method"`
	SecretBox       []byte       `db:"secret_box"`
	SecretHint      string       `db:"secret_hint"`
	SecretUpdatedAt time.Time    `db:"secret_updated_at"`
	SecretExpiresAt sql.NullTime `db:"secret_expires_at"`
	SecretExpiredAt sql.NullTime `db:"secret_expired_at"`
	stagedRow
	Settings      settingsColumn `db:"settings"`
	IntervalHours int            `db:"interval_hours"`
	State         string         `db:"state"`
	StateReason   string         `db:"state_reason"`
	StateNotice   noticeColumn   `db:"state_notice"`
	NextRunAt     sql.NullTime   `db:"next_run_at"`
	WaitUntil     sql.NullTime   `db:"wait_until"`
	AskedAt       sql.NullTime   `db:"asked_at"`
	LastSuccessAt sql.NullTime   `db:"last_success_at"`
	LastRunID     uuid.NullUUID  `db:"last_run_id"`
	LastRunState  sql.NullString `db:"last_run_state"`
	LastRunAt     sql.NullTime   `db:"last_run_at"`
	OpenAssets    int            `db:"open_assets"`
	OpenFindings  int            `db:"open_findings"`
	Guard         guardColumn    `db:"guard"`
	Version       int64          `db:"version"`
	CreatedAt     time.Time      `db:"created_at"`
	UpdatedAt     time.Time      `db:"updated_at"`
}

const integrationQuery = `
	select i.id, i.public_id, i.tenant_id, i.type, i.name, i.directory_id, i.client_id, i.secret_method, i.secret_box, i.secret_hint,
	       i.secret_updated_at, i.secret_expires_at, i.secret_expired_at, i.staged_box, i.staged_method, i.staged_client_id, i.staged_hint, i.staged_expires_at,
	       i.staged_at, i.staged_checked_at, i.staged_problem, i.staged_notice, i.settings, i.interval_hours, i.state, i.state_reason, i.state_notice,
	       i.next_run_at, i.wait_until, i.asked_at, i.guard,
	       i.last_success_at, r.public_id as last_run_id, r.state as last_run_state, coalesce(r.finished_at, r.started_at, r.created_at) as last_run_at,
	       n.open_assets, n.open_findings, i.version, i.created_at, i.updated_at
	from integration i
	left join lateral (
	  select public_id, state, created_at, started_at, finished_at from run
	  where tenant_id = i.tenant_id and integration_id = i.id and kind = 'sync' order by id desc limit 1
	) r on true
	cross join lateral (
	  select coalesce(sum(assets), 0) as open_assets, coalesce(sum(critical + high + medium + low + unknown), 0) as open_findings
	  from asset_tally where tenant_id = i.tenant_id and integration_id = i.id and state in ('active', 'inactive')
	) n`

func (r integrationRow) integration() connector.Integration {
	return connector.Integration{
		ID: r.ID, PublicID: r.PublicID, Tenant: tenant.ID(r.TenantID), Kind: connector.Kind(r.Type), Name: r.Name,
		DirectoryID: r.DirectoryID, ClientID: r.ClientID, Method: connector.Method(r.SecretMethod), SecretBox: r.SecretBox, SecretHint: r.SecretHint,
		SecretUpdatedAt: r.SecretUpdatedAt.UTC(), SecretExpiresAt: utc(r.SecretExpiresAt), SecretExpiredAt: utc(r.SecretExpiredAt), Staged: r.staged(), Settings: inventory.Settings(r.Settings),
		IntervalHours: r.IntervalHours, State: connector.State(r.State), StateReason: r.StateReason, StateNotice: r.StateNotice.of(r.StateReason),
		NextRunAt: utc(r.NextRunAt), WaitUntil: utc(r.WaitUntil), AskedAt: utc(r.AskedAt),
		LastRunID: r.LastRunID.UUID, LastRunState: r.LastRunState.String, LastRunAt: utc(r.LastRunAt), LastSuccessAt: utc(r.LastSuccessAt),
		OpenAssets: r.OpenAssets, OpenFindings: r.OpenFindings, Held: r.Guard, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// CreateIntegration stores a checked integration, with the assets that an earlier link to its directory left behind, and
// queues its first run unless it is paused: all or nothing. More than the tenant's limit permits is the fault conflict.
func (s *Store) CreateIntegration(ctx context.Context, i connector.Integration) (connector.Integration, error) {
	var created connector.Integration
	err := s.inTenant(ctx, i.Tenant, func(tx *sqlx.Tx) error {
		if i.State != connector.StatePaused {
			i.NextRunAt = nextRun(time.Now(), i.IntervalHours)
		}
		if err := checkLimit(ctx, tx, i.Tenant); err != nil {
			return err
		}
		id, err := takeOver(ctx, tx, i)
		if err == nil && id == 0 {
			id, err = insertIntegration(ctx, tx, i)
		}
		if violates(err, "integration_directory") {
			return fault.New(fault.CodeAlreadyConnected, "")
		}
		if err != nil {
			return err
		}
		if i.State != connector.StatePaused {
			if _, err := insertRun(ctx, tx, i.Tenant, id, syncer.KindSync, syncer.ByConnect, syncer.Full); err != nil {
				return err
			}
		}
		if created, err = readIntegration(ctx, tx, i.Tenant, i.PublicID); err != nil {
			return err
		}
		return s.record(ctx, tx, i.Tenant, integrationDeed(audit.IntegrationCreated, &connector.Integration{}, &created))
	})
	return created, err
}

func insertIntegration(ctx context.Context, tx *sqlx.Tx, i connector.Integration) (id int64, err error) {
	err = tx.GetContext(ctx, &id, `
		insert into integration (tenant_id, public_id, type, name, directory_id, client_id, secret_box, secret_hint, secret_updated_at,
		  secret_expires_at, settings, interval_hours, state, next_run_at, last_success_at, version, created_at, updated_at, secret_method)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		returning id`,
		i.Tenant, i.PublicID, i.Kind, i.Name, i.DirectoryID, i.ClientID, []byte(i.SecretBox), i.SecretHint, i.SecretUpdatedAt,
		nullTime(i.SecretExpiresAt), settingsColumn(i.Settings), i.IntervalHours, i.State, nullTime(i.NextRunAt), nullTime(i.LastSuccessAt),
		max(i.Version, 1), i.CreatedAt, i.UpdatedAt, i.Method)
	return id, err
}

// Integration reads one integration.
func (s *Store) Integration(ctx context.Context, t tenant.ID, id uuid.UUID) (i connector.Integration, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		i, err = readIntegration(ctx, tx, t, id)
		return err
	})
	return i, err
}

func readIntegration(ctx context.Context, tx *sqlx.Tx, t tenant.ID, id uuid.UUID) (connector.Integration, error) {
	var row integrationRow
	err := tx.GetContext(ctx, &row, integrationQuery+` where i.tenant_id = $1 and i.public_id = $2`, t, id)
	return row.integration(), notFound(err, "integration")
}

// IntegrationByID reads the integration of a run.
func (s *Store) IntegrationByID(ctx context.Context, t tenant.ID, id int64) (connector.Integration, error) {
	var row integrationRow
	err := s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &row, integrationQuery+` where i.tenant_id = $1 and i.id = $2`, t, id)
	})
	return row.integration(), notFound(err, "integration")
}

// ListIntegrations pages through the tenant's integrations, oldest first; disconnected ones included, since their data
// and runs are still there.
func (s *Store) ListIntegrations(ctx context.Context, t tenant.ID, page inventory.PageRequest) ([]connector.Integration, inventory.Position, error) {
	after, err := afterID(page.After)
	if err != nil {
		return nil, nil, err
	}
	var rows []integrationRow
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, integrationQuery+`
			where i.tenant_id = $1 and i.public_id > $2 order by i.public_id limit $3`, t, after, page.Limit+1)
	})
	items := make([]connector.Integration, 0, len(rows))
	for _, r := range rows {
		items = append(items, r.integration())
	}
	items, next := cut(items, page.Limit, func(i connector.Integration) inventory.Position { return inventory.Position{i.PublicID.String()} })
	return items, next, err
}

// UpdateIntegration applies change to the current row under its lock. A version other than 0 must be the current one.
func (s *Store) UpdateIntegration(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, change func(*connector.Integration) error) (updated connector.Integration, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		i, err := lockIntegration(ctx, tx, t, id, version)
		if err != nil {
			return err
		}
		before := i
		if err := change(&i); err != nil {
			return err
		}
		if reflect.DeepEqual(i, before) { // nothing that If-Match would have to know of
			updated = i
			return nil
		}
		if err := mustBeOnNewestKey(ctx, tx, &i, &before); err != nil {
			return err
		}
		if err := writeStaged(ctx, tx, &i, &before); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			update integration set name = $3, client_id = $4, secret_box = $5, secret_hint = $6, secret_updated_at = $7,
			  secret_expires_at = $8, settings = $9, interval_hours = $10, state = $11, state_reason = $12, next_run_at = $13,
			  secret_method = $14, state_notice = $15, secret_expired_at = $16,
			  wait_until = case when client_id = $4 then wait_until end, -- another application has quotas of its own
			  asked_at = case when asked_at is distinct from $17::timestamptz then clock_timestamp() else asked_at end, -- the clock that runs begin by
			  secret_warned = case when least(secret_expires_at, secret_expired_at) is distinct from least($8::timestamptz, $16::timestamptz) then null else secret_warned end,
			  recheck_at = case when $11 = 'action_required' and settings <> $9::jsonb then now() when $11 = 'action_required' then least(recheck_at, now() + `+recheckBroken+`) else recheck_at end,
			  failures = case when $11 = 'active' then 0 else failures end, version = version + 1, updated_at = now()
			where tenant_id = $1 and id = $2`,
			t, i.ID, i.Name, i.ClientID, []byte(i.SecretBox), i.SecretHint, i.SecretUpdatedAt, nullTime(i.SecretExpiresAt),
			settingsColumn(i.Settings), i.IntervalHours, i.State, i.StateReason, nullTime(i.NextRunAt), i.Method, noticeColumn(i.StateNotice),
			nullTime(i.SecretExpiredAt), nullTime(i.AskedAt))
		if err != nil {
			return err
		}
		if updated, err = readIntegration(ctx, tx, t, id); err != nil {
			return err
		}
		return s.record(ctx, tx, t, integrationDeed(integrationAction(&before, &i), &before, &updated))
	})
	return updated, err
}

// lockIntegration reads the current row and keeps others from changing it until the transaction ends. It does not wait for
// the transactions of a run that add assets to the integration.
func lockIntegration(ctx context.Context, tx *sqlx.Tx, t tenant.ID, id uuid.UUID, version int64) (connector.Integration, error) {
	var locked int64
	err := tx.GetContext(ctx, &locked, `
		select id from integration where tenant_id = $1 and public_id = $2 for no key update`, t, id)
	if err != nil {
		return connector.Integration{}, notFound(err, "integration")
	}
	i, err := readIntegration(ctx, tx, t, id)
	if err == nil && version != 0 && i.Version != version {
		err = fault.New(fault.CodePreconditionFailed, "")
	}
	return i, err
}

// DirectoryConnected tells whether the tenant has an integration with the directory.
func (s *Store) DirectoryConnected(ctx context.Context, t tenant.ID, kind connector.Kind, directory string) (found bool, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &found, `
			select exists (select from integration
			  where tenant_id = $1 and type = $2 and directory_id = $3 and state not in ('disconnecting', 'disconnected'))`, t, kind, directory)
	})
	return found, err
}

// Disconnect destroys the secret, ends the active run so that it writes nothing any more, and with purge queues the
// deletion of everything imported. Without, the deletion comes by itself when the data have aged out; see schedulePurges.
// It returns the public id of the purge run, the one that is under way if there is one, or uuid.Nil.
func (s *Store) Disconnect(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, purge bool) (purgeRun uuid.UUID, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		i, err := lockIntegration(ctx, tx, t, id, version)
		if err != nil {
			return err
		}
		if i.Gone() && !purge {
			return fault.New(fault.CodeConflict, "the integration is disconnected")
		}
		if i.State == connector.StateDisconnecting {
			// A purge that was cancelled or failed may be asked for again; one that is still to end is the answer.
			purgeRun, err = purging(ctx, tx, t, i.ID)
			if err != nil || purgeRun != uuid.Nil {
				return err
			}
		}
		ended, err := endActiveRun(ctx, tx, t, i.ID)
		if err != nil {
			return err
		}
		state, purgeAt := connector.StateDisconnected, time.Now().Add(inventory.PGPLife)
		if purge {
			state, purgeAt = connector.StateDisconnecting, time.Now().Add(purgeRetry)
			run, err := insertRun(ctx, tx, t, i.ID, syncer.KindPurge, syncer.ByHand, syncer.Full)
			if err != nil {
				return err
			}
			purgeRun = run.PublicID
		}
		_, err = tx.ExecContext(ctx, `
			update integration set state = $3, state_reason = '', state_notice = null, secret_box = null, secret_hint = '', next_run_at = null, `+nothingStaged+`,
			  purge_at = $4, version = version + 1, updated_at = now()
			where tenant_id = $1 and id = $2`, t, i.ID, state, purgeAt)
		if err != nil {
			return err
		}
		action := audit.IntegrationDisconnected
		if purge {
			action = audit.IntegrationPurged
		}
		asked := deed{action: action, resource: on(tenant.IntegrationPrefix, id), changes: audit.Diff(nil, "state", i.State, state)}
		return s.recordAll(ctx, tx, t, append(ended, asked))
	})
	return purgeRun, err
}

// purging gives the run, if any, of an integration that is being disconnected, that is still to end.
func purging(ctx context.Context, tx *sqlx.Tx, t tenant.ID, integration int64) (id uuid.UUID, err error) {
	err = tx.GetContext(ctx, &id, `
		select public_id from run where tenant_id = $1 and integration_id = $2 and state in ('queued', 'running', 'cancelling')`, t, integration)
	if errors.Is(err, sql.ErrNoRows) {
		return uuid.Nil, nil
	}
	return id, err
}
