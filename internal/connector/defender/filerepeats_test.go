package defender

import (
	"errors"
	"strconv"
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// shared is the budget that all processes share, by the depot's clock.
func (d *depot) shared(t *testing.T) func(*Config) {
	t.Helper()
	store := postgrestest.New(t)
	return func(c *Config) { c.Budget = NewSharedBudget(store).Simulated(d.clock.now, d.clock.sleep) }
}

func numbered(n int) (names []string) {
	for i := range n {
		names = append(names, "f"+strconv.Itoa(i))
	}
	return names
}

// TestFilesThatAreBeingCopiedCostNoRepeats has more files pending, and for longer, than the reserve of repeats would pay for.
func TestFilesThatAreBeingCopiedCostNoRepeats(t *testing.T) {
	t.Parallel()
	d := newDepot(t, numbered(12)...)
	for _, name := range d.names {
		d.spoil[name] = func(asked int, body []byte) []byte {
			if asked <= 2 {
				return nil
			}
			return body
		}
	}
	rows, used, err := d.read(t, t.TempDir(), d.shared(t))
	if err != nil || used.Lost != 0 || used.Pages != 12 || used.Retries != 24 || len(rows) != 12 {
		t.Errorf("%v, %v, %+v", rows, err, used)
	}
}

// TestFilesThatFailAreNotAskedForAgainAndAgain: a tenth of them, and a reserve of ten.
func TestFilesThatFailAreNotAskedForAgainAndAgain(t *testing.T) {
	t.Parallel()
	d := newDepot(t, numbered(30)...)
	for _, name := range d.names[1:] {
		d.spoil[name] = half
	}
	_, used, err := d.read(t, t.TempDir(), d.shared(t))
	if err != nil || used.Lost != 29 || used.Retries != 13 {
		t.Errorf("%v, %+v", err, used)
	}
	asked := 0
	for _, n := range d.asked {
		asked += n
	}
	if asked != 30+13 {
		t.Errorf("files were asked for %d times", asked)
	}
	d = newDepot(t, "a", "b")
	d.spoil["a"], d.spoil["b"] = half, half
	if _, used, err := d.read(t, t.TempDir(), d.shared(t)); !errors.Is(err, connector.ErrWayClosed) || used.Retries != 6 {
		t.Errorf("of two files: %v, %+v", err, used)
	}
}
