package syncer_test

import (
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
)

// TestAFirstImportWaitsBeforeItLocksOthersOut has somebody hold the integration of a tenant whose first import is about to commit: readers of
// the tenants that share their partitions have nothing to wait for meanwhile.
func TestAFirstImportWaitsBeforeItLocksOthersOut(t *testing.T) {
	t.Parallel()
	h, apart, _ := newSharingHouse(t)
	h.use(apart)
	second := h.newTenant("Fabrikam", true)
	i := h.connect(second, nil)
	loading := h.holdAt("software_vulnerabilities")
	changing, err := h.owner().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = changing.Rollback() }()
	if _, err := changing.Exec("select from integration where tenant_id = $1 and id = $2 for no key update", second, i.ID); err != nil {
		t.Fatal(err)
	}
	h.sim.ReleaseFault(loading.fault)
	for waiting := int64(0); waiting == 0; {
		waiting = h.number("select count(*) from pg_stat_activity where datname = current_database() and application_name like 'defenderd import %' and wait_event_type = 'Lock'")
	}
	h.allFindings(h.tenant, inventory.FindingFilter{})
	if err := changing.Rollback(); err != nil {
		t.Fatal(err)
	}
	if o := <-loading.ending; o.Ending != job.Done {
		t.Fatalf("the run ended with %v", o.Ending)
	}
	h.mustEqualTruth(second)
}
