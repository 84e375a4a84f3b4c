package syncer

import (
	"context"
	"slices"
	"time"
)

// reportProgress stores the report when a stage begins, and every now and then, until stop is called.
func (e *execution) reportProgress(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	e.entered = make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(e.options.ProgressEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-e.entered:
			case <-tick.C:
			}
			e.saveProgress(ctx)
		}
	}()
	return func() { cancel(); <-done }
}

func (e *execution) saveProgress(ctx context.Context) {
	e.saving.Lock()
	defer e.saving.Unlock()
	e.mu.Lock()
	stage, report := e.run.Stage, e.run.Report
	report.Stages = slices.Clone(report.Stages)
	if n := len(report.Stages); n > 0 && report.Stages[n-1].State == Running { // it may wait without reading anything
		now := &report.Stages[n-1]
		used := e.source.Usage()
		now.spent(now.spentBefore, used)
		if time.Until(used.WaitsUntil) > e.options.ProgressEvery { // a shorter one is over before the next report
			now.WaitsUntil = used.WaitsUntil
		}
		now.Duration = e.now().Sub(now.StartedAt)
	}
	report.Warnings = slices.Clone(report.Warnings)
	e.mu.Unlock()
	if err := e.store.SaveProgress(ctx, e.job, stage, report); err != nil && ctx.Err() == nil {
		e.log.Warn("cannot store a run's progress", "error", err)
	}
}
