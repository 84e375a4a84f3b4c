package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

type apiKeyRow struct {
	PublicID   uuid.UUID       `db:"public_id"`
	Name       string          `db:"name"`
	Role       string          `db:"role"`
	Hint       string          `db:"hint"`
	ExpiresAt  cell[time.Time] `db:"expires_at"`
	LastUsedAt cell[time.Time] `db:"last_used_at"`
	CreatedAt  cell[time.Time] `db:"created_at"`
}

const apiKeyColumns = `public_id, name, role, hint, expires_at, last_used_at, created_at` // #nosec G101 -- names of columns

func (r apiKeyRow) key() tenant.APIKey {
	return tenant.APIKey{
		PublicID: r.PublicID, Name: r.Name, Role: tenant.Role(r.Role), Hint: r.Hint, ExpiresAt: onCalendar(r.ExpiresAt),
		LastUsedAt: onCalendar(r.LastUsedAt), CreatedAt: onCalendar(r.CreatedAt),
	}
}

// errNoKeySeals is a mistake of the program: it opened the store without the keyring.
var errNoKeySeals = errors.New("API keys cannot be made or recognised without the keyring")

// CreateAPIKey stores a key, by what [tenant.KeySeals] make of it. Name, role and expiry are taken from k.
func (s *Store) CreateAPIKey(ctx context.Context, id tenant.ID, k tenant.APIKey, key seal.Secret) (tenant.APIKey, error) {
	if s.keySeals == nil {
		return tenant.APIKey{}, errNoKeySeals
	}
	k.PublicID, k.Hint = newID(), tenant.KeyHint(key)
	k.ExpiresAt = k.ExpiresAt.Truncate(time.Microsecond) // what the database keeps of it is what is sealed
	sealed, err := s.keySeals.Seal(id, &k, key)
	if err != nil {
		return tenant.APIKey{}, err
	}
	var row apiKeyRow
	err = s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		err := tx.GetContext(ctx, &row, `
			insert into api_key (tenant_id, public_id, name, role, hash, box, hint, expires_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8) returning `+apiKeyColumns,
			id, k.PublicID, k.Name, k.Role, sealed.Hash, []byte(sealed.Box), k.Hint, k.ExpiresAt)
		if err != nil {
			return err
		}
		changes := audit.Diff(audit.Diff(nil, "name", "", k.Name), "role", "", k.Role)
		changes = audit.Diff(changes, "expires_at", time.Time{}, row.ExpiresAt.V)
		return s.record(ctx, tx, id, deed{action: audit.APIKeyCreated, resource: on(tenant.KeyPrefix, row.PublicID), changes: changes})
	})
	return row.key(), err
}

// APIKey reads one key, also a revoked one.
func (s *Store) APIKey(ctx context.Context, id tenant.ID, key uuid.UUID) (tenant.APIKey, error) {
	var row apiKeyRow
	err := s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &row, `select `+apiKeyColumns+` from api_key where tenant_id = $1 and public_id = $2`, id, key)
	})
	return row.key(), notFound(err, "API key")
}

// ListAPIKeys pages through the keys that are not revoked, oldest first.
func (s *Store) ListAPIKeys(ctx context.Context, id tenant.ID, page inventory.PageRequest) ([]tenant.APIKey, inventory.Position, error) {
	after, err := afterID(page.After)
	if err != nil {
		return nil, nil, err
	}
	var rows []apiKeyRow
	err = s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `
			select `+apiKeyColumns+` from api_key
			where tenant_id = $1 and revoked_at is null and public_id > $2
			order by public_id limit $3`, id, after, page.Limit+1)
	})
	keys := make([]tenant.APIKey, 0, len(rows))
	for _, r := range rows {
		keys = append(keys, r.key())
	}
	keys, next := cut(keys, page.Limit, func(k tenant.APIKey) inventory.Position { return inventory.Position{k.PublicID.String()} })
	return keys, next, err
}

