package api

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"time"
)

// CVSS is a CVSS rating. Version is that of the vector.
type CVSS struct {
	Score   float64 `json:"score"`
	Vector  string  `json:"vector,omitempty"`
	Version string  `json:"version,omitempty"`
}

// Exploit is what is known about exploits.
type Exploit struct {
	Public   bool     `json:"public"`
	Verified bool     `json:"verified"`
	InKit    bool     `json:"in_kit"`
	Types    []string `json:"types"`
	URIs     []string `json:"uris"`
}

// Definition is the text that PGP shows. If Generated, impact and recommendation were composed from facts that Microsoft states.
type Definition struct {
	Description    string   `json:"description"`
	Impact         string   `json:"impact"`
	Recommendation string   `json:"recommendation"`
	References     []string `json:"references"`
	Generated      bool     `json:"generated"`
}

// Vulnerability is a weakness that at least one finding refers to. Definition is there only when it is read alone.
type Vulnerability struct {
	ID            string       `json:"id"`
	Title         string       `json:"title"`
	Description   string       `json:"description,omitempty"`
	Severity      Severity     `json:"severity"`
	CVSS          *CVSS        `json:"cvss,omitempty"`
	AttackVector  AttackVector `json:"attack_vector"`
	EPSS          *float64     `json:"epss,omitempty"`
	Exploit       Exploit      `json:"exploit"`
	PublishedAt   time.Time    `json:"published_at,omitzero"`
	UpdatedAt     time.Time    `json:"updated_at,omitzero"`
	ExposedAssets int64        `json:"exposed_assets"`
	Detail        DetailLevel  `json:"detail"`
	Definition    *Definition  `json:"definition,omitempty"`
}

// ListVulnerabilitiesOptions filter and sort vulnerabilities. The zero value filters nothing and puts the most severe first.
type ListVulnerabilitiesOptions struct {
	Severity     []Severity
	AttackVector []AttackVector
	Exploit      *bool     // whether any exploit is known
	EPSSGTE      *float64  // at least, 0 to 1
	PublishedGTE time.Time // at or after
	PublishedLT  time.Time // before
	Q            string    // beginnings of words of id, title or description
	Sort         string    // severity, epss, published_at, exposed_assets or id; "-" in front reverses
	PageOptions
}

func (o ListVulnerabilitiesOptions) query() query {
	q := newQuery()
	addAll(q, "severity", o.Severity)
	addAll(q, "attack_vector", o.AttackVector)
	q.flag("exploit", o.Exploit)
	if o.EPSSGTE != nil {
		q.text("epss_gte", strconv.FormatFloat(*o.EPSSGTE, 'f', -1, 64))
	}
	q.time("published_gte", o.PublishedGTE)
	q.time("published_lt", o.PublishedLT)
	q.text("q", o.Q)
	q.text("sort", o.Sort)
	q.page(o.PageOptions)
	return q
}

// ListVulnerabilities reads one page of vulnerabilities. Role: readonly.
func (c *Client) ListVulnerabilities(ctx context.Context, o ListVulnerabilitiesOptions) (*Page[Vulnerability], error) {
	return send[Page[Vulnerability]](ctx, c, call{method: http.MethodGet, path: "/v1/vulnerabilities", query: o.query()})
}

// AllVulnerabilities yields the vulnerabilities of all pages from o.Cursor on; an error ends it.
func (c *Client) AllVulnerabilities(ctx context.Context, o ListVulnerabilitiesOptions) iter.Seq2[Vulnerability, error] {
	return walk(o.Cursor, func(cursor string) (*Page[Vulnerability], error) {
		o.Cursor = cursor
		return c.ListVulnerabilities(ctx, o)
	})
}

// GetVulnerability reads a vulnerability by its CVE-… or TVM-… name. Role: readonly.
func (c *Client) GetVulnerability(ctx context.Context, id string) (*Vulnerability, error) {
	return get[Vulnerability](ctx, c, path("/v1/vulnerabilities/%s", id))
}

// ListVulnerabilityAssetsOptions filter and sort the assets of a vulnerability.
type ListVulnerabilityAssetsOptions struct {
	IntegrationID []string
	Sort          string // as in ListAssetsOptions
	PageOptions
}

// ListVulnerabilityAssets reads one page of the assets on which a vulnerability is open. Role: readonly.
func (c *Client) ListVulnerabilityAssets(ctx context.Context, id string, o ListVulnerabilityAssetsOptions) (*Page[Asset], error) {
	q := newQuery()
	addAll(q, "integration_id", o.IntegrationID)
	q.text("sort", o.Sort)
	q.page(o.PageOptions)
	return send[Page[Asset]](ctx, c, call{method: http.MethodGet, path: path("/v1/vulnerabilities/%s/assets", id), query: q})
}

// AllVulnerabilityAssets yields the assets of all pages from o.Cursor on; an error ends it.
func (c *Client) AllVulnerabilityAssets(ctx context.Context, id string, o ListVulnerabilityAssetsOptions) iter.Seq2[Asset, error] {
	return walk(o.Cursor, func(cursor string) (*Page[Asset], error) {
		o.Cursor = cursor
		return c.ListVulnerabilityAssets(ctx, id, o)
	})
}
