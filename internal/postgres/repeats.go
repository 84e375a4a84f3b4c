package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/repeat"
)

// BeginRequest takes the attempt's name for it, unless another attempt has it: then it gives what that one has left so far. An
// attempt that changed nothing in its time, and whatever is older than [repeat.KeepFor], gives way.
func (s *Store) BeginRequest(ctx context.Context, a *repeat.Attempt) (m repeat.Memory, mine bool, err error) {
	err = s.inTenant(ctx, a.Tenant, func(tx *sqlx.Tx) error {
		mine, err = takeName(ctx, tx, a)
		if err != nil || mine {
			return err
		}
		m, err = recall(ctx, tx, a)
		if errors.Is(err, sql.ErrNoRows) { // given back between the two statements
			e := fault.New(fault.CodeIdempotencyInProgress, "")
			e.RetryAfter = time.Second
			return e
		}
		return err
	})
	return m, mine, err
}

func takeName(ctx context.Context, tx *sqlx.Tx, a *repeat.Attempt) (mine bool, err error) {
	err = tx.GetContext(ctx, &mine, `
		insert into idempotency as known (tenant_id, name, request, holder, held_until)
		values ($1, $2, $3, $4, now() + make_interval(secs => $5))
		on conflict (tenant_id, name) do update
		set request = excluded.request, holder = excluded.holder, held_until = excluded.held_until, made = '', keepsake = null,
		    answer = null, created_at = now()
		where known.created_at < now() - make_interval(secs => $6) or known.made = '' and known.held_until < now()
		returning true`,
		a.Tenant, a.Name[:], a.Request[:], a.Holder, a.Within.Seconds(), repeat.KeepFor.Seconds())
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return mine, err
}

func recall(ctx context.Context, tx *sqlx.Tx, a *repeat.Attempt) (m repeat.Memory, err error) {
	var row struct {
		Request  []byte  `db:"request"`
		Made     string  `db:"made"`
		Keepsake []byte  `db:"keepsake"`
		Answer   []byte  `db:"answer"`
		Held     float64 `db:"held"` // finite, whatever stands in the table
	}
	err = tx.GetContext(ctx, &row, `
		select request, made, keepsake, answer, extract(epoch from least(greatest(held_until, now()), now() + make_interval(secs => $3)) - now()) held
		from idempotency where tenant_id = $1 and name = $2`, a.Tenant, a.Name[:], repeat.KeepFor.Seconds())
	copy(m.Request[:], row.Request)
	m.Made, m.Keepsake, m.Answer, m.HeldFor = row.Made, row.Keepsake, row.Answer, time.Duration(row.Held*float64(time.Second))
	return m, err
}

// remember keeps what the request under way has made in the transaction that makes it: both or neither. An attempt whose place
// another one has taken meanwhile makes nothing.
func remember(ctx context.Context, tx *sqlx.Tx, made string) error {
	a := repeat.Of(ctx)
	if a == nil {
		return nil
	}
	n, err := affected(ctx, tx, `
		update idempotency set made = $4, keepsake = $5 where tenant_id = $1 and name = $2 and holder = $3`,
		a.Tenant, a.Name[:], a.Holder, made, a.Keepsake)
	if err == nil && n == 0 {
		err = fault.New(fault.CodeIdempotencyInProgress, "the request took so long that a repetition has taken its place")
	}
	return err
}

// KeepAnswer stores the answer to a request that has changed something, and tells whether there was one.
func (s *Store) KeepAnswer(ctx context.Context, a *repeat.Attempt, answer []byte) (kept bool, err error) {
	err = s.inTenant(ctx, a.Tenant, func(tx *sqlx.Tx) error {
		n, err := affected(ctx, tx, `
			update idempotency set answer = $4 where tenant_id = $1 and name = $2 and holder = $3 and made <> ''`, a.Tenant, a.Name[:], a.Holder, answer)
		kept = n > 0
		return err
	})
	return kept, err
}

// GiveUpRequest gives the name of an attempt that has changed nothing back; otherwise it does nothing.
func (s *Store) GiveUpRequest(ctx context.Context, a *repeat.Attempt) error {
	return s.inTenant(ctx, a.Tenant, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			delete from idempotency where tenant_id = $1 and name = $2 and holder = $3 and made = ''`, a.Tenant, a.Name[:], a.Holder)
		return err
	})
}
