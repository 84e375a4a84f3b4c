package syncer

import (
	"context"
	"fmt"

	"pgp.internal/defender/internal/inventory"
)

// KeptVulnerability is one that findings are kept of, with only the fields that rules ask for.
type KeptVulnerability struct {
	inventory.Vulnerability
	Open bool // some of them are open; else all are out of scope or fixed
}

// RefusedVulnerability is one of which no row counts any more.
type RefusedVulnerability struct {
	ID     int32
	Reason uint8 // inventory.RowReasonCode
}

// ruled lets a plan to read changes stand unless the catalogue tells something else since the last reading of a vulnerability that the
// directory has: rows that did not change count otherwise then, and changes do not tell them.
func (e *execution) ruled(ctx context.Context, p Plan, known Reading) (Plan, error) {
	if !p.Changes {
		return p, nil
	}
	n, err := e.store.RuledAnew(ctx, e.run.Tenant, known.RulesAt, known.Refused)
	if err != nil || n == 0 {
		return p, err
	}
	return Plan{Why: fmt.Sprintf("Microsoft's catalogue tells of %d vulnerabilities what makes their rows count otherwise, and changes do not tell those rows", n)}, nil
}

// narrow lets a plan to read changes stand under settings that take fewer rows than those the last reading was judged by,
// if what is stored tells which findings have to go: the vulnerabilities whose traits refuse all their rows. Where a row's own
// severity or exploitability decides, the rows have to be read.
func (e *execution) narrow(ctx context.Context, p Plan, known Reading, judge *inventory.Judge) (Plan, []RefusedVulnerability, error) {
	if !p.Changes || known.judgedBy(e.settings, inventory.Settings.SameRows) {
		return p, nil, nil
	}
	kept, err := e.store.KeptVulnerabilities(ctx, e.run.Tenant)
	if err != nil {
		return p, nil, err
	}
	var refused []RefusedVulnerability
	undecided, going := 0, 0
	for i := range kept {
		v := &kept[i]
		reason, told := judge.AnyRow(inventory.TraitsOf(&v.Vulnerability))
		switch {
		case !told && v.Open:
			undecided++
		case told && reason != inventory.Accepted:
			refused = append(refused, RefusedVulnerability{v.ID, inventory.RowReasonCode(reason)})
			if v.Open {
				going++
			}
		}
	}
	if undecided > 0 {
		return Plan{Why: fmt.Sprintf("the settings have changed, and of %d vulnerabilities the rows decide what counts now", undecided)}, nil, nil
	}
	p.Why += fmt.Sprintf("; the settings take less since then, and what is stored tells that %d vulnerabilities go", going)
	return p, refused, nil
}
