package syncer_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// TestARestartedRunDoesNotClaimThatNothingChanged stops a first import after its assets: the second attempt finds them.
func TestARestartedRunDoesNotClaimThatNothingChanged(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 0)
	i := h.connect(h.tenant, nil)
	h.holdAt("software_vulnerabilities").stop()
	h.sim.ClearFaults()
	second := h.claim()
	if err := h.store.Finish(t.Context(), second, h.syncer.Handle(t.Context(), second)); err != nil {
		t.Fatal(err)
	}
	run := h.run(i, second)
	mustSucceed(t, run)
	told := syncer.Explain(run, i, tenant.Entitlement{InternalAssessments: true}, h.now)
	is := func(code string) bool {
		return slices.ContainsFunc(told, func(n syncer.Notice) bool { return n.Code == code })
	}
	if !strings.Contains(run.Report.Summary, "was interrupted") {
		t.Errorf("its summary says nothing of it: %s", run.Report.Summary)
	}
	if run.Report.NoChanges || run.Report.StageNamed(syncer.StageAssets).Counts.Unchanged == 0 || !is(syncer.ExplainRestarted) || is(syncer.ExplainNothingNew) {
		t.Errorf("%s; %+v", run.Report.Summary, told)
	}
	if next := h.again(i, syncer.Incremental); !next.Report.NoChanges || next.Report.Restarted {
		t.Errorf("the run after it: %s", next.Report.Summary)
	}
}

// TestAStageIsToldWhenItBegins leaves the regular writing of progress out.
func TestAStageIsToldWhenItBegins(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 5)
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), ProgressEvery: time.Hour}, h.logger(), silence{}, h.clock)
	i := h.connect(h.tenant, nil)
	r := h.holdAt("machines")
	for late := time.Now().Add(time.Minute); h.run(i, r.job).Stage != syncer.StageAssets; runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatal("the stage was not told")
		}
	}
	r.release()
	mustSucceed(t, h.run(i, r.job))
}
