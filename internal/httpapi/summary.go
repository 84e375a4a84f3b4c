package httpapi

import (
	"net/http"
	"slices"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
)

func (s *server) getSummary(w http.ResponseWriter, r *http.Request) error {
	sum, err := s.Findings.Summary(r.Context(), caller(r))
	if err != nil {
		return err
	}
	everything := inventory.PageRequest{Limit: maxLimit}
	integrations, _, err := s.selectIntegrations(r, everything, func(i *connector.Integration) bool {
		return i.State != connector.StateDisconnected
	})
	if err != nil {
		return err
	}
	now := s.Now().UTC()
	out := api.Summary{
		Assets: assetSummary(&sum), Findings: findingSummary(&sum),
		Vulnerabilities: api.VulnerabilitySummary{Total: int64(sum.Vulnerabilities), WithExploit: int64(sum.WithExploit)},
		Integrations:    each(integrations, func(i *connector.Integration) api.Freshness { return freshness(i, now) }),
	}
	figures, err := encode(out) // without the time, which is another one in every answer
	if err != nil {
		return err
	}
	out.GeneratedAt = now
	body, err := encode(out)
	if err != nil {
		return err
	}
	sendUnlessKnown(w, r, weakTag(figures), body)
	return nil
}

func assetSummary(sum *inventory.Summary) api.AssetSummary {
	count := func(state inventory.AssetState) int64 { return int64(sum.Assets[state]) }
	out := api.AssetSummary{ByState: api.AssetStateCounts{
		Active: count(inventory.AssetActive), Inactive: count(inventory.AssetInactive), Stale: count(inventory.AssetStale),
		OutOfScope: count(inventory.AssetOutOfScope), Merged: count(inventory.AssetMerged), Removed: count(inventory.AssetRemoved),
	}}
	for _, n := range sum.Assets {
		out.Total += int64(n)
	}
	for family, n := range sum.OSFamilies {
		switch osFamily(family) {
		case api.OSWindows:
			out.ByOSFamily.Windows += int64(n)
		case api.OSLinux:
			out.ByOSFamily.Linux += int64(n)
		case api.OSMacOS:
			out.ByOSFamily.MacOS += int64(n)
		default:
			out.ByOSFamily.Other += int64(n)
		}
	}
	return out
}

func findingSummary(sum *inventory.Summary) api.FindingSummary {
	return api.FindingSummary{
		ByState: api.FindingStateCounts{
			Open: int64(sum.FindingStates[inventory.FindingOpen]), Fixed: int64(sum.FindingStates[inventory.FindingFixed]),
			OutOfScope: int64(sum.FindingStates[inventory.FindingOutOfScope]),
		},
		OpenBySeverity: severityCounts(sum.OpenFindings),
	}
}

// freshness calls data fresh that arrived within two intervals: one may fail without anybody having to worry.
func freshness(i *connector.Integration, now time.Time) api.Freshness {
	span := 2 * time.Duration(i.IntervalHours) * time.Hour
	return api.Freshness{
		IntegrationID: integrationID(i.PublicID), Name: i.Name, State: api.IntegrationState(i.State),
		Fresh: !i.LastSuccessAt.IsZero() && now.Sub(i.LastSuccessAt) <= span, LastSuccessAt: i.LastSuccessAt, NextRunAt: i.DueAt(),
	}
}

// inScope are the states of assets that count against the tenant's quota.
var inScope = []inventory.AssetState{inventory.AssetActive, inventory.AssetInactive}

func assetsUsed(sum *inventory.Summary) int64 {
	var n int64
	for state, count := range sum.Assets {
		if slices.Contains(inScope, state) {
			n += int64(count)
		}
	}
	return n
}
