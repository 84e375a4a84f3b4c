package api

import (
	"context"
	"time"
)

// Summary is counts at a glance.
type Summary struct {
	Assets          AssetSummary         `json:"assets"`
	Findings        FindingSummary       `json:"findings"`
	Vulnerabilities VulnerabilitySummary `json:"vulnerabilities"`
	Integrations    []Freshness          `json:"integrations"`
	GeneratedAt     time.Time            `json:"generated_at"`
}

// AssetSummary counts assets. ByOSFamily counts only those that are active, inactive or stale.
type AssetSummary struct {
	Total      int64            `json:"total"`
	ByState    AssetStateCounts `json:"by_state"`
	ByOSFamily OSFamilyCounts   `json:"by_os_family"`
}

// AssetStateCounts counts assets by state.
type AssetStateCounts struct {
	Active     int64 `json:"active"`
	Inactive   int64 `json:"inactive"`
	Stale      int64 `json:"stale"`
	OutOfScope int64 `json:"out_of_scope"`
	Merged     int64 `json:"merged"`
	Removed    int64 `json:"removed"`
}

// OSFamilyCounts counts assets by family of operating systems.
type OSFamilyCounts struct {
	Windows int64 `json:"windows"`
	Linux   int64 `json:"linux"`
	MacOS   int64 `json:"macos"`
	Other   int64 `json:"other"`
}

// FindingSummary counts findings.
type FindingSummary struct {
	ByState        FindingStateCounts `json:"by_state"`
	OpenBySeverity SeverityCounts     `json:"open_by_severity"`
}

// VulnerabilitySummary counts vulnerabilities with at least one open finding.
type VulnerabilitySummary struct {
	Total       int64 `json:"total"`
	WithExploit int64 `json:"with_exploit"`
}

// FindingStateCounts counts findings by state.
type FindingStateCounts struct {
	Open       int64 `json:"open"`
	Fixed      int64 `json:"fixed"`
	OutOfScope int64 `json:"out_of_scope"`
}

// Freshness tells how fresh an integration's data are: Fresh if they arrived completely within the last two intervals.
type Freshness struct {
	IntegrationID string           `json:"integration_id"`
	Name          string           `json:"name"`
	State         IntegrationState `json:"state"`
	Fresh         bool             `json:"fresh"`
	LastSuccessAt time.Time        `json:"last_success_at,omitzero"`
	NextRunAt     time.Time        `json:"next_run_at,omitzero"`
}

// GetSummary reads the counts. Role: readonly.
func (c *Client) GetSummary(ctx context.Context) (*Summary, error) {
	return get[Summary](ctx, c, "/v1/summary")
}
