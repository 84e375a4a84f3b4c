package syncer_test

import (
	"context"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/syncer"
)

// differenceClock tells how long the stages of a store take to work out and apply the difference of findings.
type differenceClock struct {
	*postgres.Store
	took     time.Duration
	findings int64 // that were open before
}

func (c *differenceClock) NewStage(ctx context.Context, j job.Job, i connector.Integration, preview bool) (syncer.DataStage, error) {
	stage, err := c.Store.NewStage(ctx, j, i, preview)
	return clockedStage{stage, c}, err
}

type clockedStage struct {
	syncer.DataStage
	clock *differenceClock
}

func (s clockedStage) ApplyFindings(ctx context.Context, o syncer.ApplyFindings) (syncer.FindingChanges, error) {
	began := time.Now()
	changes, err := s.DataStage.ApplyFindings(ctx, o)
	s.clock.took += time.Since(began)
	s.clock.findings += changes.OpenBefore
	return changes, err
}

// BenchmarkDifference imports a directory again, of whose findings none, a hundredth or all are compared, and counts the time of the
// difference alone.
func BenchmarkDifference(b *testing.B) {
	for name, c := range map[string]struct {
		mode   syncer.Mode
		change []world.Change
	}{
		"unchanged":   {syncer.Incremental, nil},
		"1 % changed": {syncer.Incremental, []world.Change{{Op: "change_rows", Pattern: "scattered"}}},
		"all":         {syncer.Full, nil},
	} {
		b.Run(name, func(b *testing.B) {
			h := newPlainHouse(b, 500, 60)
			clock := &differenceClock{Store: h.store}
			h.syncer = syncer.New(clock, h.links, syncer.Options{SpoolDir: b.TempDir()}, h.logger(), silence{}, h.clock)
			i := h.connect(h.tenant, nil)
			mustSucceed(b, h.work())
			clock.took, clock.findings = 0, 0
			for b.Loop() {
				h.change(c.change...)
				mustSucceed(b, h.again(i, c.mode))
			}
			b.ReportMetric(float64(clock.findings)/clock.took.Seconds(), "findings/s")
			b.ReportMetric(float64(clock.took.Microseconds())/float64(b.N)/1e3, "ms/difference")
		})
	}
}
