package defender

import (
	"testing"
	"time"
)

// TestWaitsAtOnceCountOnce has waits that overlap, lie within each other, follow each other and leave a gap.
func TestWaitsAtOnceCountOnce(t *testing.T) {
	t.Parallel()
	var w waits
	start := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	for _, step := range []struct{ at, d, total, last time.Duration }{
		{0, 10, 10, 10}, {2, 3, 10, 10}, {5, 10, 15, 15}, {15, 1, 16, 16}, {20, 4, 20, 24}, {24, 0, 20, 24},
	} {
		w.add(start.Add(step.at*time.Second), step.d*time.Second)
		if total, last := w.sum(); total != step.total*time.Second || !last.Equal(start.Add(step.last*time.Second)) {
			t.Errorf("behind the one at %d: %v until %v", step.at, total, last)
		}
	}
}
