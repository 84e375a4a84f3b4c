package world

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRandomChangesFollowFromTheSeed(t *testing.T) {
	t.Parallel()
	base := newState(t, 50, 10)
	bodies := map[string]bool{}
	for _, seed := range []uint64{1, 1, 2} {
		next, err := base.Apply(RandomChanges(seed, 40)...)
		if err != nil {
			t.Fatal(err)
		}
		_, body := pull(t, next, 1<<30)
		bodies[string(body)] = true
	}
	if len(bodies) != 2 {
		t.Errorf("%d different outcomes of two seeds", len(bodies))
	}
	if _, err := NewState(New(NewCatalogue(7, 2000, epoch), Spec{Seed: 3, Domain: "contoso.com"})).Apply(RandomChanges(3, 40)...); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
}

// TestWalksAgreeAfterRandomChanges checks that all views of a State hold the same machines and rows.
func TestWalksAgreeAfterRandomChanges(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s, err := newState(t, 60, 12).Apply(RandomChanges(seed, 150)...)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for m := range s.Machines(0) {
				if !json.Valid(append(m.AppendJSON(nil), '}')) {
					t.Fatalf("not JSON: %s}", m.AppendJSON(nil))
				}
				ids = append(ids, m.ID)
			}
			if len(ids) != s.Len() || !slices.IsSorted(ids) || len(s.newcomers) == 0 {
				t.Fatalf("%d of %d machines, sorted %v, %d newcomers", len(ids), s.Len(), slices.IsSorted(ids), len(s.newcomers))
			}
			_, body := pull(t, s, 1<<30)
			pages, paged := pull(t, s, 7)
			if string(body) != string(paged) || pages < 20 {
				t.Fatal("pages hold other rows")
			}
			mapped := 0
			for range s.MappingRows(0, "") {
				mapped++
			}
			rest := 0
			for range s.MappingRows(mapped/2, "") {
				rest++
			}
			if mapped != s.MappingCount() || rest != mapped-mapped/2 {
				t.Errorf("%d mapping rows, %d counted, %d after half", mapped, s.MappingCount(), rest)
			}
			truth := s.Truth()
			if assets := slices.Collect(s.Assets()); len(assets) != truth.Machines.Accepted || truth.Machines.Fetched != len(ids) {
				t.Errorf("%d assets of %d machines; truth %+v", len(assets), len(ids), truth.Machines)
			}
			if n := strings.Count(string(body), `"deviceId"`); n != truth.Rows.Fetched || len(slices.Collect(s.Findings())) != truth.Findings.Total {
				t.Errorf("%d rows; truth %+v", n, truth)
			}
		})
	}
}

