package api

import (
	"context"
	"time"
)

// Reconciliation holds what is stored of an integration against Defender's own totals, as of TakenAt. Without RunID none was taken
// yet; Unavailable is the code of the problem for which the vulnerabilities are missing. Differences are the 200 largest at most, those that
// nothing accounts for first; Omitted counts the others.
type Reconciliation struct {
	RunID           string                      `json:"run_id,omitempty"`
	TakenAt         time.Time                   `json:"taken_at,omitzero"`
	Unavailable     string                      `json:"unavailable,omitempty"`
	Machines        MachineReconciliation       `json:"machines"`
	Vulnerabilities VulnerabilityReconciliation `json:"vulnerabilities"`
	Differences     []Difference                `json:"differences"`
	Omitted         int64                       `json:"differences_omitted"`
}

// MachineReconciliation holds the machines that Defender listed against the assets by state. Missing counts assets that were not
// listed and are kept until more runs have missed them.
type MachineReconciliation struct {
	Listed   int64            `json:"listed"`
	Accepted int64            `json:"accepted"`
	Skipped  map[string]int64 `json:"skipped"`
	Assets   map[string]int64 `json:"assets"`
	Missing  int64            `json:"missing"`
}

// VulnerabilityReconciliation counts the vulnerabilities that Defender counts machines of or that have open findings. From NotImported on
// it sums up all of them by what accounts for them, as in [Difference]: of those that Defender's catalogue does not have Uncatalogued counts the
// open findings, and nothing else does. Unaccounted sums up machines without a finding and findings without a machine that nothing accounts for.
type VulnerabilityReconciliation struct {
	Total           int64            `json:"total"`
	Equal           int64            `json:"equal"`
	Explained       int64            `json:"explained"`
	Unexplained     int64            `json:"unexplained"`
	ExposedMachines int64            `json:"exposed_machines"`
	OpenFindings    int64            `json:"open_findings"`
	NotImported     map[string]int64 `json:"not_imported"`
	RefusedRows     map[string]int64 `json:"refused_rows"`
	Missing         int64            `json:"missing"`
	Stale           int64            `json:"stale"`
	Held            int64            `json:"held"`
	Uncatalogued    int64            `json:"uncatalogued"`
	Unaccounted     int64            `json:"unaccounted"`
}

// Difference is a vulnerability of which Defender counts other machines than there are open findings, or should. NotImported counts
// machines by the reason why they are no assets, RefusedRows rows on assets by reason. Missing, Stale and Held count findings that are
// open without a row: of assets that were not listed, of stale ones, and those that a drop would close which is held back.
type Difference struct {
	VulnerabilityID string           `json:"vulnerability_id"`
	ExposedMachines int64            `json:"exposed_machines"`
	OpenFindings    int64            `json:"open_findings"`
	NotImported     map[string]int64 `json:"not_imported"`
	RefusedRows     map[string]int64 `json:"refused_rows"`
	Missing         int64            `json:"missing"`
	Stale           int64            `json:"stale"`
	Held            int64            `json:"held"`
	Uncatalogued    bool             `json:"uncatalogued"`
	Unexplained     int64            `json:"unexplained"`
}

// GetReconciliation reads the last reconciliation. Role: readonly.
func (c *Client) GetReconciliation(ctx context.Context, integrationID string) (*Reconciliation, error) {
	return get[Reconciliation](ctx, c, path("/v1/integrations/%s/reconciliation", integrationID))
}
