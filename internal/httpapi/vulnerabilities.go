package httpapi

import (
	"context"
	"net/http"
	"strings"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/inventory"
)

var vulnerabilityFilters = []string{
	"severity", "attack_vector", "exploit", "epss_gte", "published_gte", "published_lt", "q", "sort", "limit", "cursor",
}

func (s *server) listVulnerabilities(w http.ResponseWriter, r *http.Request) error {
	p := readQuery(r)
	f := inventory.VulnerabilityFilter{
		Severities: chosen(p, "severity", severities), Vectors: chosen(p, "attack_vector", vectors), Exploit: p.flag("exploit"),
		EPSSFrom: p.fraction("epss_gte"), PublishedFrom: p.time("published_gte"), PublishedBefore: p.time("published_lt"), Text: p.text("q", 2, 100),
	}
	if wantsLines(r) {
		return s.streamVulnerabilities(w, r, p, f)
	}
	request, err := s.paging(r, p, p.sorting(inventory.VulnerabilitySorts, "severity", "severity"))
	if err != nil {
		return err
	}
	found, end, err := s.Vulnerabilities.ListVulnerabilities(r.Context(), caller(r), f, request)
	if err != nil {
		return err
	}
	return answerPage(s, w, r, found, end, vulnerability)
}

func (s *server) streamVulnerabilities(w http.ResponseWriter, r *http.Request, p *params, f inventory.VulnerabilityFilter) error {
	return s.answerLines(w, r, p, func(ctx context.Context, l *lines) error {
		list := func(ctx context.Context, page inventory.PageRequest) ([]inventory.ExposedVulnerability, inventory.Position, error) {
			return s.Vulnerabilities.ListVulnerabilities(ctx, caller(r), f, page)
		}
		return eachPage(ctx, "id", list, func(page []inventory.ExposedVulnerability) error { return addAll(l, page, vulnerability) })
	})
}

func (s *server) getVulnerability(w http.ResponseWriter, r *http.Request) error {
	name, err := pathVulnerability(r)
	if err != nil {
		return err
	}
	found, err := s.Vulnerabilities.Vulnerability(r.Context(), caller(r), name)
	if err != nil {
		return err
	}
	out := vulnerability(&found)
	text := inventory.Define(&found.Vulnerability, found.Updates)
	out.Definition = &api.Definition{
		Description: text.Description, Impact: text.Impact, Recommendation: text.Recommendation, References: listed(text.References),
		Generated: text.Generated,
	}
	return answerTagged(w, r, out)
}

func vulnerability(v *inventory.ExposedVulnerability) api.Vulnerability {
	out := api.Vulnerability{
		ID: v.Name, Title: inventory.Title(&v.Vulnerability), Description: v.Description,
		Severity:     api.Severity(wordFor(severities, v.Severity)),
		AttackVector: api.AttackVector(wordFor(vectors, v.AttackVector)),
		Exploit: api.Exploit{
			Public: v.PublicExploit, Verified: v.ExploitVerified, InKit: v.ExploitInKit, Types: listed(v.ExploitTypes), URIs: listed(v.ExploitURIs),
		},
		PublishedAt: v.PublishedAt, UpdatedAt: v.UpdatedAt, ExposedAssets: int64(v.ExposedAssets), Detail: detailLevel(v.Partial),
	}
	if v.Score >= 0 {
		out.CVSS = &api.CVSS{Score: v.Score, Vector: v.Vector, Version: cvssVersion(v.Vector)}
	}
	if v.EPSS >= 0 {
		out.EPSS = &v.EPSS
	}
	return out
}

func detailLevel(partial bool) api.DetailLevel {
	if partial {
		return api.DetailPartial
	}
	return api.DetailFull
}

// cvssVersion reads the version that a vector names. Vectors of version 2 name none.
func cvssVersion(vector string) string {
	if vector == "" {
		return ""
	}
	rest, ok := strings.CutPrefix(strings.ToUpper(vector), "CVSS:")
	if !ok {
		return "2.0"
	}
	version, _, _ := strings.Cut(rest, "/")
	return version
}
