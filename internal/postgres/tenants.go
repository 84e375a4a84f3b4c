package postgres

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

type tenantRow struct {
	ID              int32     `db:"id"`
	PublicID        uuid.UUID `db:"public_id"`
	Name            string    `db:"name"`
	Account         string    `db:"pgp_account"`
	State           string    `db:"state"`
	MaxIntegrations int       `db:"max_integrations"`
	Version         int64     `db:"version"`
	CreatedAt       time.Time `db:"created_at"`
	UpdatedAt       time.Time `db:"updated_at"`
}

const tenantColumns = `id, public_id, name, pgp_account, state, max_integrations, version, created_at, updated_at`

func (r tenantRow) tenant() tenant.Tenant {
	return tenant.Tenant{
		ID: tenant.ID(r.ID), PublicID: r.PublicID, Name: r.Name, Account: r.Account, State: tenant.State(r.State),
		Limits: tenant.Limits{MaxIntegrations: r.MaxIntegrations}, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// CreateTenant adds a tenant, without any entitlement.
func (s *Store) CreateTenant(ctx context.Context, name, account string) (tenant.Tenant, error) {
	var row tenantRow
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		err := tx.GetContext(ctx, &row, `
			insert into tenant (public_id, name, pgp_account) values ($1, $2, $3) returning `+tenantColumns,
			newID(), name, account)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `insert into entitlement (tenant_id) values ($1)`, row.ID); err != nil {
			return err
		}
		made := creationOf(row.tenant())
		if err := s.record(ctx, tx, tenant.ID(row.ID), made); err != nil { // nobody else knows of its head yet
			return err
		}
		// The platform's chain tells how the tenant's begins, so that the one cannot be taken away without the other.
		first, err := lockHead(ctx, tx, tenant.ID(row.ID))
		if err != nil {
			return err
		}
		made.changes = audit.Diff(audit.Diff(made.changes, proofNumber, nil, row.ID), proofHash, nil, hex.EncodeToString(first.Hash))
		return s.record(ctx, tx, audit.Platform, made)
	})
	return row.tenant(), accountTaken(err)
}

func creationOf(t tenant.Tenant) deed {
	return deed{
		action: audit.TenantCreated, resource: on(tenant.TenantPrefix, t.PublicID),
		changes: audit.Diff(audit.Diff(nil, "name", "", t.Name), "pgp_account", "", t.Account),
	}
}

// accountTaken turns the violation of the rule that a PGP account belongs to one tenant into the fault that callers know.
func accountTaken(err error) error {
	if violates(err, "tenant_account") {
		return fault.New(fault.CodeConflict, "another tenant has this PGP account")
	}
	return err
}

// tenantFilter is a condition on tenants; $1 and $2 are the parts of a [tenant.Filter].
const tenantFilter = `(cardinality($1::text[]) = 0 or state = any($1)) and position(lower($2) in lower(name)) > 0`

// ListTenants gives every tenant that the filter permits, oldest first; it serves the operator's commands only.
func (s *Store) ListTenants(ctx context.Context, f tenant.Filter) ([]tenant.Tenant, error) {
	var rows []tenantRow
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `select `+tenantColumns+` from tenant where `+tenantFilter+` order by id`, texts(f.States), f.Name)
	})
	return tenantsOf(rows), err
}

// PageTenants pages through the tenants that the filter permits, oldest first; it serves the role platform only.
func (s *Store) PageTenants(ctx context.Context, f tenant.Filter, page inventory.PageRequest) ([]tenant.Tenant, inventory.Position, error) {
	after, err := afterID(page.After)
	if err != nil {
		return nil, nil, err
	}
	var rows []tenantRow
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `
			select `+tenantColumns+` from tenant where `+tenantFilter+` and public_id > $3 order by public_id limit $4`,
			texts(f.States), f.Name, after, page.Limit+1)
	})
	rows, next := cut(rows, page.Limit, func(r tenantRow) inventory.Position { return inventory.Position{r.PublicID.String()} })
	return tenantsOf(rows), next, err
}

func tenantsOf(rows []tenantRow) []tenant.Tenant {
	out := make([]tenant.Tenant, len(rows))
	for i, r := range rows {
		out[i] = r.tenant()
	}
	return out
}

// TenantByPublicID finds a tenant for the operator's commands and the role platform.
func (s *Store) TenantByPublicID(ctx context.Context, id uuid.UUID) (tenant.Tenant, error) {
	var row tenantRow
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &row, `select `+tenantColumns+` from tenant where public_id = $1`, id)
	})
	return row.tenant(), notFound(err, "tenant")
}

// ActiveTenant finds a tenant by its public id or, when that is zero, by its PGP account in any case. One that is not active is
// not found; it comes back beside the fault, for the audit trail.
func (s *Store) ActiveTenant(ctx context.Context, id uuid.UUID, account string) (tenant.Tenant, error) {
	var row tenantRow
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		if id != uuid.Nil {
			return tx.GetContext(ctx, &row, `select `+tenantColumns+` from tenant where public_id = $1`, id)
		}
		return tx.GetContext(ctx, &row, `
			select `+tenantColumns+` from tenant where lower(pgp_account collate "C") = lower($1 collate "C") and pgp_account <> ''`, account)
	})
	if err == nil && row.State != string(tenant.Active) {
		err = sql.ErrNoRows
	}
	return row.tenant(), notFound(err, "tenant")
}

