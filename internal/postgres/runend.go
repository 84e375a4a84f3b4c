package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// FinishRun records the end of a run and what it means for its integration, in one transaction.
func (s *Store) FinishRun(ctx context.Context, j job.Job, run syncer.Run, c syncer.Consequence) error {
	body, err := json.Marshal(run.Report)
	if err != nil {
		return err
	}
	return s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		link, err := lockLink(ctx, tx, j.Tenant, run.IntegrationID)
		if errors.Is(err, sql.ErrNoRows) { // gone with its tenant, and the job with it
			return job.ErrLeaseLost
		}
		if err != nil {
			return err
		}
		after, err := link.bear(ctx, tx, &run, c)
		if err != nil {
			return err
		}
		if err := confirmClaim(ctx, tx, j); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			update run set state = $3, stage = $4, report = $5, finished_at = now(), updated_at = now()
			where tenant_id = $1 and id = $2`, j.Tenant, run.ID, run.State, run.Stage, string(body))
		if err != nil {
			return err
		}
		if err := keepReconciliation(ctx, tx, &run, c.Reconciled); err != nil {
			return err
		}
		if err := keepSkipped(ctx, tx, &run, c.Skipped); err != nil || link.linkState == after {
			return err
		}
		return s.record(ctx, tx, j.Tenant, stateDeed(run.IntegrationPublic, link.linkState, after))
	})
}

// linkState is where an integration stands.
type linkState struct {
	State  string `db:"state"`
	Reason string `db:"state_reason"`
}

// runLink is an integration as the end of one of its runs finds it.
type runLink struct {
	linkState
	Tenant          tenant.ID      `db:"tenant_id"`
	SecretUpdatedAt time.Time      `db:"secret_updated_at"`
	IntervalHours   int            `db:"interval_hours"`
	Settings        settingsColumn `db:"settings"`
	Guard           guardColumn    `db:"guard"`
	AskedAt         sql.NullTime   `db:"asked_at"`
	ClientID        string         `db:"client_id"`
	Entitlement     tenant.Entitlement
}

// lockLink reads it and keeps others from changing it until the transaction ends.
func lockLink(ctx context.Context, tx *sqlx.Tx, t tenant.ID, id int64) (l runLink, err error) {
	err = tx.GetContext(ctx, &l, `
		select tenant_id, state, state_reason, secret_updated_at, interval_hours, settings, guard, asked_at, client_id
		from integration where tenant_id = $1 and id = $2 for no key update`, t, id)
	if err != nil {
		return l, err
	}
	l.Entitlement, err = entitlement(ctx, tx, t)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return l, err
}

// replaced tells whether a secret took the place of the one that the run had.
func (l *runLink) replaced(c *syncer.Consequence) bool { return l.SecretUpdatedAt.After(c.SecretOf) }

// askedMeanwhile tells whether a run is to come at once, because somebody did something that this one could not know of: other settings,
// an approval that it has not gone through with, more that may be imported, or anything at all if it was cancelled or ended before it looked.
func (l *runLink) askedMeanwhile(run *syncer.Run, c *syncer.Consequence) bool {
	switch {
	case run.State == syncer.Cancelled: // from what was asked for since it was ordered, whether it knew of it or not
		return l.AskedAt.Valid && l.AskedAt.Time.After(run.CreatedAt)
	case c.JudgedBy == nil:
		return l.AskedAt.Valid && l.AskedAt.Time.After(run.StartedAt)
	}
	state := connector.State(cmp.Or(string(c.State), l.State))
	more := c.Entitled != nil && l.Entitlement.Exceeds(*c.Entitled, time.Now())
	return !c.JudgedBy.Equal(inventory.Settings(l.Settings)) ||
		(more || l.Guard.approvedSince(c.Held)) && (state == connector.StateActive || state == connector.StateDegraded)
}

// bear writes what the end of a run means. A pause or a disconnection that came meanwhile is stronger than what the run found. A secret that
// was replaced meanwhile had been tried: what the old one met is no finding about the link, and the new one gets its run soon. A success
// takes back the early retry that a failure before it had planned, and what was asked for while Microsoft's wait lasted; what is due otherwise
// was asked for just now. That wait stands beside all else, the longest of those that were asked for, until a run is answered to its end.
func (l *runLink) bear(ctx context.Context, tx *sqlx.Tx, run *syncer.Run, c syncer.Consequence) (after linkState, err error) {
	reading, err := readingColumn(c.Reading)
	if err != nil {
		return after, err
	}
	replaced, asked := l.replaced(&c), l.askedMeanwhile(run, &c)
	same := l.ClientID == c.ClientOf // another application has quotas of its own, of which this run says nothing
	if replaced && c.Failed && !c.SecretOf.IsZero() {
		c = syncer.Consequence{RetryAt: time.Now(), WaitUntil: c.WaitUntil}
	}
	err = tx.GetContext(ctx, &after, `
		update integration set
		  state = case when state in ('paused', 'disconnecting', 'disconnected') or $3 = '' then state else $3 end,
		  state_reason = case when state in ('paused', 'disconnecting', 'disconnected') or $3 = '' then state_reason else $4 end,
		  state_notice = case when state in ('paused', 'disconnecting', 'disconnected') or $3 = '' then state_notice else $12 end,
		  secret_expired_at = case when $4 = $10 then coalesce(secret_expired_at, now()) when $13 then null else secret_expired_at end,
		  secret_warned = case when $13 and $4 <> $10 and secret_expired_at is not null then null else secret_warned end,
		  recheck_at = case when $3 = 'action_required' then least(recheck_at, now() + `+recheckBroken+`) else recheck_at end,
		  reading = coalesce($9, reading),
		  failures = case when $5 then failures + 1 when $6 then 0 else failures end,
		  last_success_at = case when $6 then now() else last_success_at end,
		  wait_until = case when not $17 then wait_until when $6 or $16 then $15::timestamptz else greatest(wait_until, $15::timestamptz) end,
		  next_run_at = case when next_run_at is null then null
		    when $14 then least(next_run_at, now())
		    when $6 and (failures > 0 and next_run_at > now() or $17 and wait_until > now()) then $8::timestamptz
		    when next_run_at > now() then greatest(least(next_run_at, $7::timestamptz), $11::timestamptz)
		    else least(next_run_at, $7::timestamptz) end
		where tenant_id = $1 and id = $2
		returning state, state_reason`,
		l.Tenant, run.IntegrationID, c.State, c.Reason, c.Failed || c.Unfinished, c.Succeeded, nullTime(c.RetryAt), nextRun(time.Now(), l.IntervalHours), reading,
		fault.CodeSecretExpired, nullTime(c.NotBefore), noticeColumn(run.Report.Told(c.Reason)), run.Report.SignedIn() && !replaced,
		asked, nullTime(c.WaitUntil), c.Unfinished, same)
	return after, err
}
