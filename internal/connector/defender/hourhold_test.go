package defender

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// usedUp is an API whose quota of the hour is used up until a moment.
func (u *upstream) usedUp(until time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if left := until.Sub(u.clock.now()); left > 0 {
			plain(429, "", "Retry-After", strconv.Itoa(int(left/time.Second)+1))(w, r)
			return
		}
		page(listOf("id", 0, 1, ""))(w, r)
	}
}

// TestAnHoursQuotaIsAskedOnce: who met the 429 is told how long to wait, and so does everybody else, without a call or a wait, until that is over;
// somebody who waits for a check is told at once.
func TestAnHoursQuotaIsAskedOnce(t *testing.T) {
	t.Parallel()
	const left = 50 * time.Minute
	u, store := newUpstream(t), postgrestest.New(t)
	shared := func(c *Config) { c.Budget = NewSharedBudget(store).Simulated(u.clock.now, u.clock.sleep) }
	u.onAPI = u.usedUp(u.clock.now().Add(left))
	asked := u.clock.now()
	mustBeThrottled := func(s connector.Source, why string) {
		t.Helper()
		if _, err := machineIDs(s); !fault.Is(err, fault.CodeUpstreamThrottled) || fault.As(err).RetryAfter < left-time.Minute || fault.As(err).RetryAfter > left+time.Minute {
			t.Errorf("%s: %v", why, err)
		}
	}
	mustBeThrottled(u.open(shared), "the first one")
	second := u.open(shared)
	for _, c := range second.Check(context.Background(), connector.Probe{Assets: true}) {
		if c.Name == stepMachines && (c.Code != fault.CodeUpstreamThrottled || c.RetryAfter < left-time.Minute || c.RetryAfter > left+time.Second) {
			t.Errorf("a check is told %+v", c)
		}
	}
	mustBeThrottled(second, "the second one")
	mustBeThrottled(u.open(shared), "another one")
	if _, calls := u.counts(); calls != 1 || !u.clock.now().Equal(asked) {
		t.Errorf("%d calls, waited %v", calls, u.clock.sleeps())
	}
	_ = u.clock.sleep(t.Context(), left+time.Second)
	if _, err := machineIDs(second); err != nil {
		t.Error(err)
	}
	if _, calls := u.counts(); calls != 2 {
		t.Errorf("%d calls", calls)
	}
}

// TestNobodyWaitsForATokenThatNobodyWants: the wait for it ends with the last who wanted it, and who comes then has another one requested.
func TestNobodyWaitsForATokenThatNobodyWants(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.onToken = inTurn(plain(429, "", "Retry-After", "300"), u.onToken)
	asleep, woken := make(chan struct{}), make(chan error, 1)
	s := u.open(func(c *Config) {
		c.Sleep = func(ctx context.Context, _ time.Duration) error {
			close(asleep)
			<-ctx.Done()
			woken <- ctx.Err()
			return ctx.Err()
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { <-asleep; stop() }()
	if err := s.Machines(ctx, time.Time{}, func([]inventory.Machine) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("the reading that was given up: %v", err)
	}
	select {
	case err := <-woken:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the wait ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the wait for the token goes on")
	}
	if _, err := machineIDs(s); err != nil {
		t.Errorf("the next reading: %v", err)
	}
}
