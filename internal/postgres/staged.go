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
	"pgp.internal/defender/internal/tenant"
)

// stagedRow is the credential that waits beside an integration's own.
type stagedRow struct {
	StagedBox       []byte        `db:"staged_box"`
	StagedMethod    string        `db:"staged_method"`
	StagedClientID  uuid.NullUUID `db:"staged_client_id"`
	StagedHint      string        `db:"staged_hint"`
	StagedExpiresAt sql.NullTime  `db:"staged_expires_at"`
	StagedAt        sql.NullTime  `db:"staged_at"`
	StagedCheckedAt sql.NullTime  `db:"staged_checked_at"`
	StagedProblem   string        `db:"staged_problem"`
	StagedNotice    noticeColumn  `db:"staged_notice"`
}

func (r stagedRow) staged() connector.Staged {
	if len(r.StagedBox) == 0 {
		return connector.Staged{}
	}
	return connector.Staged{
		Method: connector.Method(r.StagedMethod), ClientID: r.StagedClientID.UUID.String(), Box: r.StagedBox, Hint: r.StagedHint,
		ExpiresAt: utc(r.StagedExpiresAt), At: utc(r.StagedAt), CheckedAt: utc(r.StagedCheckedAt), Problem: r.StagedNotice.of(r.StagedProblem),
	}
}

// nothingStaged sets the columns of a row in which nothing waits; what was there is destroyed.
const nothingStaged = `staged_box = null, staged_client_id = null, staged_hint = '', staged_expires_at = null, staged_at = null,
		  staged_checked_at = null, staged_problem = '', staged_notice = null`

// writeStaged stores what is staged, or its end, in the transaction that changes the integration.
func writeStaged(ctx context.Context, tx *sqlx.Tx, i, before *connector.Integration) (err error) {
	switch staged := i.Staged; {
	case reflect.DeepEqual(staged, before.Staged):
	case len(staged.Box) == 0:
		_, err = tx.ExecContext(ctx, `update integration set `+nothingStaged+` where tenant_id = $1 and id = $2`, i.Tenant, i.ID)
	default:
		_, err = tx.ExecContext(ctx, `
			update integration set staged_box = $3, staged_method = $4, staged_client_id = $5, staged_hint = $6, staged_expires_at = $7,
			  staged_at = $8, staged_checked_at = $9, staged_problem = $10, staged_notice = $11
			where tenant_id = $1 and id = $2`,
			i.Tenant, i.ID, []byte(staged.Box), staged.Method, staged.ClientID, staged.Hint, nullTime(staged.ExpiresAt),
			staged.At, nullTime(staged.CheckedAt), staged.Problem.Code, noticeColumn(staged.Problem))
	}
	return err
}

// NoteStaged implements [connector.Store].
func (s *Store) NoteStaged(ctx context.Context, i connector.Integration, at time.Time, met *fault.Error) error {
	return s.inTenant(ctx, i.Tenant, func(tx *sqlx.Tx) error {
		var before string
		err := tx.GetContext(ctx, &before, `
			update integration n set staged_checked_at = $4, staged_problem = $5, staged_notice = $6
			from (select id, staged_problem from integration where tenant_id = $1 and id = $2 and staged_at = $3 for no key update) o
			where n.tenant_id = $1 and n.id = o.id
			returning o.staged_problem`, i.Tenant, i.ID, i.Staged.At, at, met.Code, noticeColumn(fault.NoticeOf(met)))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil || before == met.Code { // it is tried each time the present credential fails: only what is new is an event
			return err
		}
		return s.record(ctx, tx, i.Tenant, deed{
			action: audit.IntegrationStagedTried, resource: on(tenant.IntegrationPrefix, i.PublicID), outcome: audit.Failed, changes: audit.Diff(nil, "code", before, met.Code),
		})
	})
}

// NoteRefused implements [connector.Store]. What was to be connected is told, but for the secret.
func (s *Store) NoteRefused(ctx context.Context, i connector.Integration, code string) error {
	return s.inTenant(ctx, i.Tenant, func(tx *sqlx.Tx) error {
		changes := audit.Diff(audit.Diff(audit.Diff(nil, "type", "", i.Kind), "client_id", "", i.ClientID), "method", "", i.Method)
		return s.record(ctx, tx, i.Tenant, deed{
			action: audit.IntegrationCreated, resource: audit.Resource{Type: "directory", ID: i.DirectoryID}, outcome: audit.Failed,
			changes: audit.Diff(changes, "code", "", code),
		})
	})
}

// NoteUnrotated implements [connector.Store].
func (s *Store) NoteUnrotated(ctx context.Context, i connector.Integration, code string) error {
	return s.inTenant(ctx, i.Tenant, func(tx *sqlx.Tx) error {
		changes := audit.Diff(audit.Diff(nil, "client_id", "", i.ClientID), "method", "", i.Method)
		return s.record(ctx, tx, i.Tenant, deed{
			action: audit.IntegrationRotated, resource: on(tenant.IntegrationPrefix, i.PublicID), outcome: audit.Failed,
			changes: audit.Diff(changes, "code", "", code),
		})
	})
}

// NoteWait implements [connector.Store].
func (s *Store) NoteWait(ctx context.Context, t tenant.ID, id uuid.UUID, client string, until time.Time) error {
	return s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `update integration set wait_until = greatest(wait_until, $4) where tenant_id = $1 and public_id = $2 and client_id = $3`, t, id, client, until)
		return err
	})
}

// NoteInvalid implements [connector.Store]. Of the service's own checks, which come again and again, only what they change is
// an event.
func (s *Store) NoteInvalid(ctx context.Context, t tenant.ID, id uuid.UUID, code string) error {
	origin, err := s.originOf(ctx)
	if err != nil || origin.Actor.Kind == audit.System {
		return err
	}
	return s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return s.record(ctx, tx, t, deed{
			action: audit.IntegrationValidated, resource: on(tenant.IntegrationPrefix, id), outcome: audit.Failed, changes: audit.Diff(nil, "code", "", code),
		})
	})
}
