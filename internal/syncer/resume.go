package syncer

import (
	"errors"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/pagelog"
	"pgp.internal/defender/internal/tenant"
)

// keepPages lets the source keep what it reads, so that an interrupted run goes on behind the last page. A log that cannot
// be had costs only that. A full run, which compares everything, takes no page that another run has read.
func (e *execution) keepPages() {
	integration := tenant.PublicText(tenant.IntegrationPrefix, e.run.IntegrationPublic)
	after := e.known.KnownAt // what began before says less than what was applied since
	if e.run.Mode == Full {
		after = e.now()
	}
	l, err := pagelog.Open(e.options.SpoolDir, integration, e.run.PublicID.String(), after, e.now)
	if err != nil {
		e.log.Warn("pages cannot be kept; if this run is interrupted, it will read everything again", "error", err)
		return
	}
	e.pages = l
	e.source.KeepPages(l)
}

// releasePages ends the log. What was kept stays if the run, or a later one, may go on with it; a full disk is not filled with it any longer
// than the run is tried.
func (e *execution) releasePages(err error) {
	if e.pages == nil {
		return
	}
	end := e.pages.Remove
	hopeless := fault.Is(err, fault.CodeDiskFull) && e.job.Last
	if err != nil && !hopeless && !errors.Is(err, job.ErrCancelled) && !fault.As(err).Definition().Permanent {
		end = e.pages.Close
	}
	if err := end(); err != nil {
		e.log.Warn("kept pages could not be put away", "error", err)
	}
}

// resumedFrom is the earlier run whose pages a stage has gone on with; only the report's pages serve another run.
func (e *execution) resumedFrom(r *StageReport) string {
	if e.pages == nil || r.Name != StageVulnerabilities || r.Resumed == 0 {
		return ""
	}
	return e.pages.From()
}
