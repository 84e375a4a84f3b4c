package syncer_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// TestCountersSurviveAnything changes a directory at random, runs now and then, and recounts after each run. The seed is
// in the log, so that a failure can be repeated.
func TestCountersSurviveAnything(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	h := newHouse(t, 20, 10)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	for range 15 {
		h.change(h.anything(random))
		before, mode := h.findingRows(h.tenant), syncer.Incremental
		switch random.IntN(9) {
		case 0, 1, 2:
		case 3:
			mode = syncer.Full
		case 4:
			h.set(i, narrower(random))
		default:
			continue
		}
		run := h.again(i, mode)
		mustSucceed(t, run)
		h.mustAudit(h.tenant)
		h.mustAccount(run, before)
	}
	h.set(i, func(s *inventory.Settings) { *s = inventory.DefaultSettings() })
	run := h.again(i, syncer.Incremental)
	for range 3 { // what the guard holds back is let through by the next runs
		if warned(run, fault.CodeRemovalHeld) {
			run = h.again(i, syncer.Incremental)
		}
	}
	mustSucceed(t, run)
	h.mustEqualTruthWithStale()
	if run = h.again(i, syncer.Full); !run.Report.NoChanges {
		t.Errorf("a full comparison found differences: %s", run.Report.Summary)
	}
}

// findingRows is every finding as it is stored, without the time of writing.
func (h *house) findingRows(t tenant.ID) map[string]bool {
	h.t.Helper()
	set := map[string]bool{}
	db := h.owner()
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(h.t.Context(), `select to_jsonb(f) - 'updated_at' from finding f where tenant_id = $1`, t)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			h.t.Fatal(err)
		}
		set[row] = true
	}
	if err := rows.Err(); err != nil {
		h.t.Fatal(err)
	}
	return set
}

// mustAccount checks that a run's record has every finding that it changed, once.
func (h *house) mustAccount(run syncer.Run, before map[string]bool) {
	h.t.Helper()
	changed := int64(0)
	for row := range h.findingRows(run.Tenant) {
		if !before[row] {
			changed++
		}
	}
	booked := int64(0)
	for _, s := range run.Report.Stages {
		if s.Name == syncer.StageVulnerabilities || s.Name == syncer.StageFinish {
			booked += s.Counts.Changes()
		}
	}
	if changed != booked {
		h.t.Errorf("%d findings changed, %d are booked: %s", changed, booked, run.Report.Summary)
	}
}

// anything makes one random change that is valid.
func (h *house) anything(random *rand.Rand) world.Change {
	machine := ptr(random.IntN(20))
	var cves []string
	if findings := h.truthOf(h.machine(random.IntN(10))); len(findings) > 0 {
		cves = []string{findings[random.IntN(len(findings))].CVE}
	} else {
		return world.Change{Op: "restore_machines", From: 0, To: 20}
	}
	changes := []world.Change{
		{Op: "remove_machines", Machine: machine}, {Op: "restore_machines", From: 0, To: 20},
		{Op: "exclude_machine", Machine: machine}, {Op: "include_machine", Machine: machine},
		{Op: "merge_machine", Machine: machine, Into: ptr((*machine + 1) % 20)}, {Op: "unmerge_machine", Machine: machine},
		{Op: "touch_machine", Machine: machine, LastSeenDaysAgo: 7 * random.IntN(6)}, // never just at the limit of 30
		{Op: "rename_machine", Machine: machine, Hostname: "renamed.contoso.example"},
		{Op: "readdress_machine", Machine: machine, IP: "10.9.8.7"},
		{Op: "remove_findings", Machine: machine}, {Op: "restore_findings", Machine: machine},
		{Op: "add_findings", Machine: machine, CVEs: cves}, {Op: "remove_findings", Machine: machine, CVEs: cves},
		{Op: "fix_vulnerability", CVEs: cves}, {Op: "unfix_vulnerability", CVEs: cves},
	}
	return changes[random.IntN(len(changes))]
}

func narrower(random *rand.Rand) func(*inventory.Settings) {
	return func(s *inventory.Settings) {
		*s = inventory.DefaultSettings()
		switch random.IntN(4) {
		case 0:
			s.ImportAssets = false
		case 1:
			s.ImportVulnerabilities = false
		case 2:
			s.MinSeverity = inventory.SeverityHigh
		case 3:
			s.AttackVectors = []inventory.AttackVector{inventory.VectorNetwork}
		}
	}
}

// mustEqualTruthWithStale is mustEqualTruth where assets that went stale may keep open findings.
func (h *house) mustEqualTruthWithStale() {
	h.t.Helper()
	h.sql(`update finding f set state = 3, state_reason = 'stale' from asset a
		where a.tenant_id = f.tenant_id and a.id = f.asset_id and a.state = 'stale' and f.state = 1`)
	h.sql(`update asset set open_critical = 0, open_high = 0, open_medium = 0, open_low = 0, open_unknown = 0 where state = 'stale'`)
	h.sql(`update exposure e set (open_assets, out_of_scope_assets) = (select count(*) filter (where f.state = 1), count(*) filter (where f.state = 3)
		from finding f where f.tenant_id = e.tenant_id and f.vulnerability_id = e.vulnerability_id)`)
	h.mustEqualTruth(h.tenant)
}

func TestTheAuditSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 5)
	h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.mustAudit(h.tenant)
	h.sql(`update asset set open_low = open_low + 1 where id = (select min(id) from asset)`)
	h.sql(`delete from exposure where vulnerability_id = (select min(vulnerability_id) from exposure where open_assets > 0)`)
	differences, err := h.store.AuditCounters(t.Context(), h.tenant)
	if err != nil || len(differences) != 2 || differences[0].Counter != "asset_open_low" || differences[1].Stored != 0 {
		t.Errorf("%+v, %v", differences, err)
	}
}

// TestAWeeklyAuditMendsWhatTheHashesHide damages findings and counters behind the service's back.
func TestAWeeklyAuditMendsWhatTheHashesHide(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.sql(`update finding set software_ids = '{}'`)
	h.sql(`update asset set open_high = open_high + 7`)
	h.sql(`update exposure set open_assets = 3 where vulnerability_id % 2 = 0`)
	h.sql(`delete from exposure where vulnerability_id % 2 = 1`)
	h.sql(`update asset_tally set critical = critical + 100`)
	h.sql(`insert into asset_tally select tenant_id, integration_id, 'stale', 'macos', 3, 0, 0, 1, 0, 0 from asset_tally limit 1`)
	h.sql(`update exposure_tally set fixed = fixed + 9`)
	h.sql(`update integration set next_run_at = $1`, h.now)
	if run := h.due(); run.Mode != syncer.Incremental || !run.Report.NoChanges {
		t.Errorf("a day later: %s, %s", run.Mode, run.Report.Summary)
	}
	h.sql(`update run set created_at = created_at - interval '8 days' where mode = 'full'`)
	h.sql(`update integration set next_run_at = $1`, h.now)
	run := h.due()
	if c := findingCounts(t, run); run.Mode != syncer.Full || c.Updated == 0 || c.Unchanged != 0 {
		t.Errorf("a week later: %s, %+v", run.Mode, c)
	}
	h.mustEqualTruth(h.tenant)
	h.mustAudit(h.tenant)
	h.sql(`update integration set next_run_at = $1`, h.now)
	if run := h.due(); run.Mode != syncer.Incremental {
		t.Errorf("after the audit: %s", run.Mode)
	}
}
