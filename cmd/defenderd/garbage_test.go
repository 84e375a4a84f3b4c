package main

import "testing"

func TestGrowthOfTheHeap(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for held, want := range map[uint64]int{0: 400, 1 * mib: 400, 12 * mib: 400, 16 * mib: 300, 32 * mib: 100, 48 * mib: 50, 500 * mib: 50} {
		if got := growth(held); got != want {
			t.Errorf("%d MiB held: %d %%, want %d", held/mib, got, want)
		}
	}
}
