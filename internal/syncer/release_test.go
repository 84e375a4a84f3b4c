package syncer

import "testing"

// TestWhatIsReleasedNeverMakesAFigureNegative releases assets that this very run has created, when there are no others.
func TestWhatIsReleasedNeverMakesAFigureNegative(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, stillOut  int64
		before, want Counts
	}{
		{0, 0, Counts{Created: 1, Updated: 2, Unchanged: 3}, Counts{Created: 1, Updated: 2, Unchanged: 3}},
		{2, 0, Counts{Created: 1, Updated: 2, Unchanged: 3}, Counts{Created: 1, Updated: 2, Unchanged: 1}},
		{4, 0, Counts{Created: 1, Updated: 2, Unchanged: 3}, Counts{Created: 1, Updated: 1}},
		{1, 0, Counts{Created: 2}, Counts{Created: 1}},
		{4, 1, Counts{Created: 1, Updated: 2, Unchanged: 3}, Counts{Created: 1, Updated: 1}},
		{5, 1, Counts{Created: 1, Updated: 2, Unchanged: 3}, Counts{Updated: 1}},
		{6, 0, Counts{Created: 1, Updated: 2, Unchanged: 3}, Counts{}},
	} {
		got := c.before
		if got.release(c.n, c.stillOut); got != c.want {
			t.Errorf("%d of %+v leave %+v, want %+v", c.n, c.before, got, c.want)
		}
	}
}
