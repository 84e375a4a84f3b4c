package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

type auditRow struct {
	TenantID     int32     `db:"tenant_id"`
	Sequence     int64     `db:"sequence"`
	PublicID     uuid.UUID `db:"public_id"`
	At           time.Time `db:"at"`
	ActorKind    string    `db:"actor_kind"`
	ActorID      string    `db:"actor_id"`
	ActorName    string    `db:"actor_name"`
	Action       string    `db:"action"`
	ResourceType string    `db:"resource_type"`
	ResourceID   string    `db:"resource_id"`
	Outcome      string    `db:"outcome"`
	RequestID    string    `db:"request_id"`
	Address      string    `db:"address"`
	Changes      []byte    `db:"changes"`
	KeyID        string    `db:"key_id"`
	Hash         []byte    `db:"hash"`
}

// sealed is the event of the row; an error says that its changes are not as this package writes them.
func (r *auditRow) sealed() (audit.Sealed, error) {
	s := audit.Sealed{KeyID: r.KeyID, Hash: r.Hash, Event: audit.Event{
		ID: r.PublicID, Tenant: tenant.ID(r.TenantID), Sequence: r.Sequence, At: r.At.UTC(),
		Actor:  audit.Actor{Kind: audit.Kind(r.ActorKind), ID: r.ActorID, Name: r.ActorName},
		Action: audit.Action(r.Action), Resource: audit.Resource{Type: r.ResourceType, ID: r.ResourceID},
		Outcome: audit.Outcome(r.Outcome), RequestID: r.RequestID, Address: r.Address,
	}}
	strictly := json.NewDecoder(bytes.NewReader(r.Changes)) // a member more would be in no hash
	strictly.DisallowUnknownFields()
	err := strictly.Decode(&s.Changes)
	return s, err
}

// ListAuditEvents pages through a tenant's events, newest first. One whose changes cannot be read is marked as such.
func (s *Store) ListAuditEvents(ctx context.Context, t tenant.ID, f audit.Filter, page inventory.PageRequest) ([]audit.Event, inventory.Position, error) {
	before, err := beforeID(page.After)
	if err != nil {
		return nil, nil, err
	}
	var rows []auditRow
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `
			select * from audit_event
			where tenant_id = $1 and sequence < $2 and (cardinality($3::text[]) = 0 or actor_id = any($3) or actor_kind = any($3))
			  and (cardinality($4::text[]) = 0 or action = any($4)) and (cardinality($5::text[]) = 0 or resource_id = any($5))
			  and (cardinality($6::text[]) = 0 or outcome = any($6)) and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
			order by sequence desc limit $9`,
			t, before, texts(f.Actors), texts(f.Actions), texts(f.Resources), texts(f.Outcomes), nullTime(f.From), nullTime(f.Before), page.Limit+1)
	})
	if err != nil {
		return nil, nil, err
	}
	rows, next := cut(rows, page.Limit, func(r auditRow) inventory.Position { return inventory.Position{strconv.FormatInt(r.Sequence, 10)} })
	events := make([]audit.Event, 0, len(rows))
	for i := range rows {
		sealed, err := rows[i].sealed()
		if err != nil { // who changed one event must not be able to hide all others
			sealed.Changes, sealed.Unreadable = nil, true
		}
		events = append(events, sealed.Event)
	}
	return events, next, nil
}
