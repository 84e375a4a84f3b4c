package defender_test

import (
	"context"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/inventory"
)

// TestManyWorkersOfTwoProcessesMeetNo429 lets more workers read than Microsoft's limits permit: 20 directories, two
// processes that are replaced by new ones in the middle, and calls that take up to 8 seconds longer than others to arrive.
// One directory is read for more than an hour.
func TestManyWorkersOfTwoProcessesMeetNo429(t *testing.T) {
	t.Parallel()
	e := newEstate(t, 20)
	began := e.time.now()
	for _, phase := range []struct {
		until       time.Duration
		directories int
	}{{90 * time.Second, 20}, {3 * time.Minute, 20}, {65 * time.Minute, 1}} {
		e.readUntil(began.Add(phase.until), e.directories[:phase.directories])
	}
	busy := 0
	for _, u := range e.sim.QuotaUse() {
		minute, hour := 30, 1000
		if u.Route == "machines" {
			minute, hour = 100, 1500
		}
		if u.Refused > 0 || u.Minute > minute || u.Hour > hour {
			t.Errorf("%+v", u)
		}
		if u.Minute > minute*3/4 {
			busy++
		}
		if u.Directory == e.directories[0] && u.Route != "machines" && u.Hour < hour*3/4 {
			t.Errorf("%+v: the hour's limit was not put to the test", u)
		}
	}
	if busy < 20 {
		t.Errorf("only %d quotas were used to more than three quarters", busy)
	}
}

// readUntil starts two processes, each with workers for every directory, and stops them when the time has come.
func (e *estate) readUntil(end time.Time, directories []string) {
	e.t.Helper()
	const underWay = 8 * time.Second
	for process := range 2 {
		c, store := e.replica(underWay)
		defer store.Close() //nolint:errcheck // closed once more by the test
		for i, id := range directories {
			e.time.take(func() { e.read(e.open(c, id), end, process == 0 && i < 2) })
		}
	}
	e.time.group.Wait()
}

func (e *estate) read(s connector.Source, end time.Time, machines bool) {
	ctx := context.Background()
	for e.time.now().Before(end) {
		var err error
		if machines {
			err = s.Machines(ctx, time.Time{}, func([]inventory.Machine) error { return nil })
		} else {
			err = s.Rows(ctx, connector.ViaPages, func([]inventory.Row) error { return nil })
		}
		if err != nil {
			e.t.Error(err)
			return
		}
	}
}

var _ defender.Budget = (*defender.SharedBudget)(nil)
