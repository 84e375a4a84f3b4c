package world

import (
	"slices"
	"testing"
)

// changedRows counts, over all positions, the rows that differ and the positions that have such.
func changedRows(t *testing.T, a, b *State) (rows, changed, positions int) {
	t.Helper()
	for pos := range a.w.rowPositions() {
		before, after := a.rows(pos, nil), b.rows(pos, nil)
		if len(before) != len(after) {
			t.Fatalf("position %d: %d rows became %d", pos, len(before), len(after))
		}
		touched := false
		for i := range before {
			if before[i].cve != after[i].cve {
				t.Fatalf("position %d: row %d has another vulnerability", pos, i)
			}
			if before[i] != after[i] {
				changed, touched = changed+1, true
			}
		}
		if rows += len(before); touched {
			positions++
		}
	}
	return rows, changed, positions
}

func TestRowsChangeClusteredOrScattered(t *testing.T) {
	t.Parallel()
	base := newState(t, 2000, 30)
	for pattern, ok := range map[string]func(positions int) bool{
		"clustered": func(n int) bool { return n > 5 && n < 60 },
		"scattered": func(n int) bool { return n > 200 },
	} {
		next, err := base.Apply(Change{Op: "change_rows", Pattern: pattern})
		if err != nil {
			t.Fatal(err)
		}
		rows, changed, positions := changedRows(t, base, next)
		if changed < rows/250 || changed > rows/40 || !ok(positions) {
			t.Errorf("%s: %d of %d rows changed, at %d machines", pattern, changed, rows, positions)
		}
		again, err := next.Apply(Change{Op: "change_rows", Pattern: pattern})
		if err != nil {
			t.Fatal(err)
		}
		if _, changed, _ := changedRows(t, next, again); changed == 0 {
			t.Errorf("%s: nothing changed the second time", pattern)
		}
	}
}

func TestTruthFollowsChangedRows(t *testing.T) {
	t.Parallel()
	base := newState(t, 200, 20)
	next, err := base.Apply(Change{Op: "change_rows", Pattern: "scattered", Percent: 50})
	if err != nil {
		t.Fatal(err)
	}
	if base.Truth().Findings.Total != next.Truth().Findings.Total || base.Truth().Rows.Accepted != next.Truth().Rows.Accepted {
		t.Errorf("totals moved: %+v, %+v", base.Truth(), next.Truth())
	}
	before, after, differ := slices.Collect(base.Findings()), slices.Collect(next.Findings()), 0
	for i := range before {
		if before[i].CVE != after[i].CVE || before[i].SourceID != after[i].SourceID {
			t.Fatalf("finding %d is another one", i)
		}
		if !slices.Equal(before[i].Software, after[i].Software) {
			differ++
		}
	}
	if differ < len(before)/3 || differ > len(before)*2/3 {
		t.Errorf("the software of %d of %d findings differs", differ, len(before))
	}
}

func TestBadChangesOfRowsAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []Change{{Pattern: ""}, {Pattern: "all"}, {Pattern: "clustered", Percent: -1}, {Pattern: "scattered", Percent: 101}} {
		c.Op = "change_rows"
		if _, err := newState(t, 5, 5).Apply(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
		c.Op = "replace_findings"
		if _, err := newState(t, 5, 5).Apply(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// TestFindingsAreReplacedOneForOne holds each machine's findings against those before: as many are gone as have come.
func TestFindingsAreReplacedOneForOne(t *testing.T) {
	t.Parallel()
	base := newState(t, 2000, 30)
	for pattern, ok := range map[string]func(machines int) bool{
		"clustered": func(n int) bool { return n > 5 && n < 60 },
		"scattered": func(n int) bool { return n > 200 },
	} {
		next, err := base.Apply(Change{Op: "replace_findings", Pattern: pattern})
		if err != nil {
			t.Fatal(err)
		}
		all, replaced, machines := 0, 0, 0
		for pos := range base.w.rowPositions() {
			before, after := vulnerabilitiesAt(base, pos), vulnerabilitiesAt(next, pos)
			gone, come := lacking(before, after), lacking(after, before)
			if gone != come {
				t.Fatalf("%s: at position %d %d findings ended and %d began", pattern, pos, gone, come)
			}
			if all, replaced = all+len(before), replaced+gone; gone > 0 {
				machines++
			}
		}
		if replaced < all/250 || replaced > all/40 || !ok(machines) {
			t.Errorf("%s: %d of %d findings were replaced, at %d machines", pattern, replaced, all, machines)
		}
	}
}

func vulnerabilitiesAt(s *State, pos int) map[int32]bool {
	set := map[int32]bool{}
	for _, r := range s.rows(pos, nil) {
		set[r.cve] = true
	}
	return set
}

// lacking counts what is in one set and not in the other.
func lacking(set, other map[int32]bool) (n int) {
	for cve := range set {
		if !other[cve] {
			n++
		}
	}
	return n
}

// TestWhatIsAddedStaysBehindReplacedFindings adds a finding after all were replaced.
func TestWhatIsAddedStaysBehindReplacedFindings(t *testing.T) {
	t.Parallel()
	state, err := newState(t, 5, 20).Apply(Change{Op: "replace_findings", Pattern: "scattered", Percent: 100})
	if err != nil {
		t.Fatal(err)
	}
	pos := state.numbered(3)
	held := vulnerabilitiesAt(state, pos)
	for i, id := range state.cat.ids[:20] {
		next, err := state.Apply(Change{Op: "add_findings", Machine: ptr(3), CVEs: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		now := vulnerabilitiesAt(next, pos)
		if !now[int32(i)] || lacking(held, now) != 0 {
			t.Errorf("%s was added to %v: %v", id, held, now)
		}
	}
}
