package syncer

import (
	"context"
	"fmt"

	"pgp.internal/defender/internal/inventory"
)

// RefusedVulnerability is one of which no row counts any more.
type RefusedVulnerability struct {
	ID     int32
	Reason uint8 // inventory.RowReasonCode
}

// narrow lets a plan to read changes stand under settings that take fewer rows than those the last reading was judged by,
// if what is stored tells which findings have to go: the vulnerabilities whose traits refuse all their rows. Where a row's own
// severity or exploitability decides, the rows have to be read.
func (e *execution) narrow(ctx context.Context, p Plan, known Reading, judge *inventory.Judge) (Plan, []RefusedVulnerability, error) {
	if !p.Changes || known.judgedBy(e.settings, inventory.Settings.SameRows) {
		return p, nil, nil
	}
	open, err := e.store.OpenVulnerabilities(ctx, e.run.Tenant)
	if err != nil {
		return p, nil, err
	}
	var refused []RefusedVulnerability
	undecided := 0
	for i := range open {
		reason, told := judge.AnyRow(inventory.TraitsOf(&open[i]))
		switch {
		case !told:
			undecided++
		case reason != inventory.Accepted:
			refused = append(refused, RefusedVulnerability{open[i].ID, inventory.RowReasonCode(reason)})
		}
	}
	if undecided > 0 {
		return Plan{Why: fmt.Sprintf("the settings have changed, and of %d vulnerabilities the rows decide what counts now", undecided)}, nil, nil
	}
	p.Why += fmt.Sprintf("; the settings take less since then, and what is stored tells that %d vulnerabilities go", len(refused))
	return p, refused, nil
}
