package syncer_test

import (
	"fmt"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
)

// hours lets simulated time pass, looks every minute for what is due, carries it out, and gives the times of the runs.
func (h *house) hours(n int) (tried []time.Time) {
	h.t.Helper()
	for end := h.now.Add(time.Duration(n) * time.Hour); h.now.Before(end); h.now = h.now.Add(time.Minute) {
		queued, err := h.store.ScheduleDue(h.t.Context(), h.now)
		if err != nil {
			h.t.Fatal(err)
		}
		for range queued {
			h.work()
			tried = append(tried, h.now)
		}
	}
	return tried
}

// hourly gives the integration the shortest schedule there is.
func (h *house) hourly(i connector.Integration) {
	h.t.Helper()
	if _, err := h.links.Change(h.t.Context(), h.tenant, i.PublicID, 0, connector.Change{IntervalHours: ptr(1)}); err != nil {
		h.t.Fatal(err)
	}
}

func TestAHopelessLinkIsTriedAtMostHourlyAndMendedAtOnce(t *testing.T) {
	t.Parallel()
	for name, mend := range map[string]func(*house, connector.Integration) error{
		"rotated": func(h *house, i connector.Integration) error {
			_, _, err := h.rotate(i, renewed)
			return err
		},
		"validated": func(h *house, i connector.Integration) error {
			h.rotateAtMicrosoft(secret)
			_, err := h.links.Validate(h.t.Context(), h.tenant, i.PublicID)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 2, 1)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			h.hourly(i)
			h.rotateAtMicrosoft(renewed)
			tried := h.hours(12)
			if len(tried) < 8 {
				t.Fatalf("only %d tries in 12 hours: nobody would notice that it was mended", len(tried))
			}
			for n := 3; n < len(tried); n++ {
				if gap := tried[n].Sub(tried[n-1]); gap < time.Hour {
					t.Errorf("try %d came %v after the one before", n+1, gap)
				}
			}
			if now := h.integration(i); now.State != connector.StateActionRequired || now.StateReason != fault.CodeCredentialsInvalid {
				t.Errorf("%s %q", now.State, now.StateReason)
			}
			if err := mend(h, i); err != nil {
				t.Fatal(err)
			}
			if now := h.integration(i); now.State != connector.StateActive || now.StateReason != "" || now.NextRunAt.After(h.now.Add(time.Millisecond)) {
				t.Errorf("mended, and %s %q, next run at %v", now.State, now.StateReason, now.NextRunAt)
			}
			mustSucceed(t, h.due())
		})
	}
}

// TestAPassingFaultHealsWithinOneBackOff lets a passing fault follow a mended one: it waits the first back-off, not the fourth.
func TestAPassingFaultHealsWithinOneBackOff(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 1)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.rotateAtMicrosoft(renewed)
	for range 4 {
		mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeCredentialsInvalid)
	}
	if _, _, err := h.rotate(i, renewed); err != nil {
		t.Fatal(err)
	}
	h.fault(defendersim.Fault{PathPrefix: "/api", Status: 503, Body: "html"})
	mustEnd(t, h.due(), syncer.Failed, fault.CodeUpstreamUnavailable)
	failed := h.integration(i)
	if wait := failed.NextRunAt.Sub(h.now); failed.State != connector.StateDegraded || wait > 5*time.Minute+time.Second {
		t.Errorf("%s, the next try comes after %v", failed.State, wait)
	}
	h.sim.ClearFaults()
	h.now = failed.NextRunAt
	mustSucceed(t, h.due())
	if now := h.integration(i); now.State != connector.StateActive || now.StateReason != "" {
		t.Errorf("healed, and %s %q", now.State, now.StateReason)
	}
}

// TestTheScheduleWaitsAsLongAsMicrosoftAsks has Microsoft ask for more time than there is until the next run of the schedule.
func TestTheScheduleWaitsAsLongAsMicrosoftAsks(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{429: fault.CodeUpstreamThrottled, 503: fault.CodeUpstreamUnavailable} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 2, 1)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			h.hourly(i)
			h.fault(defendersim.Fault{Route: "machines", Status: status, RetryAfter: "7200"})
			mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, code)
			if wait := dueAt(h.integration(i)).Sub(h.now); wait < 2*time.Hour-time.Second || wait > 2*time.Hour+time.Minute {
				t.Errorf("the next run comes in %v, though Microsoft asked for two hours", wait)
			}
		})
	}
}