// Tenant reads the tenant itself.
func (s *Store) Tenant(ctx context.Context, id tenant.ID) (tenant.Tenant, error) {
	var row tenantRow
	err := s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &row, `select `+tenantColumns+` from tenant where id = $1`, id)
	})
	return row.tenant(), notFound(err, "tenant")
}

// Entitlement reads what the tenant's subscription includes.
func (s *Store) Entitlement(ctx context.Context, id tenant.ID) (tenant.Entitlement, error) {
	var e tenant.Entitlement
	err := s.inTenant(ctx, id, func(tx *sqlx.Tx) (err error) {
		e, err = entitlement(ctx, tx, id)
		return err
	})
	return e, notFound(err, "tenant")
}

func entitlement(ctx context.Context, tx *sqlx.Tx, id tenant.ID) (tenant.Entitlement, error) {
	var row struct {
		InternalAssessments bool         `db:"internal_assessments"`
		MaxAssets           int          `db:"max_assets"`
		ValidFrom           sql.NullTime `db:"valid_from"`
		ValidUntil          sql.NullTime `db:"valid_until"`
		Source              string       `db:"source"`
		Version             int64        `db:"version"`
		UpdatedAt           time.Time    `db:"updated_at"`
	}
	err := tx.GetContext(ctx, &row, `
		select internal_assessments, max_assets, valid_from, valid_until, source, version, updated_at
		from entitlement where tenant_id = $1`, id)
	return tenant.Entitlement{
		InternalAssessments: row.InternalAssessments, MaxAssets: row.MaxAssets, ValidFrom: utc(row.ValidFrom),
		ValidUntil: utc(row.ValidUntil), Source: row.Source, Version: row.Version, UpdatedAt: row.UpdatedAt.UTC(),
	}, err
}

// SetEntitlement records what the subscription includes from now on. A version other than 0 must be the current one. A tenant that is
// being deleted gets nothing any more: conflict. When it includes more than before, what the integrations can import now comes soon.
func (s *Store) SetEntitlement(ctx context.Context, id tenant.ID, e tenant.Entitlement) error {
	return s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		owner, err := lockWhole(ctx, tx, id, 0)
		if err != nil {
			return err
		}
		before, err := entitlement(ctx, tx, id)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if e.Version != 0 && e.Version != before.Version {
			return fault.New(fault.CodePreconditionFailed, "")
		}
		_, err = tx.ExecContext(ctx, `
			insert into entitlement (tenant_id, internal_assessments, max_assets, valid_from, valid_until, source)
			values ($1, $2, $3, $4, $5, $6)
			on conflict (tenant_id) do update set internal_assessments = excluded.internal_assessments,
			  max_assets = excluded.max_assets, valid_from = excluded.valid_from, valid_until = excluded.valid_until,
			  source = excluded.source, version = entitlement.version + 1, updated_at = now()`,
			id, e.InternalAssessments, e.MaxAssets, nullTime(e.ValidFrom), nullTime(e.ValidUntil), e.Source)
		if err != nil {
			return err
		}
		if e.Exceeds(before, time.Now()) {
			_, err := tx.ExecContext(ctx, `
				update integration set next_run_at = least(next_run_at, now()), asked_at = clock_timestamp()
				where tenant_id = $1 and state in ('active', 'degraded') and next_run_at is not null`, id)
			if err != nil {
				return err
			}
		}
		return s.record(ctx, tx, id, deed{
			action: audit.EntitlementSet, resource: on(tenant.TenantPrefix, owner.PublicID), changes: entitlementChanges(before, e),
		})
	})
}

func entitlementChanges(before, after tenant.Entitlement) (changes []audit.Change) {
	changes = audit.Diff(changes, "internal_assessments", before.InternalAssessments, after.InternalAssessments)
	changes = audit.Diff(changes, "max_assets", before.MaxAssets, after.MaxAssets)
	changes = audit.Diff(changes, "valid_from", before.ValidFrom, after.ValidFrom)
	changes = audit.Diff(changes, "valid_until", before.ValidUntil, after.ValidUntil)
	return audit.Diff(changes, "source", before.Source, after.Source)
}

// lockTenant reads a tenant and keeps others from changing it until the transaction ends.
func lockTenant(ctx context.Context, tx *sqlx.Tx, id tenant.ID) (tenant.Tenant, error) {
	var row tenantRow
	err := tx.GetContext(ctx, &row, `select `+tenantColumns+` from tenant where id = $1 for no key update`, id)
	return row.tenant(), notFound(err, "tenant")
}

// newID makes a time-ordered public id (UUIDv7), so that index pages fill in order.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
