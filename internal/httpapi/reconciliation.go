package httpapi

import (
	"net/http"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

func (s *server) getReconciliation(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	found, err := s.Runs.Reconciliation(r.Context(), caller(r), id)
	if err != nil {
		return err
	}
	return answerTagged(w, r, reconciliation(&found))
}

func reconciliation(r *syncer.Reconciliation) api.Reconciliation {
	out := api.Reconciliation{
		TakenAt: r.TakenAt.UTC(), Unavailable: r.Unavailable,
		Machines: api.MachineReconciliation{Listed: r.Listed, Accepted: r.Accepted, Skipped: byReason(r.Skipped), Missing: r.Missing, Assets: map[string]int64{}},
		Vulnerabilities: api.VulnerabilityReconciliation{
			Total: r.Vulnerabilities, Equal: r.Equal, Explained: r.Explained, Unexplained: r.Unexplained, ExposedMachines: r.Exposed, OpenFindings: r.Open,
			NotImported: byReason(r.Sum.NotImported), RefusedRows: byReason(r.Sum.Refused), Missing: r.Sum.Missing, Stale: r.Sum.Stale, Held: r.Sum.Held,
			Uncatalogued: r.Uncatalogued, Unaccounted: r.Unaccounted,
		},
		Differences: each(r.Differences, difference), Omitted: r.Omitted,
	}
	if !r.TakenAt.IsZero() {
		out.RunID = runID(r.Run)
	}
	for state, n := range r.Assets {
		out.Machines.Assets[string(state)] = n
	}
	return out
}

func difference(d *syncer.Difference) api.Difference {
	return api.Difference{
		VulnerabilityID: d.Vulnerability, ExposedMachines: d.Exposed, OpenFindings: d.Open, NotImported: byReason(d.NotImported),
		RefusedRows: byReason(d.Refused), Missing: d.Missing, Stale: d.Stale, Held: d.Held, Uncatalogued: d.Uncatalogued, Unexplained: d.Unexplained,
	}
}

func byReason(counts map[inventory.Reason]int64) map[string]int64 {
	out := make(map[string]int64, len(counts))
	for reason, n := range counts {
		out[string(reason)] = n
	}
	return out
}
