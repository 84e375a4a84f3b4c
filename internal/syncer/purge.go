package syncer

import "context"

// purge deletes everything the integration imported, batch by batch.
func (e *execution) purge(ctx context.Context) error {
	report := StageReport{Name: StageFinish, State: Running, StartedAt: e.now()}
	e.run.Stage = StageFinish
	for more := true; more; {
		deleted, left, err := e.store.Purge(ctx, e.job, e.run.IntegrationID)
		if err != nil {
			report.State, report.Duration = Failed, e.now().Sub(report.StartedAt)
			if context.Cause(ctx) != nil {
				report.State = Cancelled
			}
			e.run.Report.Stages = append(e.run.Report.Stages, report)
			return err
		}
		report.Counts.Removed += deleted
		more = left
	}
	report.State, report.Duration = Succeeded, e.now().Sub(report.StartedAt)
	e.run.Report.Stages = append(e.run.Report.Stages, report)
	return nil
}
