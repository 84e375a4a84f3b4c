package world

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// RandomChanges are n plausible changes that follow from the seed and from what they are applied to: machines come, go,
// are patched, upgraded, set up anew, merged, moved between groups and offboarded; vulnerabilities are published and rated
// anew. For property tests: sim.Change(dir, world.RandomChanges(seed, n)...).
func RandomChanges(seed uint64, n int) []Change {
	r := newRNG(0xd41f7, seed)
	list := make([]Change, n)
	for i := range list {
		list[i] = Change{Op: "drift", Seed: r.next()}
	}
	return list
}

// applyDrift carries out drift: each change is chosen from what the ones before have left.
func (s *State) applyDrift(c Change, at time.Time) error {
	r := newRNG(0xd21f7, c.Seed)
	for range max(c.Count, 1) {
		next := s.randomChange(&r)
		if err := s.apply(next, at); err != nil {
			return fmt.Errorf("%s of a random change: %w", next.Op, err)
		}
	}
	return nil
}

// drifts are the kinds of random changes with their weights. One that has nothing to act on returns an empty Op.
var drifts = []struct {
	weight int
	choose func(s *State, r *rng, machine *int) Change
}{
	{16, softwareDrift("patch_software")},
	{16, softwareDrift("upgrade_software")},
	{4, softwareDrift("move_software")},
	{8, reopenDrift},
	{10, findingsDrift},
	{7, func(_ *State, r *rng, _ *int) Change { return Change{Op: "add_machines", Count: 1 + r.n(3)} }},
	{5, presenceDrift},
	{4, func(s *State, _ *rng, m *int) Change {
		return flag(m, s.override(m).offboarded, "offboard_machine", "onboard_machine")
	}},
	{4, func(s *State, _ *rng, m *int) Change {
		o := s.override(m)
		return flag(m, o.excluded != nil && *o.excluded, "exclude_machine", "include_machine")
	}},
	{4, mergeDrift},
	{3, func(_ *State, _ *rng, m *int) Change { return Change{Op: "reimage_machine", Machine: m} }},
	{6, func(_ *State, r *rng, m *int) Change {
		group := r.n(len(groupNames))
		return Change{Op: "regroup_machine", Machine: m, Group: &group}
	}},
	{5, func(_ *State, r *rng, m *int) Change {
		return Change{Op: "touch_machine", Machine: m, LastSeenDaysAgo: pick(r, []int{1, 1, 2, 9, 20, 45})}
	}},
	{4, func(s *State, r *rng, m *int) Change {
		return Change{Op: "rename_machine", Machine: m, Hostname: fmt.Sprintf("renamed-%d-%s.%s", *m, r.hex(4), s.w.domain)}
	}},
	{4, func(_ *State, r *rng, m *int) Change {
		return Change{Op: "readdress_machine", Machine: m, IP: fmt.Sprintf("10.200.%d.%d", r.n(250), 1+r.n(250))}
	}},
	{6, func(s *State, r *rng, _ *int) Change {
		i := r.n(len(s.cat.ordinary))
		return Change{Op: "rate_vulnerability", CVEs: []string{s.cat.ids[i]}, Seed: r.next()}
	}},
	{4, func(s *State, r *rng, _ *int) Change {
		i := r.n(len(s.cat.ordinary))
		if v := s.cat.At(i); v.Vector == "" || v.Severity == "" {
			return Change{}
		}
		return Change{Op: "classify_vulnerability", CVEs: []string{s.cat.ids[i]}, Seed: r.next()}
	}},
	{3, func(_ *State, r *rng, _ *int) Change { return Change{Op: "publish_vulnerability", Seed: r.next()} }},
	{3, fixDrift},
}

// randomChange is a change that the State accepts.
func (s *State) randomChange(r *rng) Change {
	total := 0
	for _, d := range drifts {
		total += d.weight
	}
	for s.numbers() > 0 {
		draw, machine := r.n(total), r.n(s.numbers())
		for _, d := range drifts {
			if draw -= d.weight; draw >= 0 {
				continue
			}
			if c := d.choose(s, r, &machine); c.Op != "" {
				return c
			}
			break
		}
	}
	return Change{Op: "add_machines"}
}

func (s *State) override(machine *int) override { return s.over[s.numbered(*machine)] }

// flag turns something on, or off when it is on.
func flag(machine *int, on bool, turnOn, turnOff string) Change {
	if on {
		return Change{Op: turnOff, Machine: machine}
	}
	return Change{Op: turnOn, Machine: machine}
}

func softwareDrift(op string) func(*State, *rng, *int) Change {
	return func(s *State, r *rng, machine *int) Change {
		rows := s.rows(s.numbered(*machine), nil)
		if len(rows) == 0 {
			return Change{}
		}
		p := products[pick(r, rows).software/versionsPerProduct]
		return Change{Op: op, Machine: machine, Software: p.vendor + "/" + p.name}
	}
}

// reopenDrift undoes what had ended findings.
func reopenDrift(s *State, _ *rng, machine *int) Change {
	pos := s.numbered(*machine)
	switch {
	case s.installs[pos] != nil:
		return Change{Op: "rollback_software", Machine: machine}
	case len(s.dropped[pos]) > 0:
		return Change{Op: "restore_findings", Machine: machine}
	}
	return Change{}
}

func findingsDrift(s *State, r *rng, machine *int) Change {
	c := Change{Op: "remove_findings", Machine: machine}
	if r.chance(40) {
		c.Op, c.CVEs = "add_findings", []string{s.cat.ids[r.n(len(s.cat.ordinary))]}
		return c
	}
	rows := s.rows(s.numbered(*machine), nil)
	for _, row := range rows[:min(len(rows), 1+r.n(4))] {
		if row.cve != noCVE {
			c.CVEs = append(c.CVEs, s.cat.ids[row.cve])
		}
	}
	if len(c.CVEs) == 0 {
		return Change{}
	}
	return c
}

func presenceDrift(s *State, _ *rng, machine *int) Change {
	return flag(machine, s.removed[s.numbered(*machine)], "remove_machines", "restore_machines")
}

func mergeDrift(s *State, r *rng, machine *int) Change {
	into := r.n(s.numbers())
	switch {
	case s.override(machine).merged != "":
		return Change{Op: "unmerge_machine", Machine: machine}
	case into == *machine:
		return Change{}
	}
	return Change{Op: "merge_machine", Machine: machine, Into: &into}
}

// fixDrift ends a vulnerability everywhere, or brings the lowest numbered one of those back.
func fixDrift(s *State, r *rng, _ *int) Change {
	if len(s.fixed) > 0 && r.chance(50) {
		return Change{Op: "unfix_vulnerability", CVEs: []string{s.cat.ids[slices.Min(slices.Collect(maps.Keys(s.fixed)))]}}
	}
	return Change{Op: "fix_vulnerability", CVEs: []string{s.cat.ids[r.n(len(s.cat.ordinary))]}}
}
