package syncer_test

import (
	"slices"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// TestWhatIsWrongIsToldBesideWhatIsKept loses findings and makes some up, of vulnerabilities that have findings which are kept.
func TestWhatIsWrongIsToldBesideWhatIsKept(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 30, 12)
	held, stale := h.truthOf(ids[20])[0].CVE, h.truthOf(ids[0])[0].CVE
	h.change(world.Change{Op: "touch_machine", Machine: ptr(0), LastSeenDaysAgo: 40})
	mustSucceed(t, h.again(i, syncer.Incremental))
	left := ids[1:3] // alone: what a held asset and the stale one have, the first of them has as well and the second has not
	h.change(world.Change{Op: "add_findings", MachineID: left[0], CVEs: []string{held, stale}}, world.Change{Op: "remove_findings", MachineID: left[1], CVEs: []string{held, stale}})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.clear(0, 1)
	h.clear(5, 30)
	if r, s := h.mustReconcile(i, syncer.Incremental); r.Unexplained != 0 || s.held == 0 || s.stale == 0 {
		t.Fatalf("%d unexplained, %+v", r.Unexplained, s)
	}
	for _, cve := range []string{held, stale} {
		for _, wrong := range []struct {
			what     string
			plant    func(machine, cve string) func()
			machine  string
			machines int64
		}{{"lost", h.lose, left[0], 1}, {"made up", h.makeUp, left[1], -1}} {
			unplant := wrong.plant(wrong.machine, cve)
			r, _ := h.mustReconcile(i, syncer.Incremental)
			d := r.Differences[0]
			if r.Unexplained != 1 || d.Vulnerability != cve || d.Unexplained != wrong.machines || d.Held+d.Stale == 0 {
				t.Errorf("%s: %d unexplained, %+v, want %s", wrong.what, r.Unexplained, d, cve)
			}
			unplant()
		}
	}
}

// ofOne narrows findings f down to those of a machine and a vulnerability.
const ofOne = ` where (f.asset_id, f.vulnerability_id) = (select a.id, v.id from asset a, vulnerability v where a.source_id = $1 and v.name = $2)`

// lose deletes a finding behind the back of the import, and gives what brings it back.
func (h *house) lose(machine, cve string) (unplant func()) {
	h.t.Helper()
	h.sql(`create table lost as select * from finding limit 0`)
	h.sql(`with gone as (delete from finding f`+ofOne+` returning f.*) insert into lost select * from gone`, machine, cve)
	h.count(cve, -1)
	return func() {
		h.sql(`with back as (insert into finding select * from lost) select 1`)
		h.sql(`drop table lost`)
		h.count(cve, 1)
	}
}

// count has the counter of a vulnerability follow what was lost or made up.
func (h *house) count(cve string, by int) {
	h.t.Helper()
	h.sql(`
		insert into exposure as e (tenant_id, vulnerability_id, open_assets, severity, first_seen_at)
		select f.tenant_id, v.id, 0, 4, now() from vulnerability v, (select tenant_id from finding limit 1) f where v.name = $1
		on conflict do nothing`, cve)
	h.sql(`update exposure e set open_assets = open_assets + $2 from vulnerability v where v.id = e.vulnerability_id and v.name = $1`, cve, by)
}

// makeUp opens a finding that no row tells of, and gives what takes it away.
func (h *house) makeUp(machine, cve string) (unplant func()) {
	h.t.Helper()
	h.sql(`delete from finding f`+ofOne, machine, cve)
	h.sql(`
		insert into finding (tenant_id, asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, state, first_seen_at, created_at, updated_at)
		select f.tenant_id, a.id, v.id, f.software_ids, f.severity, f.severity_source, f.attack_vector, 1, f.first_seen_at, f.created_at, f.updated_at
		from finding f, asset a, vulnerability v where a.source_id = $1 and v.name = $2 limit 1`, machine, cve)
	h.count(cve, 1)
	return func() { h.sql(`delete from finding f`+ofOne, machine, cve); h.count(cve, -1) }
}

// TestAFindingThatShouldBeRefusedIsTold opens one of a vulnerability whose rows are all refused, fewer than Defender counts machines.
func TestAFindingThatShouldBeRefusedIsTold(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 20, 20)
	r, _ := h.mustReconcile(i, syncer.Incremental)
	n := slices.IndexFunc(r.Differences, func(d syncer.Difference) bool { return len(d.Refused) > 0 && d.Open == 0 && d.Exposed > 1 })
	if r.Unexplained != 0 || n < 0 {
		t.Fatalf("%d unexplained, refused altogether is %d of %d", r.Unexplained, n, len(r.Differences))
	}
	h.makeUp(ids[1], r.Differences[n].Vulnerability)
	told, _ := h.mustReconcile(i, syncer.Incremental)
	if d := told.Differences[0]; told.Unexplained != 1 || d.Vulnerability != r.Differences[n].Vulnerability || d.Unexplained != -1 {
		t.Errorf("%d unexplained, %+v", told.Unexplained, d)
	}
}
