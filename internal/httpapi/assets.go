package httpapi

import (
	"context"
	"net/http"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/inventory"
)

var assetFilters = []string{
	"integration_id", "hostname", "ip", "os_family", "state", "surface", "tag", "device_group", "last_seen_gte", "last_seen_lt",
	"severity", "q", "sort", "limit", "cursor",
}

func (s *server) listAssets(w http.ResponseWriter, r *http.Request) error {
	p := readQuery(r)
	f := inventory.AssetFilter{
		Integrations: p.ids("integration_id", integrationPrefix), Hostnames: p.texts("hostname", 253), IPs: p.addresses("ip"),
		States: chosen(p, "state", assetStates), Tags: p.texts("tag", 200), DeviceGroups: p.texts("device_group", 200),
		LastSeenFrom: p.time("last_seen_gte"), LastSeenBefore: p.time("last_seen_lt"), Severities: chosen(p, "severity", severities),
		Text: p.text("q", 2, 100),
	}
	for _, families := range chosen(p, "os_family", osFamilies) {
		f.OSFamilies = append(f.OSFamilies, families...)
	}
	chosen(p, "surface", surfaces) // everything is internal, so this selects everything
	if wantsLines(r) {
		return s.streamAssets(w, r, p, f)
	}
	return s.answerAssets(w, r, p, f)
}

func (s *server) streamAssets(w http.ResponseWriter, r *http.Request, p *params, f inventory.AssetFilter) error {
	return s.answerLines(w, r, p, func(ctx context.Context, l *lines) error {
		list := func(ctx context.Context, page inventory.PageRequest) ([]inventory.Asset, inventory.Position, error) {
			return s.Assets.ListAssets(ctx, caller(r), f, page)
		}
		now := s.Now()
		return eachPage(ctx, "created_at", list, func(page []inventory.Asset) error {
			return addAll(l, page, func(a *inventory.Asset) api.Asset { return asset(a, now) })
		})
	})
}

func (s *server) listVulnerabilityAssets(w http.ResponseWriter, r *http.Request) error {
	name, err := pathVulnerability(r)
	if err != nil {
		return err
	}
	v, err := s.Vulnerabilities.Vulnerability(r.Context(), caller(r), name)
	if err != nil {
		return err
	}
	p := readQuery(r)
	return s.answerAssets(w, r, p, inventory.AssetFilter{Integrations: p.ids("integration_id", integrationPrefix), VulnID: v.ID})
}

func (s *server) answerAssets(w http.ResponseWriter, r *http.Request, p *params, f inventory.AssetFilter) error {
	request, err := s.paging(r, p, p.sorting(inventory.AssetSorts, "hostname"))
	if err != nil {
		return err
	}
	assets, end, err := s.Assets.ListAssets(r.Context(), caller(r), f, request)
	if err != nil {
		return err
	}
	now := s.Now()
	return answerPage(s, w, r, assets, end, func(a *inventory.Asset) api.Asset { return asset(a, now) })
}

func (s *server) getAsset(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, assetPrefix, "asset")
	if err != nil {
		return err
	}
	found, err := s.Assets.Asset(r.Context(), caller(r), id)
	if err != nil {
		return err
	}
	return answerTagged(w, r, asset(&found, s.Now()))
}
