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

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// cell is a column as it is found. A value that this program cannot have written makes it invalid and is no error: who put it there
// must not be able to stop the reading of all other rows.
type cell[T any] struct{ sql.Null[T] }

func (c *cell[T]) Scan(value any) error {
	if err := c.Null.Scan(value); err != nil {
		c.Null = sql.Null[T]{}
	}
	return nil
}

// onCalendar reads a time that may be null. One outside the years 2000 to 9999 is none, which the tables' checks refuse: it reads as zero.
func onCalendar(c cell[time.Time]) time.Time {
	if year := c.V.UTC().Year(); !c.Valid || year < 2000 || year > 9999 {
		return time.Time{}
	}
	return c.V.UTC()
}

type auditRow struct {
	TenantID     int32           `db:"tenant_id"`
	Sequence     int64           `db:"sequence"`
	PublicID     cell[uuid.UUID] `db:"public_id"`
	At           cell[time.Time] `db:"at"`
	ActorKind    cell[string]    `db:"actor_kind"`
	ActorID      cell[string]    `db:"actor_id"`
	ActorName    cell[string]    `db:"actor_name"`
	Action       cell[string]    `db:"action"`
	ResourceType cell[string]    `db:"resource_type"`
	ResourceID   cell[string]    `db:"resource_id"`
	Outcome      cell[string]    `db:"outcome"`
	RequestID    cell[string]    `db:"request_id"`
	Address      cell[string]    `db:"address"`
	Changes      cell[[]byte]    `db:"changes"`
	KeyID        cell[string]    `db:"key_id"`
	Hash         cell[[]byte]    `db:"hash"`
}

// errUnreadable says that a row of the trail is not as this package writes them.
var errUnreadable = errors.New("the audit event is not as it was written")

// sealed is the event of the row; an error says that the row is not as this package writes them, and what of it could be read is in the
// event all the same.
func (r *auditRow) sealed() (audit.Sealed, error) {
	s := audit.Sealed{KeyID: r.KeyID.V, Hash: r.Hash.V, Event: audit.Event{
		ID: r.PublicID.V, Tenant: tenant.ID(r.TenantID), Sequence: r.Sequence, At: onCalendar(r.At),
		Actor:  audit.Actor{Kind: audit.Kind(r.ActorKind.V), ID: r.ActorID.V, Name: r.ActorName.V},
		Action: audit.Action(r.Action.V), Resource: audit.Resource{Type: r.ResourceType.V, ID: r.ResourceID.V},
		Outcome: audit.Outcome(r.Outcome.V), RequestID: r.RequestID.V, Address: r.Address.V,
	}}
	whole := r.PublicID.Valid && !s.At.IsZero() && r.Changes.Valid && r.Hash.Valid
	for _, text := range []cell[string]{
		r.ActorKind, r.ActorID, r.ActorName, r.Action, r.ResourceType, r.ResourceID, r.Outcome, r.RequestID, r.Address, r.KeyID,
	} {
		whole = whole && text.Valid
	}
	if !whole {
		return s, errUnreadable
	}
	var err error
	s.Changes, err = changesOf(r.Changes.V)
	return s, err
}

// changesOf reads the changes of an event and accepts them in the one form in which they are written: each has the three members, by
// these names to the letter, and each a text. What the hash does not tell apart (a member more, one less, a name in another case, which
// encoding/json takes for the same) the database's statements may, and would then not find what proves a chain.
func changesOf(stored []byte) ([]audit.Change, error) {
	var elements []map[string]*string
	if err := json.Unmarshal(stored, &elements); err != nil || elements == nil {
		return nil, errors.Join(errUnreadable, err)
	}
	changes := make([]audit.Change, 0, len(elements))
	for _, members := range elements {
		field, before, after := members["field"], members["before"], members["after"]
		if len(members) != 3 || field == nil || before == nil || after == nil {
			return nil, errUnreadable
		}
		changes = append(changes, audit.Change{Field: *field, Before: *before, After: *after})
	}
	return changes, nil
}

// ListAuditEvents pages through a tenant's events, newest first. One that cannot be read is marked as such. Under a filter a page may be
// shorter than asked for and still have a successor: it passes over no more than so many events, which are kept for ever. Their times
// bound nothing, because one that somebody has changed would then hide all others.
func (s *Store) ListAuditEvents(ctx context.Context, t tenant.ID, f audit.Filter, page inventory.PageRequest) ([]audit.Event, inventory.Position, error) {
	before, err := beforeID(page.After)
	if err != nil {
		return nil, nil, err
	}
	var rows []auditRow
	var last int64
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		if last, err = s.trailEnd(ctx, tx, t, f, before); err != nil {
			return err
		}
		return tx.SelectContext(ctx, &rows, `
			select * from audit_event
			where tenant_id = $1 and sequence < $2 and sequence >= $10 and (cardinality($3::text[]) = 0 or actor_id = any($3) or actor_kind = any($3))
			  and (cardinality($4::text[]) = 0 or action = any($4)) and (cardinality($5::text[]) = 0 or resource_id = any($5))
			  and (cardinality($6::text[]) = 0 or outcome = any($6)) and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
			order by sequence desc limit $9`,
			t, before, texts(f.Actors), texts(f.Actions), texts(f.Resources), texts(f.Outcomes), nullTime(f.From), nullTime(f.Before), page.Limit+1, last)
	})
	if err != nil {
		return nil, nil, err
	}
	position := func(sequence int64) inventory.Position { return inventory.Position{strconv.FormatInt(sequence, 10)} }
	rows, next := cut(rows, page.Limit, func(r auditRow) inventory.Position { return position(r.Sequence) })
	if next == nil && last > 0 {
		next = position(last)
	}
	return eventsOf(rows), next, nil
}

// trailEnd is the last event that a page passes over; 0 if it may pass over all that are left. It counts events and trusts no number:
// somebody may have put one far behind the end.
func (s *Store) trailEnd(ctx context.Context, tx *sqlx.Tx, t tenant.ID, f audit.Filter, before int64) (last int64, err error) {
	if f.Empty() {
		return 0, nil
	}
	err = tx.GetContext(ctx, &last, `
		select sequence from audit_event where tenant_id = $1 and sequence < $2 order by sequence desc offset $3 limit 1`, t, before, s.limits.events-1)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return last, err
}

func eventsOf(rows []auditRow) []audit.Event {
	events := make([]audit.Event, 0, len(rows))
	for i := range rows {
		sealed, err := rows[i].sealed()
		if err != nil { // who changed one event must not be able to hide all others
			sealed.Unreadable = true
		}
		events = append(events, sealed.Event)
	}
	return events
}
