package defender

import (
	"testing"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// TestARevokedTokenIsRenewedThoughNoRepeatIsLeft has all repeats be used up before a token of some age is revoked.
func TestARevokedTokenIsRenewedThoughNoRepeatIsLeft(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	store := postgrestest.New(t)
	s := u.open(func(c *Config) { c.Budget = NewSharedBudget(store).Simulated(u.clock.now, u.clock.sleep) })
	u.onAPI = plain(429, "", "Retry-After", "30")
	for range repeatReserve {
		if _, err := machineIDs(s); !fault.Is(err, fault.CodeUpstreamThrottled) {
			t.Fatal(err)
		}
	}
	u.answer(inTurn(plain(401, ""), page(listOf("id", 0, 1, ""))))
	if _, err := machineIDs(s); err != nil {
		t.Error(err)
	}
}

// TestADirectoryThatAnswers401CostsATenthMore: to renew the token and ask again is a repeat, and there are no more of them than of others.
func TestADirectoryThatAnswers401CostsATenthMore(t *testing.T) {
	t.Parallel()
	const readings = 60
	u := newUpstream(t)
	u.onAPI = plain(401, "")
	store := postgrestest.New(t)
	s := u.open(func(c *Config) { c.Budget = NewSharedBudget(store).Simulated(u.clock.now, u.clock.sleep) })
	for range readings {
		if _, err := machineIDs(s); !fault.Is(err, fault.CodeCredentialsInvalid) {
			t.Fatal(err)
		}
	}
	_, calls := u.counts()
	if most := readings*11/10 + repeatReserve; calls > most || calls < readings+repeatReserve {
		t.Errorf("%d calls in %d readings, at most %d are allowed", calls, readings, most)
	}
	if repeats := s.Usage().Retries; repeats != int64(calls-readings) {
		t.Errorf("%d repeats are counted of %d", repeats, calls-readings)
	}
}
