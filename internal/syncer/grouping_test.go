package syncer

import (
	"testing"

	"pgp.internal/defender/internal/inventory"
)

// TestTheStrongestSourceOfAFindingsRowsDecides puts two rows together in either order.
func TestTheStrongestSourceOfAFindingsRowsDecides(t *testing.T) {
	t.Parallel()
	ascending := []spooledRow{
		{severity: inventory.SeverityUnknown, source: inventory.FromNothing}, {severity: inventory.SeverityLow, source: inventory.FromRowScore},
		{severity: inventory.SeverityCritical, source: inventory.FromRowScore}, {severity: inventory.SeverityLow, source: inventory.FromScore},
		{severity: inventory.SeverityUnknown, source: inventory.FromRow}, {severity: inventory.SeverityHigh, source: inventory.FromRow},
		{severity: inventory.SeverityLow, source: inventory.FromVulnerable},
	}
	var g grouping
	for i, a := range ascending {
		for k, b := range ascending {
			g.begin(StagedAsset{})
			g.take([]spooledRow{a, b})
			want := ascending[max(i, k)]
			if f := g.findings[0]; len(g.findings) != 1 || f.Severity != want.severity || f.Source != want.source || g.asset.Open[want.severity] != 1 {
				t.Errorf("%v and %v make %v", a, b, g.findings)
			}
		}
	}
}
