package postgres

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// maxHistory is how many events of a finding are told, the newest.
const maxHistory = 200

type eventRow struct {
	At          time.Time      `db:"at"`
	Run         uuid.NullUUID  `db:"run"`
	Change      int16          `db:"change"`
	Reason      sql.NullString `db:"reason"`
	Severity    int16          `db:"severity"`
	OldSeverity sql.NullInt16  `db:"old_severity"`
	OldSoftware pq.Int32Array  `db:"old_software_ids"`
}

// FindingHistory tells what became of a finding, the newest first. The first entry of all is its creation, unless that is
// more than maxHistory entries ago.
func (s *Store) FindingHistory(ctx context.Context, t tenant.ID, asset uuid.UUID, vulnID int32) (events []inventory.Event, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		var now struct {
			AssetID   int64         `db:"asset_id"`
			Severity  int16         `db:"severity"`
			CreatedAt time.Time     `db:"created_at"`
			Software  pq.Int32Array `db:"software_ids"`
		}
		err := tx.GetContext(ctx, &now, `
			select f.asset_id, f.severity, f.created_at, f.software_ids from finding f
			where f.tenant_id = $1 and f.vulnerability_id = $3 and f.asset_id = (select id from asset where tenant_id = $1 and public_id = $2)`, t, asset, vulnID)
		if err != nil {
			return notFound(err, "finding")
		}
		var rows []eventRow
		err = tx.SelectContext(ctx, &rows, `
			select e.at, r.public_id as run, e.change, e.reason, e.severity, e.old_severity, e.old_software_ids
			from finding_event e left join run r on r.tenant_id = $1 and r.id = e.run_id
			where e.tenant_id = $1 and e.asset_id = $2 and e.vulnerability_id = $3 order by e.id desc limit $4`, t, now.AssetID, vulnID, maxHistory)
		if err != nil {
			return err
		}
		h := history{software: now.Software, numbers: slices.Clone(now.Software)}
		for i := range rows {
			h.step(&rows[i])
		}
		if n := len(rows); n == 0 || n < maxHistory && rows[n-1].Change != int16(inventory.EventCreated) {
			first := eventRow{At: now.CreatedAt, Change: int16(inventory.EventCreated), Severity: now.Severity}
			if n > 0 && rows[n-1].OldSeverity.Valid {
				first.Severity = rows[n-1].OldSeverity.Int16
			}
			h.step(&first)
		}
		events, err = h.named(ctx, tx)
		return err
	})
	return events, err
}

// history goes back in time event by event.
type history struct {
	software pq.Int32Array // at the time that was reached
	numbers  []int32       // all that was met
	events   []inventory.Event
	added    []pq.Int32Array // by event
	gone     []pq.Int32Array
}

func (h *history) step(r *eventRow) {
	e := inventory.Event{
		At: r.At.UTC(), Run: r.Run.UUID, Kind: inventory.EventKind(r.Change), Reason: r.Reason.String, Severity: inventory.Severity(r.Severity),
		OldSeverity: inventory.Severity(r.OldSeverity.Int16), Severe: r.OldSeverity.Valid,
	}
	var added, gone pq.Int32Array
	switch {
	case e.Kind == inventory.EventCreated:
		added = h.software
	case r.OldSoftware != nil:
		added, gone = without(h.software, r.OldSoftware), without(r.OldSoftware, h.software)
		h.software = r.OldSoftware
		h.numbers = append(h.numbers, r.OldSoftware...)
	}
	h.events, h.added, h.gone = append(h.events, e), append(h.added, added), append(h.gone, gone)
}

func without(a, b pq.Int32Array) (rest pq.Int32Array) {
	for _, n := range a {
		if !slices.Contains(b, n) {
			rest = append(rest, n)
		}
	}
	return rest
}

// named gives the software its names.
func (h *history) named(ctx context.Context, tx *sqlx.Tx) ([]inventory.Event, error) {
	var rows []struct {
		ID   int32  `db:"id"`
		Name string `db:"name"`
	}
	err := tx.SelectContext(ctx, &rows, `select id, vendor || '/' || product || '/' || version as name from software where id = any($1)`, pq.Array(h.numbers))
	if err != nil {
		return nil, err
	}
	names := make(map[int32]string, len(rows))
	for _, r := range rows {
		names[r.ID] = r.Name
	}
	told := func(numbers pq.Int32Array) (list []string) {
		for _, n := range numbers {
			list = append(list, names[n])
		}
		slices.Sort(list)
		return list
	}
	for i := range h.events {
		h.events[i].Added, h.events[i].Gone = told(h.added[i]), told(h.gone[i])
	}
	return h.events, nil
}
