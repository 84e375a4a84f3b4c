package defender

import (
	"context"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
)

// TestALongHoldIsNotWaitedFor bears a hold of five minutes and any wait for its turn, and no longer hold: the call is given back, so that
// nobody waits behind it.
func TestALongHoldIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newSpender(t)
	patient := Caller{MostHold: 5 * time.Minute}
	bear := func(b *SharedBudget) error {
		_, err := b.Take(context.Background(), s.key, patient)
		return err
	}
	s.hold(5 * time.Minute)
	began := s.clock.now()
	if err := bear(s.SharedBudget); err != nil || s.clock.now().Sub(began) != 5*time.Minute {
		t.Errorf("a hold of five minutes: %v after %v", err, s.clock.now().Sub(began))
	}
	s.hold(6 * time.Minute)
	began = s.clock.now()
	for range 200 {
		if err := bear(s.SharedBudget); !fault.Is(err, fault.CodeUpstreamThrottled) || fault.As(err).RetryAfter != 6*time.Minute {
			t.Fatalf("a hold of six minutes: %v, %v", err, fault.As(err).RetryAfter)
		}
	}
	if !s.clock.now().Equal(began) {
		t.Errorf("waited %v", s.clock.sleeps())
	}
	if waited, err := s.take(s.SharedBudget); err != nil || waited != 6*time.Minute {
		t.Errorf("who bears it waits %v, %v", waited, err)
	}
}

// TestTheTurnIsWaitedForHoweverLong has so many calls reserved that the wait alone takes more than five minutes, and another worker meet a hold
// meanwhile.
func TestTheTurnIsWaitedForHoweverLong(t *testing.T) {
	t.Parallel()
	s := newSpender(t)
	s.key.Family = FamilyExportFiles
	asleep := s.Simulated(s.clock.now, func(context.Context, time.Duration) error { return nil })
	queue := func() {
		for range 5 {
			if _, err := s.take(asleep); err != nil {
				t.Fatal(err)
			}
		}
	}
	queue()
	began := s.clock.now()
	if _, err := s.Take(context.Background(), s.key, Caller{MostHold: 5 * time.Minute}); err != nil || s.clock.now().Sub(began) < 6*time.Minute {
		t.Errorf("%v after %v", err, s.clock.now().Sub(began))
	}
	queue()
	held := s.Simulated(s.clock.now, func(ctx context.Context, d time.Duration) error {
		_ = s.clock.sleep(ctx, d)
		return s.Hold(ctx, s.key, time.Hour)
	})
	if _, err := held.Take(context.Background(), s.key, Caller{MostHold: 5 * time.Minute}); !fault.Is(err, fault.CodeUpstreamThrottled) || fault.As(err).RetryAfter < time.Hour {
		t.Errorf("held meanwhile: %v, %v", err, fault.As(err).RetryAfter)
	}
}

// hold keeps back the calls of the key, of which there was one before.
func (s spender) hold(d time.Duration) {
	s.t.Helper()
	if _, err := s.take(s.SharedBudget); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Hold(context.Background(), s.key, d); err != nil {
		s.t.Fatal(err)
	}
}
