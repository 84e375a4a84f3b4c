package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapInUse is how far the heap may grow before it is collected. The service holds some ten MiB however large a customer is
// and makes short-lived values by the thousand; collecting whenever the little it holds has doubled took a fifth of the
// processor time of a page. Beyond two thirds of this the heap may grow by half, so that several large imports at once do not choke.
const heapInUse = 64 << 20

// Bounds of the collector's setting, in percent of what is held.
const (
	leastGrowth = 50
	mostGrowth  = 400
)

// collectLate sets the collector by what is held after each of its cycles, unless the environment sets it.
func collectLate() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		setGrowth()
	}
}

func setGrowth() {
	held := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(held)
	debug.SetGCPercent(growth(held[0].Value.Uint64()))
	// An object that nobody holds tells when the next cycle has ended.
	runtime.AddCleanup(new([64]byte), func(int) { setGrowth() }, 0)
}

// growth is the setting that lets a heap of which so much is held grow to heapInUse.
func growth(held uint64) int {
	if held == 0 {
		return mostGrowth
	}
	percent := (int64(heapInUse) - int64(held)) * 100 / int64(held)
	return int(min(mostGrowth, max(leastGrowth, percent)))
}
