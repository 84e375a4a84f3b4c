package job_test

import (
	"context"
	"testing"
	"time"

	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// TestAnAnswerThatNeverComesIsNotWaitedFor has the connection stand still that a claim or a heartbeat is made on. The next one takes another.
func TestAnAnswerThatNeverComesIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		ask  func(context.Context, *postgres.Store, job.Job) error
	}{
		"claim": {"defender job claim", func(ctx context.Context, s *postgres.Store, _ job.Job) error {
			_, err := s.Claim(ctx, job.Room{Holder: "test", Jobs: 1, PerTenant: 1}, time.Minute)
			return err
		}},
		"heartbeat": {"update job set lease_until", func(ctx context.Context, s *postgres.Store, j job.Job) error {
			_, err := s.Extend(ctx, j, time.Minute)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			y.add(y.tenant())
			j := y.claim(1, 1)[0]
			line := postgrestest.NewLine(t, y.url, c.text)
			store := postgrestest.Open(t, line.URL(), postgres.ForWork())
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			answered := make(chan error, 1)
			go func() { answered <- c.ask(ctx, store, j) }()
			select {
			case err := <-answered:
				if err == nil {
					t.Error("it was answered")
				}
			case <-time.After(20 * time.Second):
				t.Error("it waits still")
			}
			line.Mend()
			if err := c.ask(t.Context(), store, j); err != nil {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

// TestAClaimThatStandsStillHoldsUpNobodyForLong freezes a process between taking the lock of all claims and giving it back.
func TestAClaimThatStandsStillHoldsUpNobodyForLong(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.add(y.tenant())
	line := postgrestest.NewLine(t, y.url, "defender job claim")
	frozen := postgrestest.Open(t, line.URL(), postgres.ForWork())
	room := job.Room{Holder: "frozen", Jobs: 1, PerTenant: 1}
	ended := make(chan error, 1)
	go func() {
		_, err := frozen.Claim(t.Context(), room, time.Minute)
		ended <- err
	}()
	<-line.Held()
	for held := 0; held == 0; { // the server has to have got that far as well
		held = y.number(`select count(*) from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())`)
	}
	if jobs := y.claim(1, 1); len(jobs) != 1 {
		t.Errorf("%d jobs claimed meanwhile", len(jobs))
	}
	line.Mend()
	if err := <-ended; err == nil {
		t.Error("the frozen claim was carried out")
	}
}
