package world

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// record is an export row as a client keeps it: what names it and what the delta promises to tell of.
type record struct {
	DeviceID    string   `json:"deviceId"`
	Group       int      `json:"rbacGroupId"`
	Vendor      string   `json:"softwareVendor"`
	Software    string   `json:"softwareName"`
	Version     string   `json:"softwareVersion"`
	CVE         *string  `json:"cveId"`
	Severity    *string  `json:"vulnerabilitySeverityLevel"`
	Score       *float64 `json:"cvssScore"`
	Exploit     *string  `json:"exploitabilityLevel"`
	Update      *string  `json:"recommendedSecurityUpdate"`
	UpdateID    *string  `json:"recommendedSecurityUpdateId"`
	DiskPaths   []string `json:"diskPaths"`
	FirstSeen   string   `json:"firstSeenTimestamp"`
	Status      string   `json:"status"`
	When        string   `json:"eventTimestamp"`
	UpdateThere *bool    `json:"securityUpdateAvailable"`
}

func (r record) key() string {
	cve := ""
	if r.CVE != nil {
		cve = *r.CVE
	}
	return strings.Join([]string{r.DeviceID, r.Vendor, r.Software, r.Version, cve}, "|")
}

// kept is the record without what only one of the two routes tells.
func (r record) kept() string {
	r.Status, r.When, r.UpdateThere = "", "", nil
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func records(t testing.TB, body []byte) (out []record) {
	t.Helper()
	if err := json.Unmarshal(slices.Concat([]byte("["), body, []byte("]")), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func whole(t testing.TB, s *State) map[string]string {
	t.Helper()
	_, body := pull(t, s, 1<<30)
	out := map[string]string{}
	for _, r := range records(t, body) {
		if _, twice := out[r.key()]; twice {
			t.Fatalf("row %s comes twice", r.key())
		}
		out[r.key()] = r.kept()
	}
	return out
}

func deltaRows(t testing.TB, d *Delta, size int) []record {
	t.Helper()
	var body []byte
	var at Cursor
	for more, written := true, 0; more; {
		if len(body) > 0 {
			body = append(body, ',')
		}
		var err error
		at, written, more, err = d.Rows(at, size, epoch, func(p []byte) error { body = append(body, p...); return nil })
		if err != nil || written > size || (more && written != size) {
			t.Fatalf("%d rows, more %v, %v", written, more, err)
		}
	}
	return records(t, body)
}

// fold applies a batch to rows held: what is New wins over what is Fixed.
func fold(held map[string]string, batch []record) {
	for _, r := range batch {
		if r.Status == rowFixed {
			delete(held, r.key())
		}
	}
	for _, r := range batch {
		if r.Status != rowFixed {
			held[r.key()] = r.kept()
		}
	}
}

func TestDeltaIsTheDifferenceOfTwoExports(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			state := newState(t, 60, 12)
			held := whole(t, state)
			seen := map[string]int{}
			for step := range uint64(6) {
				next, err := state.ApplyAt(epoch.Add(time.Duration(step+1)*6*time.Hour), RandomChanges(seed<<8|step, 12)...)
				if err != nil {
					t.Fatal(err)
				}
				d := NewDelta(state, next)
				batch := deltaRows(t, d, 7)
				if again := deltaRows(t, d, 1<<30); len(again) != len(batch) || d.Empty() != (len(batch) == 0) {
					t.Fatalf("%d rows in pages, %d at once, empty %v", len(batch), len(again), d.Empty())
				}
				for _, r := range batch {
					seen[r.Status]++
					if r.UpdateThere != nil || r.When == "" {
						t.Fatalf("bad row %+v", r)
					}
				}
				fold(held, batch)
				if want := whole(t, next); !maps.Equal(held, want) {
					t.Fatalf("step %d: %d rows held, %d delivered", step, len(held), len(want))
				}
				state = next
			}
			if seen[rowNew] == 0 || seen[rowFixed] == 0 || seen[rowUpdated] == 0 {
				t.Errorf("events: %v", seen)
			}
		})
	}
}

