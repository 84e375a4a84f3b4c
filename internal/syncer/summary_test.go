package syncer_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
)

// TestARunThatStopsHalfWayTellsWhatItDid fails behind the assets.
func TestARunThatStopsHalfWayTellsWhatItDid(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 9, 4)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.change(world.Change{Op: "remove_machines", From: 0, To: 2}, world.Change{Op: "rename_machine", Machine: ptr(4), Hostname: "renamed.contoso.com"})
	h.fault(defendersim.Fault{Route: "software_vulnerabilities", Status: 403, Code: "Forbidden"})
	run := h.again(i, syncer.Incremental)
	mustEnd(t, run, syncer.PartiallySucceeded, fault.CodeAccessBlocked)
	for _, want := range []string{"Assets: 0 created, 1 updated, 6 unchanged, 2 left, 0 skipped", "findings went out of scope with their assets", "vulnerabilities were not"} {
		if !strings.Contains(run.Report.Summary, want) {
			t.Errorf("it does not say %q: %s", want, run.Report.Summary)
		}
	}
}

// TestAQuietRunOfAPartOfTheListSaysSo asks for the machines that reported since the last run, of which there are none.
func TestAQuietRunOfAPartOfTheListSaysSo(t *testing.T) {
	t.Parallel()
	h := askingForReported(t)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.pass(time.Minute)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if want := "Nothing changed: 0 assets that reported since the last run, "; !strings.HasPrefix(run.Report.Summary, want) {
		t.Errorf("it says %s", run.Report.Summary)
	}
}

// advising rewrites what Microsoft recommends.
type advising struct {
	next http.Handler
	on   atomic.Bool
}

func (a *advising) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !a.on.Load() || !strings.Contains(strings.ToLower(r.URL.Path), "softwarevulnerabilities") {
		a.next.ServeHTTP(w, r)
		return
	}
	r.Header.Del("Accept-Encoding")
	answer := httptest.NewRecorder()
	a.next.ServeHTTP(answer, r)
	w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
	_, _ = w.Write([]byte(strings.ReplaceAll(answer.Body.String(), `"recommendedSecurityUpdateId":"`, `"recommendedSecurityUpdateId":"9`)))
}

// TestWhatLiesAroundFindingsIsAChange moves software to other paths, and then has other updates recommended: no finding changes,
// and the run still says what did.
func TestWhatLiesAroundFindingsIsAChange(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*house){"whole": func(*house) {}, "changes": (*house).readChanges} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 8, 6)
			prepare(h)
			advice := &advising{next: h.server.Config.Handler}
			h.server.Config.Handler = advice
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			if run := h.again(i, syncer.Incremental); !run.Report.NoChanges {
				t.Errorf("nothing has changed: %s", run.Report.Summary)
			}
			h.change(world.Change{Op: "move_software", Machine: ptr(1)}, world.Change{Op: "move_software", Machine: ptr(3)})
			h.mustSayOf(h.again(i, syncer.Incremental), "on 2 assets software lies in other places than before")
			if run := h.again(i, syncer.Incremental); !run.Report.NoChanges {
				t.Errorf("nothing has changed since: %s", run.Report.Summary)
			}
			advice.on.Store(true)
			h.mustSayOf(h.again(i, syncer.Full), "recommendations changed")
		})
	}
}

// TestWhatOnlyAWholeReadingTellsIsNoChange has a finding come by a reading of changes, which does not tell whether there is an update.
func TestWhatOnlyAWholeReadingTellsIsNoChange(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 6)
	h.readChanges()
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	untold := func() int64 {
		return h.number(`select count(*) from remediation where tenant_id = $1 and update_ready is null`, h.tenant)
	}
	before := untold()
	h.both(time.Hour)
	for seed := range uint64(20) {
		h.change(world.Change{Op: "publish_vulnerability", Seed: seed, Severity: "critical", AttackVector: "network"})
	}
	if run := h.again(i, syncer.Incremental); !plan(run).Changes || untold() == before {
		t.Fatalf("read by %+v, %d recommendations lack something", plan(run), untold()-before)
	}
	full := h.again(i, syncer.Full)
	mustSucceed(t, full)
	if untold() != before || !full.Report.NoChanges {
		t.Errorf("%d recommendations lack something still: %s", untold()-before, full.Report.Summary)
	}
}

// mustSayOf fails unless the run changed no finding, and says even so what it changed.
func (h *house) mustSayOf(run syncer.Run, want string) {
	h.t.Helper()
	mustSucceed(h.t, run)
	if c := findingCounts(h.t, run); c.Changes() != 0 || run.Report.NoChanges || !strings.Contains(run.Report.Summary, want) {
		h.t.Errorf("no changes: %v, %+v; it does not say %q: %s", run.Report.NoChanges, c, want, run.Report.Summary)
	}
}