func TestNewKindsOfChanges(t *testing.T) {
	t.Parallel()
	base := newState(t, 40, 20)
	cve := base.cat.ids[base.rows(int(base.w.where[5]), nil)[0].cve]
	id := strings.Repeat("8", 40)
	rows := len(base.rows(int(base.w.where[5]), nil))
	for name, tt := range map[string]struct {
		changes []Change
		assets  int
		gone    bool // the fifth machine has fewer rows
	}{
		"add":                   {[]Change{{Op: "add_machines", Count: 3}}, 3, false},
		"add by id":             {[]Change{{Op: "add_machines", MachineID: id}}, 1, false},
		"add and remove":        {[]Change{{Op: "add_machines", MachineID: id}, {Op: "remove_machines", MachineID: id}}, 0, false},
		"add, by number":        {[]Change{{Op: "add_machines"}, {Op: "offboard_machine", Machine: ptr(40)}}, 0, false},
		"reimage":               {[]Change{{Op: "reimage_machine", Machine: ptr(5)}}, 1, false},
		"offboard":              {[]Change{{Op: "offboard_machine", Machine: ptr(5)}}, -1, true},
		"onboard":               {[]Change{{Op: "offboard_machine", Machine: ptr(5)}, {Op: "onboard_machine", Machine: ptr(5)}}, 0, false},
		"patch":                 {[]Change{{Op: "patch_software", Machine: ptr(5)}}, 0, true},
		"patch and undo":        {[]Change{{Op: "patch_software", Machine: ptr(5)}, {Op: "rollback_software", Machine: ptr(5)}}, 0, false},
		"merge with a newcomer": {[]Change{{Op: "add_machines"}, {Op: "merge_machine", Machine: ptr(5), Into: ptr(40)}}, 0, false},
		"rate":                  {[]Change{{Op: "rate_vulnerability", CVEs: []string{cve}}}, 0, false},
		"classify":              {[]Change{{Op: "classify_vulnerability", CVEs: []string{cve}}}, 0, false},
	} {
		next, err := base.Apply(tt.changes...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := next.Truth().Machines.Accepted - base.Truth().Machines.Accepted; got != tt.assets {
			t.Errorf("%s: assets changed by %d, want %d", name, got, tt.assets)
		}
		if now := len(next.rows(int(base.w.where[5]), nil)); (now < rows) != tt.gone {
			t.Errorf("%s: %d rows became %d", name, rows, now)
		}
	}
	for _, c := range []Change{{Op: "add_machines", MachineID: "x"}, {Op: "add_machines", MachineID: base.w.idAt(3)}, {Op: "regroup_machine", Machine: ptr(1)},
		{Op: "patch_software", Machine: ptr(5), Software: "nobody/nothing"}, {Op: "rollback_software", Machine: ptr(5)}, {Op: "rate_vulnerability"},
		{Op: "classify_vulnerability"}, {Op: "classify_vulnerability", CVEs: []string{cve}, AttackVector: "unknown"},
		{Op: "rate_vulnerability", CVEs: []string{cve}, Severity: "dire"}, {Op: "publish_vulnerability", CVEs: []string{cve}}, {Op: "reimage_machine", MachineID: base.edgeID()}} {
		if _, err := base.Apply(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func (s *State) edgeID() string { return s.w.idAt(int(s.w.edgeAt[0])) }

func TestReimagedMachineKeepsItsName(t *testing.T) {
	t.Parallel()
	base := newState(t, 40, 20)
	next, err := base.Apply(Change{Op: "rename_machine", Machine: ptr(5), Hostname: "again.contoso.com"}, Change{Op: "reimage_machine", Machine: ptr(5)})
	if err != nil {
		t.Fatal(err)
	}
	var health []string
	for m := range next.Machines(0) {
		if m.HasName("again.contoso.com") {
			health = append(health, m.Health+" "+m.Platform+" "+m.LastIP)
		}
	}
	slices.Sort(health)
	if len(health) != 2 || !strings.HasPrefix(health[0], "Active") || health[1] != "In"+strings.Replace(health[0], "A", "a", 1) {
		t.Errorf("%q", health)
	}
}

func TestRatedAndPublishedVulnerabilities(t *testing.T) {
	t.Parallel()
	base := newState(t, 60, 30)
	at := epoch.Add(5 * time.Hour)
	cve := base.cat.ids[base.rows(int(base.w.where[5]), nil)[0].cve]
	next, err := base.ApplyAt(at, Change{Op: "rate_vulnerability", CVEs: []string{cve}, Severity: "low", AttackVector: "network"},
		Change{Op: "publish_vulnerability", CVEs: []string{"CVE-2026-77777"}, Software: "mozilla/firefox", Severity: "critical", AttackVector: "network"})
	if err != nil {
		t.Fatal(err)
	}
	i, _ := base.cat.Find(cve)
	was, is := base.cat.At(i), next.cat.At(i)
	if is.Severity != "Low" || !strings.Contains(is.Vector, "AV:N") || !is.updatedAt.Equal(at) || is.Description == was.Description || was.Severity == "Low" {
		t.Errorf("%+v", is)
	}
	j, ok := next.cat.Find("cve-2026-77777")
	if _, before := base.cat.Find("cve-2026-77777"); !ok || before {
		t.Fatal("the new vulnerability is not found, or was there before")
	}
	e := next.Exposure(j)
	if e.Machines == 0 || e.Machines > 60 || !e.FirstDetected.Equal(at) {
		t.Errorf("exposure %+v", e)
	}
	if got := next.Truth().Findings.BySeverity["critical"] - base.Truth().Findings.BySeverity["critical"]; got < 1 || got > e.Machines {
		t.Errorf("%d critical findings more, %d machines exposed", got, e.Machines)
	}
}

func TestDaysPass(t *testing.T) {
	t.Parallel()
	base := newState(t, 40, 10)
	if base.On(epoch.Add(11*time.Hour)) != base {
		t.Error("a day passed before midnight")
	}
	next, err := base.ApplyAt(epoch.AddDate(0, 0, 3), Change{Op: "touch_machine", Machine: ptr(5), LastSeenDaysAgo: 20}, Change{Op: "add_machines"})
	if err != nil {
		t.Fatal(err)
	}
	next = next.On(epoch.AddDate(0, 0, 10))
	seen := func(s *State, n int) time.Time { m := s.machine(s.numbered(n)); return m.lastSeen }
	if got := seen(next, 6).Sub(seen(base, 6)); got != 10*24*time.Hour {
		t.Errorf("a machine was last seen %v later", got)
	}
	if got := epoch.AddDate(0, 0, 10).Sub(seen(next, 5)); got != 20*24*time.Hour {
		t.Errorf("a touched machine was last seen %v ago", got)
	}
	m := next.machine(next.numbered(40))
	if age := m.lastSeen.Sub(epoch); !strings.HasPrefix(m.FirstSeen, m.lastSeen.AddDate(0, 0, -7).Format("2006-01-02T15:04:05")) || age < 3*24*time.Hour {
		t.Errorf("a newcomer is first seen %s, last %s", m.FirstSeen, m.LastSeen)
	}
	if !NewDelta(base, base.On(epoch.AddDate(0, 0, 10))).Empty() {
		t.Error("the days that pass are changes of rows")
	}
	if base.On(epoch.AddDate(0, 0, 60)).Truth().Machines.Accepted != base.Truth().Machines.Accepted {
		t.Error("machines aged out of the truth")
	}
}

// TestSoftwareLiesInOnePlace looks for machines whose rows of one piece of software name different disks: the service keeps one place for
// all of them, and would take the whole report and the changes to contradict each other.
func TestSoftwareLiesInOnePlace(t *testing.T) {
	t.Parallel()
	moved := 0
	for seed := range uint64(10) {
		s, err := newState(t, 60, 12).Apply(RandomChanges(seed, 300)...)
		if err != nil {
			t.Fatal(err)
		}
		for pos := range s.w.rowPositions() + len(s.newcomers) {
			flags := map[int32]uint8{}
			for _, r := range s.rows(pos, nil) {
				flag, known := flags[r.software]
				if known && flag != r.flags&flagMoved {
					t.Errorf("seed %d: software %d of the machine at %d lies in two places", seed, r.software, pos)
				}
				flags[r.software] = r.flags & flagMoved
				moved += int(r.flags&flagMoved) / flagMoved
			}
		}
	}
	if moved == 0 {
		t.Error("nothing was moved, so the test shows nothing")
	}
}
