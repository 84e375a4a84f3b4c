package world

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newState(t testing.TB, machines, findings int) *State {
	t.Helper()
	cat := NewCatalogue(7, 2000, epoch)
	return NewState(New(cat, Spec{Seed: 3, Domain: "contoso.com", Machines: machines, FindingsPerMachine: findings, EdgeCases: true}))
}

func pull(t testing.TB, s *State, size int) (pages int, body []byte) {
	t.Helper()
	var at Cursor
	for more := true; more; pages++ {
		var err error
		if pages > 0 {
			body = append(body, ',')
		}
		at, more, err = s.ExportRows(at, size, func(p []byte) error { body = append(body, p...); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	return pages, body
}

func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	_, a := pull(t, newState(t, 50, 20), 1<<30)
	pages, b := pull(t, newState(t, 50, 20), 7)
	if pages < 20 || !bytes.Equal(a, b) {
		t.Fatalf("one page and %d pages differ: %d and %d bytes", pages, len(a), len(b))
	}
	other := NewState(New(NewCatalogue(7, 2000, epoch), Spec{Seed: 4, Domain: "contoso.com", Machines: 50, FindingsPerMachine: 20}))
	if _, c := pull(t, other, 1<<30); bytes.Equal(a, c) {
		t.Fatal("another seed gave the same rows")
	}
}

func TestMachinesAreSortedAndValidJSON(t *testing.T) {
	t.Parallel()
	s := newState(t, 300, 5)
	var ids []string
	for m := range s.Machines(0) {
		if !json.Valid(append(m.AppendJSON(nil), '}')) {
			t.Fatalf("not JSON: %s}", m.AppendJSON(nil))
		}
		ids = append(ids, m.ID)
	}
	if len(ids) != s.Len() || !slices.IsSorted(ids) {
		t.Fatalf("%d of %d machines, sorted %v", len(ids), s.Len(), slices.IsSorted(ids))
	}
	var skipped []string
	for m := range s.Machines(250) {
		skipped = append(skipped, m.ID)
	}
	if !slices.Equal(skipped, ids[250:]) {
		t.Fatal("skipping is not the same as reading on")
	}
	for i, id := range ids {
		if pos, ok := s.w.find(id); !ok || s.w.idAt(pos) != id {
			t.Fatalf("machine %d is not found by its id", i)
		}
	}
}

func TestMeanRowsPerMachine(t *testing.T) {
	t.Parallel()
	cat := NewCatalogue(7, 5000, epoch)
	for _, mean := range []int{5, 40, 100} {
		s := NewState(New(cat, Spec{Seed: 3, Domain: "contoso.com", Machines: 3000, FindingsPerMachine: mean}))
		got := float64(s.MappingCount()) / 3000
		if got < 0.9*float64(mean) || got > 1.1*float64(mean) {
			t.Errorf("mean %d wanted, %.1f generated", mean, got)
		}
	}
}

func TestRowsOfAMachineAreDistinct(t *testing.T) {
	t.Parallel()
	s := newState(t, 400, 60)
	for pos := range s.w.rowPositions() {
		seen := map[row]bool{}
		for _, r := range s.rows(pos, nil) {
			if seen[r] {
				t.Fatalf("position %d has row %+v twice", pos, r)
			}
			seen[r] = true
		}
	}
}

func TestMappingSeeksToAnyRow(t *testing.T) {
	t.Parallel()
	s := newState(t, 60, 8)
	var all []string
	for r := range s.MappingRows(0, "") {
		all = append(all, string(r.AppendJSON(nil)))
	}
	if len(all) != s.MappingCount() {
		t.Fatalf("%d rows walked, %d counted", len(all), s.MappingCount())
	}
	for skip := 0; skip <= len(all)+1; skip += 13 {
		var got []string
		for r := range s.MappingRows(skip, "") {
			got = append(got, string(r.AppendJSON(nil)))
		}
		if !slices.Equal(got, all[min(skip, len(all)):]) {
			t.Fatalf("skip %d yields other rows", skip)
		}
	}
}

func TestTruthAgreesWithItsStreams(t *testing.T) {
	t.Parallel()
	s := newState(t, 80, 15)
	one, two := 1, 2
	s, err := s.Apply(Change{Op: "remove_machines", From: 10, To: 20}, Change{Op: "exclude_machine", Machine: &one},
		Change{Op: "merge_machine", Machine: &two, Into: new(int)}, Change{Op: "touch_machine", Machine: ptr(30), LastSeenDaysAgo: 31})
	if err != nil {
		t.Fatal(err)
	}
	truth, assets := s.Truth(), map[string]bool{}
	for a := range s.Assets() {
		assets[a.SourceID] = true
	}
	if len(assets) != truth.Machines.Accepted {
		t.Errorf("%d assets streamed, %d counted", len(assets), truth.Machines.Accepted)
	}
	count, cves, keys := 0, map[string]bool{}, map[string]bool{}
	for f := range s.Findings() {
		count++
		cves[f.CVE] = true
		keys[f.SourceID+f.CVE] = true
		if !assets[f.SourceID] || !slices.IsSorted(f.Software) || len(f.Software) == 0 {
			t.Fatalf("bad finding %+v", f)
		}
	}
	if count != truth.Findings.Total || len(keys) != count || len(cves) != truth.Vulnerabilities {
		t.Errorf("%d findings, %d distinct, %d vulnerabilities; truth %+v", count, len(keys), len(cves), truth)
	}
	for name, tally := range map[string]Tally{"machines": truth.Machines, "rows": truth.Rows} {
		sum := tally.Accepted
		for _, n := range tally.Skipped {
			sum += n
		}
		if sum != tally.Fetched {
			t.Errorf("%s: %d fetched, %d accounted for", name, tally.Fetched, sum)
		}
	}
}

func ptr(n int) *int { return &n }

func TestChanges(t *testing.T) {
	t.Parallel()
	base := newState(t, 40, 10)
	plain := base.machine(int(base.w.where[5]))
	cve := base.w.cat.ids[base.rows(int(base.w.where[5]), nil)[0].cve]
	tests := []struct {
		name             string
		changes          []Change
		assets, findings int // difference in the truth; 1000 means unchecked
	}{
		{"nothing", nil, 0, 0},
		{"remove", []Change{{Op: "remove_machines", From: 0, To: 7}}, -7, 1000},
		{"remove by id", []Change{{Op: "remove_machines", MachineID: plain.ID}}, -1, 1000},
		{"restore", []Change{{Op: "remove_machines", From: 0, To: 7}, {Op: "restore_machines", From: 0, To: 7}}, 0, 0},
		{"exclude", []Change{{Op: "exclude_machine", Machine: ptr(5)}}, -1, 1000},
		{"include", []Change{{Op: "exclude_machine", Machine: ptr(5)}, {Op: "include_machine", Machine: ptr(5)}}, 0, 0},
		{"merge", []Change{{Op: "merge_machine", Machine: ptr(5), Into: ptr(6)}}, -1, 1000},
		{"unmerge", []Change{{Op: "merge_machine", Machine: ptr(5), Into: ptr(6)}, {Op: "unmerge_machine", Machine: ptr(5)}}, 0, 0},
		{"stale", []Change{{Op: "touch_machine", Machine: ptr(5), LastSeenDaysAgo: 40}}, -1, 1000},
		{"quiet", []Change{{Op: "touch_machine", Machine: ptr(5), LastSeenDaysAgo: 20}}, 0, 0},
		{"rename", []Change{{Op: "rename_machine", Machine: ptr(5), Hostname: "New-Name.contoso.com"}}, 0, 0},
		{"remove findings", []Change{{Op: "remove_findings", Machine: ptr(5), CVEs: []string{cve}}}, 0, 1000},
		{"restore findings", []Change{{Op: "remove_findings", Machine: ptr(5)}, {Op: "restore_findings", Machine: ptr(5)}}, 0, 0},
		{"add", []Change{{Op: "add_findings", Machine: ptr(5), CVEs: []string{"TVM-2020-0003"}}}, 0, 1},
		{"add and remove", []Change{{Op: "add_findings", Machine: ptr(5), CVEs: []string{"TVM-2020-0003"}},
			{Op: "remove_findings", Machine: ptr(5), CVEs: []string{"tvm-2020-0003"}}}, 0, 0},
		{"fix and unfix", []Change{{Op: "fix_vulnerability", CVEs: []string{cve}}, {Op: "unfix_vulnerability", CVEs: []string{cve}}}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next, err := base.Apply(tt.changes...)
			if err != nil {
				t.Fatal(err)
			}
			before, after := base.Truth(), next.Truth()
			if got := after.Machines.Accepted - before.Machines.Accepted; got != tt.assets {
				t.Errorf("assets changed by %d, want %d", got, tt.assets)
			}
			if got := after.Findings.Total - before.Findings.Total; tt.findings != 1000 && got != tt.findings {
				t.Errorf("findings changed by %d, want %d", got, tt.findings)
			}
		})
	}
}

func TestFixRemovesEveryRow(t *testing.T) {
	t.Parallel()
	s := newState(t, 40, 30)
	cve := s.w.cat.ids[s.rows(int(s.w.where[5]), nil)[0].cve]
	next, err := s.Apply(Change{Op: "fix_vulnerability", CVEs: []string{cve}})
	if err != nil {
		t.Fatal(err)
	}
	_, before := pull(t, s, 1<<30)
	_, after := pull(t, next, 1<<30)
	if !strings.Contains(string(before), cve+`"`) || strings.Contains(string(after), cve+`"`) {
		t.Fatal("the rows of a fixed vulnerability are still there, or never were")
	}
	i, _ := s.w.cat.Find(cve)
	if e := next.Exposure(i); e.Machines != 0 || s.Exposure(i).Machines == 0 {
		t.Fatalf("exposure before %v, after %v", s.Exposure(i), e)
	}
}

func TestBadChangesChangeNothing(t *testing.T) {
	t.Parallel()
	s := newState(t, 10, 5)
	for _, c := range []Change{{Op: "dance", Machine: ptr(1)}, {Op: "exclude_machine"}, {Op: "exclude_machine", Machine: ptr(10)},
		{Op: "remove_machines", From: 3, To: 11}, {Op: "fix_vulnerability", CVEs: []string{"CVE-1-1"}}, {Op: "exclude_machine", MachineID: "ff"}} {
		if _, err := s.Apply(Change{Op: "exclude_machine", Machine: ptr(1)}, c); err == nil || !strings.Contains(err.Error(), "change 1") {
			t.Errorf("%+v: error %v", c, err)
		}
	}
	if s.Truth().Machines.Skipped[excluded] != 2 {
		t.Error("a refused change took effect")
	}
}

func TestMergeWithoutSurvivorKeepsNoRow(t *testing.T) {
	t.Parallel()
	s, err := newState(t, 10, 20).Apply(Change{Op: "merge_machine", Machine: ptr(1), Into: ptr(2)}, Change{Op: "remove_machines", Machine: ptr(2)})
	if err != nil {
		t.Fatal(err)
	}
	gone := s.w.idAt(int(s.w.where[1]))
	for f := range s.Findings() {
		if f.SourceID == gone {
			t.Fatal("a merged machine kept findings")
		}
	}
}

func BenchmarkExportRows(b *testing.B) {
	cat := NewCatalogue(1, 5000, epoch)
	s := NewState(New(cat, Spec{Seed: 1, Domain: "contoso.com", Machines: 20000, FindingsPerMachine: 40, EdgeCases: true}))
	rows, size := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		var at Cursor
		for more := true; more; {
			var err error
			at, more, err = s.ExportRows(at, 50000, func(p []byte) error { size += len(p); _, err := io.Discard.Write(p); return err })
			if err != nil {
				b.Fatal(err)
			}
		}
		rows += s.Truth().Rows.Fetched
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(size)/float64(rows), "B/row")
}