// TestDeltaAcrossSeveralChanges compares states that are more than one step apart.
func TestDeltaAcrossSeveralChanges(t *testing.T) {
	t.Parallel()
	first := newState(t, 60, 12)
	last := first
	for step := range uint64(6) {
		var err error
		if last, err = last.Apply(append(RandomChanges(step, 10), Change{Op: []string{"change_rows", "replace_findings"}[step/2%2], Pattern: []string{"clustered", "scattered"}[step%2], Percent: 10})...); err != nil {
			t.Fatal(err)
		}
	}
	held := whole(t, first)
	fold(held, deltaRows(t, NewDelta(first, last), 1<<30))
	if !maps.Equal(held, whole(t, last)) {
		t.Error("the delta does not lead to the last export")
	}
	if !NewDelta(last, last).Empty() {
		t.Error("a state differs from itself")
	}
}

func TestDeltaPairs(t *testing.T) {
	t.Parallel()
	base := newState(t, 40, 30)
	pos := int(base.w.where[5])
	group := (base.machine(pos).Group + 1) % len(groupNames)
	for name, tt := range map[string]struct {
		change Change
		check  func(pairs map[string][]record) bool
	}{
		"upgrade": {Change{Op: "upgrade_software", Machine: ptr(5)}, func(pairs map[string][]record) bool {
			for _, p := range pairs {
				if len(p) == 2 && (p[0].Version == p[1].Version || p[0].FirstSeen != p[1].FirstSeen || p[0].Status == p[1].Status) {
					return false
				}
			}
			return true
		}},
		"group": {Change{Op: "regroup_machine", Machine: ptr(5), Group: &group}, func(pairs map[string][]record) bool {
			for _, p := range pairs {
				if len(p) != 2 || p[0].key() != p[1].key() || p[0].Group == p[1].Group {
					return false
				}
				if fixed := p[slices.IndexFunc(p, func(r record) bool { return r.Status == rowFixed })]; fixed.Group == group {
					return false
				}
			}
			return true
		}},
		"path": {Change{Op: "move_software", Machine: ptr(5)}, func(pairs map[string][]record) bool {
			for _, p := range pairs {
				if len(p) != 1 || p[0].Status != rowUpdated {
					return false
				}
			}
			return true
		}},
	} {
		next, err := base.Apply(tt.change)
		if err != nil {
			t.Fatal(err)
		}
		pairs := map[string][]record{}
		for _, r := range deltaRows(t, NewDelta(base, next), 1<<30) {
			if r.CVE != nil {
				pairs[r.Vendor+r.Software+*r.CVE] = append(pairs[r.Vendor+r.Software+*r.CVE], r)
			}
		}
		if len(pairs) == 0 || !tt.check(pairs) {
			t.Errorf("%s: %+v", name, pairs)
		}
	}
}

// BenchmarkDeltaOfAFewMachines shows that a delta of a large directory costs what changed.
func BenchmarkDeltaOfAFewMachines(b *testing.B) {
	cat := NewCatalogue(1, 5000, epoch)
	base := NewState(New(cat, Spec{Seed: 1, Domain: "contoso.com", Machines: 100_000, FindingsPerMachine: 100, EdgeCases: true}))
	cve := cat.ids[base.rows(int(base.w.where[9]), nil)[0].cve]
	for name, c := range map[string]Change{
		"one machine": {Op: "remove_findings", Machine: ptr(9)}, "one percent clustered": {Op: "change_rows", Pattern: "clustered"},
		"one vulnerability": {Op: "rate_vulnerability", CVEs: []string{cve}}, "one percent scattered": {Op: "change_rows", Pattern: "scattered"},
	} {
		next, err := base.Apply(c)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if NewDelta(base, next).Empty() {
					b.Fatal("no event")
				}
			}
		})
	}
}
