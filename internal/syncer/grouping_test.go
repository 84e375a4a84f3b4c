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

// TestWhatIsThereOutweighsWhatIsGoneOfTheSameSecond orders changes of one row: the last one counts.
func TestWhatIsThereOutweighsWhatIsGoneOfTheSameSecond(t *testing.T) {
	t.Parallel()
	fixed := spooledRow{vulnerability: 7, software: 3, changedAt: 100, gone: true}
	refused, there := fixed, fixed
	refused.reason, there.gone = 1, false
	for _, pair := range [][2]spooledRow{{fixed, refused}, {fixed, there}, {refused, there}} {
		if pair[0].compare(pair[1]) >= 0 || pair[1].compare(pair[0]) <= 0 {
			t.Errorf("%+v must come before %+v", pair[0], pair[1])
		}
	}
}
