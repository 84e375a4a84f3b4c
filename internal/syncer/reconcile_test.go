package syncer_test

import (
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

func (h *house) reconciliation(run syncer.Run) syncer.Reconciliation {
	h.t.Helper()
	r, err := h.store.Reconciliation(h.t.Context(), run.Tenant, run.IntegrationPublic)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range r.Differences {
		if d.Unexplained != 0 {
			h.t.Logf("%+v", d)
		}
	}
	return r
}

func TestWhatIsLeftOutAccountsForTheDifferencesFromDefendersCounts(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]*house{"plain": newPlainHouse(t, 30, 20), "edge cases": newHouse(t, 30, 20)} {
		t.Run(name, func(t *testing.T) {
			h.connect(h.tenant, nil)
			run := h.work()
			mustSucceed(t, run)
			r := h.reconciliation(run)
			s := run.Report.StageNamed(syncer.StageAssets)
			if r.Run != run.PublicID || r.TakenAt.IsZero() || r.Unavailable != "" || r.Listed != s.Counts.Fetched || r.Accepted != s.Counts.Accepted || len(r.Skipped) != len(s.SkippedBy) {
				t.Errorf("%+v", r)
			}
			if r.Open != int64(h.truth().Findings.Total) || r.Equal+r.Explained+r.Unexplained != r.Vulnerabilities || r.Equal == 0 || r.Explained == 0 {
				t.Errorf("%+v", r)
			}
			if r.Unexplained != 0 {
				t.Errorf("%d of %d vulnerabilities differ for no known reason", r.Unexplained, r.Vulnerabilities)
			}
			if r.Assets[inventory.AssetActive]+r.Assets[inventory.AssetInactive] != r.Accepted {
				t.Errorf("assets %v, accepted %d", r.Assets, r.Accepted)
			}
		})
	}
}
