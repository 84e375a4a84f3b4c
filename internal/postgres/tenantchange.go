package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// UpdateTenant applies change to name, account, limits and state of a tenant under its lock. A version other than 0 must be the
// current one. A tenant that is being deleted stays so: the fault conflict. When a tenant is suspended its runs end in the same
// transaction, so that their workers write nothing any more, and the imports that were cut short come first when it is let back in.
func (s *Store) UpdateTenant(ctx context.Context, id tenant.ID, version int64, change func(*tenant.Tenant)) (updated tenant.Tenant, err error) {
	err = s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		before, err := lockWhole(ctx, tx, id, version)
		if err != nil {
			return err
		}
		after := before
		if change(&after); after == before { // nothing that If-Match would have to know of
			updated = before
			return nil
		}
		var row tenantRow
		err = tx.GetContext(ctx, &row, `
			update tenant set name = $2, pgp_account = $3, state = $4, max_integrations = $5, version = version + 1, updated_at = now()
			where id = $1 returning `+tenantColumns, id, after.Name, after.Account, after.State, after.Limits.MaxIntegrations)
		if err != nil {
			return err
		}
		updated = row.tenant()
		deeds := tenantDeeds(&before, &updated)
		if updated.State != tenant.Active && before.State == tenant.Active {
			ended, err := endRuns(ctx, tx, id)
			if err != nil {
				return err
			}
			deeds = append(deeds, ended...)
		}
		return s.recordAll(ctx, tx, id, deeds)
	})
	return updated, accountTaken(err)
}

// SetTenantState suspends a tenant or lets it back in; see [Store.UpdateTenant].
func (s *Store) SetTenantState(ctx context.Context, id tenant.ID, state tenant.State) error {
	_, err := s.UpdateTenant(ctx, id, 0, func(t *tenant.Tenant) { t.State = state })
	return err
}

// tenantDeeds tells a change of state apart from the others, which a search by action looks for.
func tenantDeeds(before, after *tenant.Tenant) (deeds []deed) {
	resource := on(tenant.TenantPrefix, after.PublicID)
	changes := audit.Diff(nil, "name", before.Name, after.Name)
	changes = audit.Diff(changes, "pgp_account", before.Account, after.Account)
	changes = audit.Diff(changes, "limits.max_integrations", before.Limits.MaxIntegrations, after.Limits.MaxIntegrations)
	if len(changes) > 0 {
		deeds = append(deeds, deed{action: audit.TenantUpdated, resource: resource, changes: changes})
	}
	if before.State != after.State {
		deeds = append(deeds, deed{action: audit.TenantStateChanged, resource: resource, changes: audit.Diff(nil, "state", before.State, after.State)})
	}
	return deeds
}

// lockWhole is lockTenant for changes that reach what the tenant has: its integrations are locked before it, as everywhere, so that
// nobody who is just starting a run is met in a circle. Who is being deleted does not change any more: conflict.
func lockWhole(ctx context.Context, tx *sqlx.Tx, id tenant.ID, version int64) (tenant.Tenant, error) {
	if _, err := tx.ExecContext(ctx, `select from integration where tenant_id = $1 order by id for no key update`, id); err != nil {
		return tenant.Tenant{}, err
	}
	t, err := lockTenant(ctx, tx, id)
	switch {
	case err != nil:
		return t, err
	case t.State == tenant.Deleting:
		return t, errDeleting()
	case version != 0 && t.Version != version:
		return t, fault.New(fault.CodePreconditionFailed, "")
	}
	return t, nil
}

func errDeleting() error { return fault.New(fault.CodeConflict, "the tenant is being deleted") }

// endRuns ends every run of a tenant at once, whatever their workers do: without its job's row a worker cannot write any more. The
// next run of an integration whose import it cut short is due at once.
func endRuns(ctx context.Context, tx *sqlx.Tx, t tenant.ID) (ended []deed, err error) {
	if _, err := tx.ExecContext(ctx, `delete from job where tenant_id = $1 and state <> 'dead'`, t); err != nil {
		return nil, err
	}
	var active []activeRun
	err = tx.SelectContext(ctx, &active, `
		select id, public_id, state from run where tenant_id = $1 and state in ('queued', 'running', 'cancelling') order by id for no key update`, t)
	if err != nil {
		return nil, err
	}
	for _, run := range active {
		if err := endRunCancelled(ctx, tx, t, run.ID); err != nil {
			return nil, err
		}
		_, err := tx.ExecContext(ctx, `
			update integration i set next_run_at = now() from run r
			where i.tenant_id = $1 and r.tenant_id = $1 and r.id = $2 and i.id = r.integration_id and r.kind = 'sync' and r.preview is null and i.next_run_at is not null`,
			t, run.ID)
		if err != nil {
			return nil, err
		}
		ended = append(ended, run.ended())
	}
	return ended, nil
}

// checkLimit refuses another integration when the tenant has as many as it may; of those that connect at the same time all but one wait.
func checkLimit(ctx context.Context, tx *sqlx.Tx, t tenant.ID) error {
	var most int
	if err := tx.GetContext(ctx, &most, `select max_integrations from tenant where id = $1`, t); err != nil || most == 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, `select pg_advisory_xact_lock(hashtext('defender connect'), $1)`, t); err != nil {
		return err
	}
	var have int
	err := tx.GetContext(ctx, &have, `select count(*) from integration where tenant_id = $1 and state not in ('disconnecting', 'disconnected')`, t)
	if err == nil && have >= most {
		err = fault.Newf(fault.CodeConflict, "The tenant may have %d integrations connected at a time, and has them.", most)
	}
	return err
}
