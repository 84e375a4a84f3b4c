package syncer_test

import (
	"os"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// TestAFullDiskKeepsARunWaiting carries out a run whose disk has no room until somebody makes some: it says nothing about the link.
func TestAFullDiskKeepsARunWaiting(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 3)
	i := h.connect(h.tenant, nil)
	before := h.integration(i)
	h.syncer.SpoolInto(func(string) (*os.File, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) })
	j := h.claim()
	o := h.syncer.Handle(t.Context(), j)
	if o.Ending != job.Snooze || o.After < time.Minute {
		t.Errorf("the run ended with %+v", o)
	}
	must(t, h.store.Finish(t.Context(), j, o))
	if run := h.run(i, j); run.State != syncer.Queued || run.Report.Error != nil {
		t.Errorf("the run is %s, %+v", run.State, run.Report.Error)
	}
	if now := h.integration(i); now.State != before.State || now.State == connector.StateDegraded || now.StateReason != "" {
		t.Errorf("the integration is %s %q", now.State, now.StateReason)
	}
	h.sql(`update job set run_at = now()`)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	mustSucceed(t, h.work())
	h.mustEqualTruth(h.tenant)
}
