package main

import "testing"

func TestGrowthOfTheHeap(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for held, want := range map[uint64]int{0: 400, 1 * mib: 400, 12 * mib: 400, 16 * mib: 337, 35 * mib: 100, 48 * mib: 50, 500 * mib: 50} {
		if got := growth(held); got != want {
			t.Errorf("%d MiB held: %d %%, want %d", held/mib, got, want)
		}
	}
}

func TestTheHeapIsNotDoubledAfterASpurt(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for held, want := range map[uint64]int64{1 * mib: 88, 40 * mib: 88, 60 * mib: 108, 200 * mib: 318} {
		if got := limit(held, growth(held)); got != want*mib {
			t.Errorf("%d MiB held: limit %d MiB, want %d", held/mib, got/mib, want)
		}
	}
}