// RevokeAPIKey ends a key at once, and for good: without its box it is never genuine again, whatever else is written into the row.
func (s *Store) RevokeAPIKey(ctx context.Context, id tenant.ID, key uuid.UUID) error {
	return s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		var revoked uuid.UUID
		err := tx.GetContext(ctx, &revoked, `
			update api_key set revoked_at = now(), box = '' where tenant_id = $1 and public_id = $2 and revoked_at is null
			returning public_id`, id, key)
		if err != nil {
			return notFound(err, "API key")
		}
		return s.record(ctx, tx, id, deed{action: audit.APIKeyRevoked, resource: on(tenant.KeyPrefix, key)})
	})
}

// lastUsedGrain is how exact last_used_at is; a finer one would write on every request.
const lastUsedGrain = time.Minute

// keyHolder is what the database tells of who presents a key.
type keyHolder struct {
	TenantID  int32           `db:"tenant_id"`
	PublicID  uuid.UUID       `db:"public_id"`
	Name      string          `db:"name"`
	Role      string          `db:"role"`
	ExpiresAt cell[time.Time] `db:"expires_at"`
	Box       []byte          `db:"box"`
	Touch     bool            `db:"touch"`
	Refused   string          `db:"refused"`
}

// PrincipalByKey finds who presents a key. Unknown, expired and revoked keys, those whose row was changed outside
// the service, and keys of suspended tenants, all answer with the same fault; all but the unknown ones beside whom they belong to and
// why they are refused, for the audit trail.
func (s *Store) PrincipalByKey(ctx context.Context, key seal.Secret) (tenant.Principal, error) {
	if s.keySeals == nil {
		return tenant.Principal{}, errNoKeySeals
	}
	var row keyHolder
	err := s.getRow(ctx, &row, prepared+"select * from key_holder($1, make_interval(secs => $2))",
		pq.ByteaArray(s.keySeals.Hashes(key)), lastUsedGrain.Seconds())
	if errors.Is(err, sql.ErrNoRows) {
		return tenant.Principal{}, fault.New(fault.CodeUnauthenticated, "")
	}
	if err != nil {
		return tenant.Principal{}, classify(ctx, err)
	}
	id, k := tenant.ID(row.TenantID), tenant.APIKey{PublicID: row.PublicID, Name: row.Name, Role: tenant.Role(row.Role), ExpiresAt: onCalendar(row.ExpiresAt)}
	p := tenant.Principal{Tenant: id, KeyID: row.PublicID, Name: row.Name, Role: k.Role, Refused: tenant.Refusal(row.Refused)}
	if p.Refused == "" && !s.keySeals.Genuine(id, &k, key, row.Box) {
		p.Refused = tenant.KeyAltered
		s.log.ErrorContext(ctx, "a stored API key was changed outside the service, and is refused", "api_key", tenant.PublicText(tenant.KeyPrefix, row.PublicID))
	}
	if row.Touch && p.Refused == "" {
		if err := s.touchAPIKey(ctx, id, row.PublicID); err != nil {
			return tenant.Principal{}, classify(ctx, err)
		}
	}
	p.TenantPublic, err = s.publicIDOf(ctx, id)
	if err == nil && p.Refused != "" {
		err = fault.New(fault.CodeUnauthenticated, "")
	}
	return p, err
}

func (s *Store) touchAPIKey(ctx context.Context, id tenant.ID, key uuid.UUID) error {
	return s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `update api_key set last_used_at = now() where tenant_id = $1 and public_id = $2`, id, key)
		return err
	})
}

// publicIDOf asks the database once in a process's life for each tenant: the id never changes.
func (s *Store) publicIDOf(ctx context.Context, id tenant.ID) (uuid.UUID, error) {
	if known, ok := s.publicIDs.Load(id); ok {
		return known.(uuid.UUID), nil
	}
	t, err := s.Tenant(ctx, id)
	if err == nil {
		s.publicIDs.Store(id, t.PublicID)
	}
	return t.PublicID, err
}
