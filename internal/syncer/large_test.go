package syncer_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// ended waits for the next job to end.
func ended(t *testing.T, endings chan string) string {
	t.Helper()
	select {
	case got := <-endings:
		return got
	case <-time.After(30 * time.Second):
		t.Fatal("no job ends")
		return ""
	}
}

// largeAndSmall connects two directories of ten machines each and one of four, and holds the reports of the large ones.
func largeAndSmall(t *testing.T) (h *house, owners []tenant.ID, links []connector.Integration, holds []string) {
	t.Helper()
	h = newPlainHouse(t, 10, 5)
	second, small := uuid.NewString(), uuid.NewString()
	h.addDirectory(plain(spec(second, 10, 5)))
	h.addDirectory(plain(spec(small, 4, 5)))
	for n, id := range []string{directory, second, small} {
		owner := h.tenant
		if n > 0 {
			owner = h.newTenant("Fabrikam", true)
		}
		owners, links = append(owners, owner), append(links, h.connectTo(owner, id, nil))
		if id != small {
			holds = append(holds, h.fault(defendersim.Fault{Route: "software_vulnerabilities", Directory: id, Hold: true}))
		}
	}
	return h, owners, links, holds
}

// TestLargeImportsInTheMiddleDoNotDelayASmallOne has two workers, and two first imports of which nobody knows that they are large
// until they have counted their machines.
func TestLargeImportsInTheMiddleDoNotDelayASmallOne(t *testing.T) {
	t.Parallel()
	h, owners, links, holds := largeAndSmall(t)
	e, endings := h.engine(job.Options{Workers: 2, LargeRows: 500})
	if got := ended(t, endings); got != "hand_back" {
		t.Fatalf("the first job ended %s", got)
	}
	if got := ended(t, endings); got != "done" {
		t.Fatalf("the second one ended %s", got)
	}
	mustSucceed(t, h.latest(links[2]))
	states := map[syncer.RunState]int{}
	for _, i := range links[:2] {
		states[h.latest(i).State]++
	}
	if states[syncer.Running] != 1 || states[syncer.Queued] != 1 {
		t.Errorf("the large ones are %v", states)
	}
	if n := h.number(`select count(*) from job where state = 'queued' and attempt = 0 and report_rows > 500`); n != 1 {
		t.Errorf("%d jobs wait as large without an attempt", n)
	}
	for _, id := range holds {
		h.sim.ReleaseFault(id)
	}
	for range 2 {
		if got := ended(t, endings); got != "done" {
			t.Errorf("a large one ended %s", got)
		}
	}
	h.halt(e)
	for n, i := range links {
		run := h.latest(i)
		mustSucceed(t, run)
		if run.Report.Restarted {
			t.Error("a run that waited for a place says that it was interrupted")
		}
		h.mustEqualTruthOf(owners[n], i.DirectoryID)
	}
}

// TestTheOnlyWorkerTakesLargeImports must not leave it to nobody.
func TestTheOnlyWorkerTakesLargeImports(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 5)
	i := h.connect(h.tenant, nil)
	e, endings := h.engine(job.Options{Workers: 1, LargeRows: 1})
	if got := ended(t, endings); got != "done" {
		t.Errorf("the job ended %s", got)
	}
	h.halt(e)
	mustSucceed(t, h.latest(i))
}

// TestTheQueueKnowsHowLargeADirectoryWas looks at the job of a second run, which waits.
func TestTheQueueKnowsHowLargeADirectoryWas(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 5)
	i := h.connect(h.tenant, nil)
	if n := h.number(`select report_rows from job`); n != 0 {
		t.Errorf("%d rows before the first run", n)
	}
	first := h.work()
	mustSucceed(t, first)
	if _, err := h.store.StartRun(t.Context(), h.tenant, i.PublicID, syncer.Incremental); err != nil {
		t.Fatal(err)
	}
	if n, want := h.number(`select report_rows from job`), findingCounts(t, first).Fetched; n != want || n == 0 {
		t.Errorf("%d rows, want %d", n, want)
	}
}
