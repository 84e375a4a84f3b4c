package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// HeldChanges lists what the removal guard holds back in an integration, assets before findings.
func (s *Store) HeldChanges(ctx context.Context, t tenant.ID, integration uuid.UUID) (held []syncer.HeldChange, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		known, err := readGuard(ctx, tx, t, integration)
		if err != nil {
			return err
		}
		for _, kind := range heldKinds {
			if e, told := known.told(kind); told {
				held = append(held, e.change(kind))
			}
		}
		return nil
	})
	return held, err
}

// guardColumn reads what the removal guard holds back, for showing it with the integration.
type guardColumn []connector.Held

// Scan implements [database/sql.Scanner].
func (c *guardColumn) Scan(src any) error {
	body, ok := src.([]byte)
	if !ok {
		return fmt.Errorf("guard: unexpected %T", src)
	}
	var known guardDocument
	if err := json.Unmarshal(body, &known); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	*c = nil
	for _, kind := range heldKinds {
		if e, told := known.told(kind); told {
			now := e.stands()
			*c = append(*c, connector.Held{Kind: string(kind), At: now.At.UTC(), Before: now.Before, Leaving: now.Leaving, ApprovedAt: e.Approved.UTC()})
		}
	}
	return nil
}

// approvedSince tells whether more is approved of than was known.
func (c guardColumn) approvedSince(known []connector.Held) bool {
	return slices.ContainsFunc(c, func(now connector.Held) bool {
		return !now.ApprovedAt.IsZero() && !slices.ContainsFunc(known, func(h connector.Held) bool { return h.Kind == now.Kind && h.ApprovedAt.Equal(now.ApprovedAt) })
	})
}

// heldKinds in the order in which they are told.
var heldKinds = []syncer.HeldKind{syncer.HeldAssets, syncer.HeldFindings}

// ApproveHeldChange lets the next run go through with what the given run met, unless it meets a further drop by then. The
// fault conflict says that something else is held back now, or nothing, or that another run has looked at it since. An active integration gets its run soon.
func (s *Store) ApproveHeldChange(ctx context.Context, t tenant.ID, integration uuid.UUID, a syncer.Approval, now time.Time) (held syncer.HeldChange, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		if _, err := lockIntegration(ctx, tx, t, integration, 0); err != nil {
			return err
		}
		known, err := readGuard(ctx, tx, t, integration)
		if err != nil {
			return err
		}
		e, told := known.told(a.Kind)
		if !told || e.Run != a.Run.String() {
			return notHeld(a.Kind, e, told)
		}
		if a.Latest != uuid.Nil && a.Latest.String() != e.stands().Run {
			return notLookedAt(a.Kind, e)
		}
		if e.Approved.IsZero() {
			e.Approved = now.UTC()
			known.Held[string(a.Kind)] = e
		}
		held = e.change(a.Kind)
		body, err := json.Marshal(known)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			update integration set guard = $3, asked_at = case when state in ('active', 'degraded') then clock_timestamp() else asked_at end,
			  next_run_at = case when state in ('active', 'degraded') then least(next_run_at, $4) else next_run_at end
			where tenant_id = $1 and public_id = $2`, t, integration, string(body), now)
		if err != nil {
			return err
		}
		return s.record(ctx, tx, t, deed{
			action: audit.HeldChangeApproved, resource: on(tenant.IntegrationPrefix, integration),
			changes: approvalOf(held),
		})
	})
	return held, err
}

// approvalOf names what was approved of, and by whose figures if a later run has looked at it.
func approvalOf(h syncer.HeldChange) []audit.Change {
	changes := audit.Diff(audit.Diff(nil, "kind", "", h.Kind), "run_id", "", tenant.PublicText(tenant.RunPrefix, h.Run))
	if h.Latest != nil {
		changes = audit.Diff(changes, "latest_run_id", "", tenant.PublicText(tenant.RunPrefix, h.Latest.Run))
	}
	return changes
}

// notHeld says why there is nothing to approve of, and names the run whose change is held back instead, if there is one.
func notHeld(kind syncer.HeldKind, now guardEntry, held bool) *fault.Error {
	switch {
	case now.Agreed:
		f := fault.Newf(fault.CodeConflict, "The change of %s is not held back any more: a later run agreed to it, and it is on its way.", kind)
		f.Remedy = "Nothing to do: what is missing leaves with the next runs."
		return f
	case !held:
		f := fault.Newf(fault.CodeConflict, "No change of %s is held back any more: it went through, what was missing is there again, or the settings leave it out.", kind)
		f.Remedy = "Nothing to do; the runs of the integration tell which it was."
		return f
	}
	other := now.change(kind)
	name, stands := tenant.PublicText(tenant.RunPrefix, other.Run), now.stands()
	f := fault.Newf(fault.CodeConflict, "It is not what is held back now: %s met another change on %s, and %d of %d %s would leave the inventory.",
		name, other.At.Format("2 January 2006, 15:04 MST"), stands.Leaving, stands.Before, kind)
	f.Remedy = "List the held changes, look at that one, and approve of it by the run_id " + name + " if it is right."
	f.Data = other.Run
	return f
}

// notLookedAt says that other figures stand than those that were looked at.
func notLookedAt(kind syncer.HeldKind, now guardEntry) *fault.Error {
	stands := now.stands().reading()
	name := tenant.PublicText(tenant.RunPrefix, stands.Run)
	f := fault.Newf(fault.CodeConflict, "Other figures stand now: %s looked at the change on %s, and %d of %d %s would leave the inventory.",
		name, stands.At.Format("2 January 2006, 15:04 MST"), stands.Leaving, stands.Before, kind)
	f.Remedy = "List the held changes, look at what stands, and approve of it by the latest_run_id " + name + " if it is right."
	f.Data = now.reading().Run
	return f
}

func readGuard(ctx context.Context, tx *sqlx.Tx, t tenant.ID, integration uuid.UUID) (known guardDocument, err error) {
	var body []byte
	err = tx.GetContext(ctx, &body, `select guard from integration where tenant_id = $1 and public_id = $2`, t, integration)
	if err != nil {
		return known, notFound(err, "integration")
	}
	return known, json.Unmarshal(body, &known)
}

func (e guardEntry) change(kind syncer.HeldKind) syncer.HeldChange {
	change := syncer.HeldChange{Kind: kind, HeldReading: e.reading(), ApprovedAt: e.Approved}
	if e.Latest != nil {
		change.Latest = new(e.Latest.reading())
	}
	return change
}

func (f guardFigures) reading() syncer.HeldReading {
	run, _ := uuid.Parse(f.Run) // written by this package
	return syncer.HeldReading{Run: run, At: f.At.UTC(), Before: f.Before, After: f.After, Leaving: f.Leaving, Samples: f.Samples}
}
