package syncer_test

import (
	"maps"
	"sync"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// counter adds up what a run tells about its records.
type counter struct {
	silence
	mu      sync.Mutex
	records map[string]int64
}

func (c *counter) Records(stage syncer.Stage, outcome string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n != 0 {
		c.records[string(stage)+"/"+outcome] += n
	}
}

// TestMetricsEqualTheRecord lets the findings stage correct what the one of the assets has booked.
func TestMetricsEqualTheRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 30, 3)
	h.change(world.Change{Op: "remove_findings", Machine: ptr(1)}, world.Change{Op: "remove_findings", Machine: ptr(2)})
	i := h.connect(h.tenant, assetsOff)
	meter := &counter{records: map[string]int64{}}
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir()}, h.logger(), meter, h.clock)
	mustEqual := func(run syncer.Run) {
		t.Helper()
		want := map[string]int64{}
		for _, s := range run.Report.Stages {
			for outcome, n := range map[string]int64{"fetched": s.Counts.Fetched, "accepted": s.Counts.Accepted} {
				if n != 0 {
					want[string(s.Name)+"/"+outcome] = n
				}
			}
			for reason, n := range s.SkippedBy {
				want[string(s.Name)+"/"+string(reason)] = n
			}
		}
		if !maps.Equal(meter.records, want) || want["assets/import_assets"] == 0 {
			t.Errorf("metrics:\n %v\nrecord:\n %v", meter.records, want)
		}
		clear(meter.records)
	}
	mustEqual(h.work())
	for n := 3; ; n++ { // the last finding of a carrier goes
		if source := h.machine(n); len(h.truthOf(source)) > 0 {
			h.change(world.Change{Op: "remove_findings", MachineID: source})
			break
		}
	}
	mustEqual(h.again(i, syncer.Incremental))
}
