package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// attachTries is how often a first import tries to attach its table, within some three minutes.
const attachTries = 600

// rememberReading writes what the integration is to remember of a reading. Whoever changes the integration waits from then on, so it comes late.
func (st *stage) rememberReading(ctx context.Context, tx *sqlx.Tx) error {
	if err := st.writeReading(ctx, tx); err != nil {
		return err
	}
	return st.writeGuard(ctx, tx)
}

// attachTable is rememberReading for a first import, whose table becomes the tenant's partition with it. That locks out whoever reads the
// findings of tenants that share theirs, so all that may have to wait for others lies before it: only the rows of the job and the run are
// locked behind it, for which the job's heartbeat would have to wait otherwise. As long as others have the lock it is tried again, and the
// integration's row is let go in between, for those who want to change it.
func (st *stage) attachTable(ctx context.Context, tx *sqlx.Tx) error {
	for attempt := 1; ; attempt++ {
		attached, err := st.tryToAttach(ctx, tx, attempt)
		if attached || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100*time.Millisecond + rand.N(200*time.Millisecond)):
		}
	}
}

// tryToAttach takes everything back if others have the lock, and fails with that error the last time.
func (st *stage) tryToAttach(ctx context.Context, tx *sqlx.Tx, attempt int) (attached bool, err error) {
	if _, err := tx.ExecContext(ctx, `savepoint attaching`); err != nil {
		return false, err
	}
	if err := st.rememberReading(ctx, tx); err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `select load_attach($1)`, attempt)
	var refused *pq.Error
	if !errors.As(err, &refused) || refused.Code != "55P03" || attempt == attachTries { // lock_not_available
		return err == nil, err
	}
	_, err = tx.ExecContext(ctx, `rollback to savepoint attaching; release savepoint attaching`)
	return false, err
}
