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
const heapInUse = 70 << 20

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
	percent := growth(held[0].Value.Uint64())
	debug.SetGCPercent(percent)
	// The setting is that of the cycle before: what is held may grow much within one. The limit keeps it from being doubled again.
	debug.SetMemoryLimit(limit(held[0].Value.Uint64(), percent))
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

// limit is what the whole process may take until the next cycle.
func limit(held uint64, percent int) int64 {
	return max(heapInUse, int64(held)*int64(100+percent)/100) + besideHeap
}

// besideHeap is what a Go process takes besides its heap: stacks, the collector's own tables, spans not in use.
const besideHeap = 18 << 20
