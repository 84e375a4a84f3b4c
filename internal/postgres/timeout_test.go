package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// TestATimeOutIsToldFromALostDatabase breaks statements off in each way. All but the caller's own are unavailable, as requests answer.
func TestATimeOutIsToldFromALostDatabase(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	owner := openOwner(t, url)
	running := `from pg_stat_activity where datname = current_database() and application_name = 'breaking' and query like '%pg_sleep%'`
	for name, c := range map[string]struct {
		limit, patience      time.Duration
		interrupt            string
		timedOut, ownContext bool
	}{
		"time limit":        {limit: 100 * time.Millisecond, patience: time.Minute, timedOut: true},
		"operator's cancel": {limit: time.Minute, patience: time.Minute, interrupt: `select count(pg_cancel_backend(pid)) ` + running, timedOut: true},
		"lost session":      {limit: time.Minute, patience: time.Minute, interrupt: `select count(pg_terminate_backend(pid)) ` + running},
		"caller's context":  {limit: time.Minute, patience: 100 * time.Millisecond, ownContext: true},
	} {
		o := postgres.ForWork()
		o.StatementTimeout, o.ApplicationName = c.limit, "breaking"
		store := postgrestest.Open(t, url, o)
		ctx, cancel := context.WithTimeout(t.Context(), c.patience)
		ended := make(chan error, 1)
		go func() {
			ended <- store.InTenant(ctx, 1, func(tx *sqlx.Tx) error {
				_, err := tx.ExecContext(ctx, `select pg_sleep(50)`)
				return err
			})
		}()
		for n := 0; c.interrupt != "" && n == 0; {
			if err := owner.QueryRow(c.interrupt).Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
		err := <-ended
		cancel()
		if errors.Is(err, job.ErrTimedOut) != c.timedOut || fault.Is(err, fault.CodeUnavailable) == c.ownContext || errors.Is(err, context.DeadlineExceeded) != c.ownContext {
			t.Errorf("%s: %v", name, err)
		}
	}
}
