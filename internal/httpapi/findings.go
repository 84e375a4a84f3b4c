package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

var findingFilters = []string{
	"state", "severity", "vulnerability_id", "product", "fix_available", "first_seen_gte", "first_seen_lt", "sort", "limit", "cursor",
}

func (s *server) listFindings(w http.ResponseWriter, r *http.Request) error {
	p := readQuery(r)
	f := findingFilter(p)
	f.Integrations, f.Assets = p.ids("integration_id", integrationPrefix), p.ids("asset_id", assetPrefix)
	if wantsLines(r) {
		return s.answerLines(w, r, p, func(ctx context.Context, l *lines) error {
			return s.Findings.EachFinding(ctx, caller(r), f, func(batch []inventory.Finding) error { return addAll(l, batch, finding) })
		})
	}
	return s.answerFindings(w, r, p, f)
}

func (s *server) listAssetFindings(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, assetPrefix, "asset")
	if err != nil {
		return err
	}
	if _, err := s.Assets.Asset(r.Context(), caller(r), id); err != nil {
		return err
	}
	p := readQuery(r)
	f := findingFilter(p)
	f.Assets = []uuid.UUID{id}
	return s.answerFindings(w, r, p, f)
}

func findingFilter(p *params) inventory.FindingFilter {
	return inventory.FindingFilter{
		States: chosen(p, "state", findingStates), Severities: chosen(p, "severity", severities),
		Vulnerabilities: p.vulnerabilities("vulnerability_id"), Products: p.texts("product", 200), FixAvailable: p.flag("fix_available"),
		FirstSeenFrom: p.time("first_seen_gte"), FirstSeenBefore: p.time("first_seen_lt"),
	}
}

func (s *server) answerFindings(w http.ResponseWriter, r *http.Request, p *params, f inventory.FindingFilter) error {
	request, err := s.paging(r, p, p.sorting(inventory.FindingSorts, "severity", "severity"))
	if err != nil {
		return err
	}
	found, end, err := s.Findings.ListFindings(r.Context(), caller(r), f, request)
	if err != nil {
		return err
	}
	return answerPage(s, w, r, found, end, finding)
}

func (s *server) getFinding(w http.ResponseWriter, r *http.Request) error {
	asset, vulnID, ok := parseFindingID(chi.URLParam(r, "id"))
	if !ok {
		return fault.New(fault.CodeNotFound, "there is no such finding")
	}
	found, err := s.Findings.Finding(r.Context(), caller(r), asset, vulnID)
	if err != nil {
		return err
	}
	return answerTagged(w, r, finding(&found))
}

func finding(f *inventory.Finding) api.Finding {
	out := api.Finding{
		ID: findingID(f.AssetID, f.VulnID), AssetID: assetID(f.AssetID), IntegrationID: integrationID(f.IntegrationPublic), Hostname: f.Hostname,
		PrimaryIP: addressText(f.PrimaryIP), VulnerabilityID: f.Vulnerability, Title: orElse(strings.TrimSpace(f.Title), f.Vulnerability),
		State: api.FindingState(wordFor(findingStates, f.State)), StateReason: f.StateReason,
		Severity:       api.Severity(wordFor(severities, f.Severity)),
		SeveritySource: api.SeveritySource(wordFor(severitySources, f.Source)),
		AttackVector:   api.AttackVector(wordFor(vectors, f.AttackVector)),
		FirstSeenAt:    orOurs(f.FirstSeenAt, f.CreatedAt), LastSeenAt: orOurs(f.LastSeenAt, f.UpdatedAt), FixedAt: f.FixedAt,
		ReopenedAt: f.ReopenedAt, ReopenedCount: f.ReopenCount, Detail: detailLevel(f.Partial), Instances: each(f.Instances, instance),
		CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt,
	}
	for i := range f.Instances {
		out.FixAvailable = out.FixAvailable || fixAvailable(&f.Instances[i])
	}
	if status := inventory.PGPRiskStatus(f.Severity, f.State); status != "" {
		out.PGP = &api.PGPRisk{
			Key: inventory.PGPRiskKey(f.Hostname, f.Vulnerability), Name: inventory.PGPRiskName(f.Vulnerability), Status: status,
			Priority: inventory.PGPPriority(f.Severity),
		}
	}
	return out
}

// orOurs stands in for a time the source did not give: the one at which we learned of it.
func orOurs(told, ours time.Time) time.Time {
	if told.IsZero() {
		return ours
	}
	return told
}

// fixAvailable is the same rule as the filter's: an update is named or said to be ready.
func fixAvailable(i *inventory.Instance) bool {
	return i.UpdateID != "" || i.UpdateText != "" || i.UpdateReady != nil && *i.UpdateReady
}

func instance(i *inventory.Instance) api.Instance {
	out := api.Instance{
		Vendor: i.Vendor, Product: i.Product, Version: i.Version, Paths: listed(i.DiskPaths), RegistryKeys: listed(i.RegistryPaths),
	}
	if i.UpdateID != "" || i.UpdateText != "" || i.UpdateURL != "" {
		out.KB = &api.SecurityUpdate{ID: i.UpdateID, Title: i.UpdateText, URL: i.UpdateURL}
	}
	return out
}
