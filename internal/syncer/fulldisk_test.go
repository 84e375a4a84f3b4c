package syncer_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// TestAFullDiskKeepsARunWaiting carries out a run whose disk has no room until somebody makes some, or until it has been tried often enough: then
// it says so, and does not fill the disk with its pages any longer.
func TestAFullDiskKeepsARunWaiting(t *testing.T) {
	t.Parallel()
	for name, made := range map[string]bool{"room is made": true, "no room is made": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 4, 3)
			i := h.connect(h.tenant, nil)
			before := h.integration(i)
			spool := t.TempDir()
			h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: spool}, h.logger(), silence{}, h.clock)
			h.syncer.SpoolInto(func(string) (*os.File, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) })
			for attempt := 1; attempt < 3; attempt++ {
				j := h.claim()
				o := h.syncer.Handle(t.Context(), j)
				if o.Ending != job.Retry || o.After < time.Minute || o.Code != fault.CodeDiskFull {
					t.Errorf("attempt %d ended with %+v", attempt, o)
				}
				must(t, h.store.Finish(t.Context(), j, o))
				if run, now := h.run(i, j), h.integration(i); run.State != syncer.Queued || run.Report.Error != nil || now.State != before.State || now.StateReason != "" {
					t.Errorf("the run is %s, %+v, the integration %s %q", run.State, run.Report.Error, now.State, now.StateReason)
				}
				if keptPages(t, spool) == 0 {
					t.Error("no pages are kept for the next attempt")
				}
				h.sql(`update job set run_at = now()`)
			}
			if made {
				h.readCatalogue(syncer.DefaultCataloguePolicy())
				mustSucceed(t, h.work())
				h.mustEqualTruth(h.tenant)
				return
			}
			j := h.claim()
			j.Last = true
			if o := h.syncer.Handle(t.Context(), j); o.Ending != job.Done {
				t.Errorf("the last attempt ended with %+v", o)
			}
			mustEnd(t, h.run(i, j), syncer.PartiallySucceeded, fault.CodeDiskFull)
			if now := h.integration(i); now.State != connector.StateDegraded || now.StateReason != fault.CodeDiskFull || now.NextRunAt.Before(h.now.Add(3*time.Minute)) {
				t.Errorf("the integration is %s %q, next run %v", now.State, now.StateReason, now.NextRunAt)
			}
			if n := keptPages(t, spool); n != 0 {
				t.Errorf("%d files of pages are left", n)
			}
		})
	}
}

// keptPages counts the files of pages that are kept.
func keptPages(t *testing.T, spool string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(spool, "defenderd-pages-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}
