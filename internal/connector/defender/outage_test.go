package defender_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

const (
	directories = 10
	scheduled   = 11 // runs of each directory, one a minute
	outageFrom  = 90 * time.Second
	outageUntil = outageFrom + 5*time.Minute
)

// TestAnOutageIsNotAnsweredWithMoreLoad makes the same schedule of runs twice, once with five minutes in which nothing is
// answered but 503.
func TestAnOutageIsNotAnsweredWithMoreLoad(t *testing.T) {
	t.Parallel()
	normal, failed := minutely(t, nil)
	if len(failed) > 0 {
		t.Fatalf("runs failed without an outage: %v", failed)
	}
	for name, f := range map[string]defendersim.Fault{"everything": {Status: 503}, "the API": {PathPrefix: "/api", Status: 503}} {
		calls, failed := minutely(t, &f)
		if len(calls) > len(normal)*11/10 {
			t.Errorf("%s fails: %d calls, and %d without an outage", name, len(calls), len(normal))
		}
		during, usual := within(calls), within(normal)
		if len(during)*10 > len(usual)*11 {
			t.Errorf("%s fails: %d calls meanwhile, and %d without an outage", name, len(during), len(usual))
		}
		if failed[2] != directories || failed[6] != directories || failed[scheduled-2] > 0 || failed[scheduled-1] > 0 {
			t.Errorf("%s fails: failed runs by minute: %v", name, failed)
		}
		t.Logf("%s fails: %d calls during the outage, %d without; %d and %d in all", name, len(during), len(usual), len(calls), len(normal))
		mustNotBeInStep(t, name, during)
	}
}

// mustNotBeInStep looks at the calls that no schedule brought about.
func mustNotBeInStep(t *testing.T, name string, calls []defendersim.Entry) {
	t.Helper()
	seen, repeats := map[time.Time]string{}, 0
	for _, c := range calls {
		if c.Time.Equal(c.Time.Truncate(time.Minute)) {
			continue
		}
		repeats++
		if other, taken := seen[c.Time]; taken && other != c.Directory {
			t.Errorf("%s fails: two directories are asked again at %s", name, c.Time)
		}
		seen[c.Time] = c.Directory
	}
	if repeats < directories {
		t.Errorf("%s fails: only %d calls were repeated: nothing was tried", name, repeats)
	}
}

func within(calls []defendersim.Entry) (during []defendersim.Entry) {
	for _, c := range calls {
		if after := c.Time.Sub(newTimeline().at); after >= outageFrom && after < outageUntil {
			during = append(during, c)
		}
	}
	return during
}

// minutely runs an import of each of the directories every minute on the minute, in two processes by turns, and gives the
// calls they made and how many failed, by minute.
func minutely(t *testing.T, outage *defendersim.Fault) ([]defendersim.Entry, map[int]int) {
	t.Helper()
	e := newEstate(t, directories)
	var processes [2]*defender.Connector
	for i := range processes {
		processes[i], _ = e.replica(0)
	}
	began, failures := e.time.now(), make(chan int, scheduled*len(e.directories))
	for _, id := range e.directories {
		e.time.take(func() {
			for minute := range scheduled {
				_ = e.time.sleep(context.Background(), began.Add(time.Duration(minute)*time.Minute).Sub(e.time.now()))
				if err := importOnce(e.open(processes[minute%2], id)); err != nil {
					failures <- minute
				}
			}
		})
	}
	if outage != nil {
		e.time.take(func() {
			_ = e.time.sleep(context.Background(), outageFrom)
			if _, err := e.sim.AddFault(*outage); err != nil {
				t.Error(err)
			}
			_ = e.time.sleep(context.Background(), outageUntil-outageFrom)
			e.sim.ClearFaults()
		})
	}
	e.time.group.Wait()
	close(failures)
	failed := map[int]int{}
	for minute := range failures {
		failed[minute]++
	}
	return e.sim.Journal(0), failed
}

// importOnce makes the calls of a run.
func importOnce(s connector.Source) error {
	ctx := context.Background()
	if err := connector.Refusal(s.Check(ctx, connector.Probe{})); err != nil {
		return err
	}
	if err := s.Machines(ctx, time.Time{}, func([]inventory.Machine) error { return nil }); err != nil {
		return err
	}
	if err := s.Catalogue(ctx, time.Time{}, func([]inventory.Vulnerability) error { return nil }); err != nil {
		return err
	}
	return s.Rows(ctx, connector.ViaPages, func([]inventory.Row) error { return nil })
}

// TestAMendedDirectoryIsNoticedByWhoAsks opens the breaker of one directory, mends it, and lets a person check before its
// time has come.
func TestAMendedDirectoryIsNoticedByWhoAsks(t *testing.T) {
	t.Parallel()
	e := newEstate(t, 2)
	e.time.take(func() { e.mended() })
	e.time.group.Wait()
}

func (e *estate) mended() {
	t, both := e.t, connector.Probe{Assets: true, Vulnerabilities: true}
	first, _ := e.replica(0)
	second, _ := e.replica(0)
	ill, well := e.directories[0], e.directories[1]
	if _, err := e.sim.AddFault(defendersim.Fault{PathPrefix: "/api", Directory: ill, Status: 502, Body: "html"}); err != nil {
		t.Fatal(err)
	}
	opened := errors.Join(importOnce(e.open(first, ill)), importOnce(e.open(second, ill)))
	if !fault.Is(opened, fault.CodeUpstreamUnavailable) {
		t.Fatalf("the outage is told as %v", opened)
	}
	calls := len(e.sim.Journal(0))
	err := importOnce(e.open(first, ill))
	if f := fault.As(err); f.Code != fault.CodeUpstreamUnavailable || !strings.Contains(f.Detail, "next try") || f.RetryAfter <= 0 || f.RetryAfter > 30*time.Second {
		t.Errorf("a run meets an open breaker with %v, again after %v", err, f.RetryAfter)
	}
	if now := len(e.sim.Journal(0)); now != calls {
		t.Errorf("%d calls went out though the breaker is open", now-calls)
	}
	if err := importOnce(e.open(second, well)); err != nil {
		t.Errorf("another directory suffers: %v", err)
	}
	if err := connector.Refusal(e.open(second, ill).Check(context.Background(), both)); !fault.Is(err, fault.CodeUpstreamUnavailable) {
		t.Errorf("a check during the outage: %v", err)
	}
	e.sim.ClearFaults()
	if err := connector.Refusal(e.open(second, ill).Check(context.Background(), both)); err != nil {
		t.Errorf("a check after it was mended: %v", err)
	}
	if err := importOnce(e.open(first, ill)); err != nil {
		t.Errorf("a run after somebody noticed: %v", err)
	}
}

// TestRefusalsOpenNoBreaker meets answers that are final for the customer, not an outage.
func TestRefusalsOpenNoBreaker(t *testing.T) {
	t.Parallel()
	e := newEstate(t, 1)
	e.time.take(func() {
		c, _ := e.replica(0)
		for _, status := range []int{400, 401, 403, 404} {
			if _, err := e.sim.AddFault(defendersim.Fault{PathPrefix: "/api", Status: status}); err != nil {
				t.Error(err)
			}
			for range 6 {
				if err := importOnce(e.open(c, e.directories[0])); err == nil || strings.Contains(err.Error(), "next try") {
					t.Errorf("%d: %v", status, err)
				}
			}
			e.sim.ClearFaults()
		}
	})
	e.time.group.Wait()
}
