package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// SecurityUpdate is an update that fixes a vulnerability.
type SecurityUpdate struct {
	ID    string `json:"id,omitempty"`
	Title string `json:"title,omitempty"`
	URL   string `json:"url,omitempty"`
}

// Instance is a piece of software on the asset that has the vulnerability.
type Instance struct {
	Vendor       string          `json:"vendor"`
	Product      string          `json:"product"`
	Version      string          `json:"version"`
	Paths        []string        `json:"paths"`
	RegistryKeys []string        `json:"registry_keys"`
	KB           *SecurityUpdate `json:"kb,omitempty"`
}

// PGPRisk is a finding as PGP stores it. Status is state and severity, such as TH.
type PGPRisk struct {
	Key      string `json:"key"`
	Name     string `json:"name"`
	Status   string `json:"status"`
	Priority int    `json:"priority"`
}

// Finding is a vulnerability on an asset. StateReason says why it is out of scope. PGP is nil when it is not sent there.
type Finding struct {
	ID              string         `json:"id"`
	AssetID         string         `json:"asset_id"`
	IntegrationID   string         `json:"integration_id"`
	Hostname        string         `json:"hostname"`
	PrimaryIP       string         `json:"primary_ip"`
	VulnerabilityID string         `json:"vulnerability_id"`
	Title           string         `json:"title"`
	State           FindingState   `json:"state"`
	StateReason     string         `json:"state_reason,omitempty"`
	Severity        Severity       `json:"severity"`
	SeveritySource  SeveritySource `json:"severity_source"`
	AttackVector    AttackVector   `json:"attack_vector"`
	FirstSeenAt     time.Time      `json:"first_seen_at"`
	LastSeenAt      time.Time      `json:"last_seen_at"`
	FixedAt         time.Time      `json:"fixed_at,omitzero"`
	ReopenedAt      time.Time      `json:"reopened_at,omitzero"`
	ReopenedCount   int            `json:"reopened_count"`
	FixAvailable    bool           `json:"fix_available"`
	Detail          DetailLevel    `json:"detail"`
	Instances       []Instance     `json:"instances"`
	PGP             *PGPRisk       `json:"pgp,omitempty"`
	CreatedAt       time.Time      `json:"created_at"`
	UpdatedAt       time.Time      `json:"updated_at"`
}

// ListFindingsOptions filter and sort findings. The zero value filters nothing and puts the most severe first.
// IntegrationID and AssetID are ignored by ListAssetFindings.
type ListFindingsOptions struct {
	IntegrationID   []string
	AssetID         []string
	State           []FindingState
	Severity        []Severity
	VulnerabilityID []string
	Product         []string
	FixAvailable    *bool
	FirstSeenGTE    time.Time // at or after
	FirstSeenLT     time.Time // before
	Sort            string    // severity or first_seen_at; "-" in front reverses
	PageOptions
}

func (o ListFindingsOptions) query() query {
	q := newQuery()
	addAll(q, "state", o.State)
	addAll(q, "severity", o.Severity)
	addAll(q, "vulnerability_id", o.VulnerabilityID)
	addAll(q, "product", o.Product)
	q.flag("fix_available", o.FixAvailable)
	q.time("first_seen_gte", o.FirstSeenGTE)
	q.time("first_seen_lt", o.FirstSeenLT)
	q.text("sort", o.Sort)
	q.page(o.PageOptions)
	return q
}

// ListFindings reads one page of findings. Role: readonly.
func (c *Client) ListFindings(ctx context.Context, o ListFindingsOptions) (*Page[Finding], error) {
	return send[Page[Finding]](ctx, c, call{method: http.MethodGet, path: "/v1/findings", query: o.everywhere()})
}

// everywhere is the query of the list that is not confined to one asset.
func (o ListFindingsOptions) everywhere() query {
	q := o.query()
	addAll(q, "integration_id", o.IntegrationID)
	addAll(q, "asset_id", o.AssetID)
	return q
}

// AllFindings yields the findings of all pages from o.Cursor on; an error ends it.
func (c *Client) AllFindings(ctx context.Context, o ListFindingsOptions) iter.Seq2[Finding, error] {
	return walk(o.Cursor, func(cursor string) (*Page[Finding], error) {
		o.Cursor = cursor
		return c.ListFindings(ctx, o)
	})
}

// ListAssetFindings reads one page of the findings on one asset. Role: readonly.
func (c *Client) ListAssetFindings(ctx context.Context, assetID string, o ListFindingsOptions) (*Page[Finding], error) {
	return send[Page[Finding]](ctx, c, call{method: http.MethodGet, path: path("/v1/assets/%s/findings", assetID), query: o.query()})
}

// AllAssetFindings yields the findings of all pages from o.Cursor on; an error ends it.
func (c *Client) AllAssetFindings(ctx context.Context, assetID string, o ListFindingsOptions) iter.Seq2[Finding, error] {
	return walk(o.Cursor, func(cursor string) (*Page[Finding], error) {
		o.Cursor = cursor
		return c.ListAssetFindings(ctx, assetID, o)
	})
}

// GetFinding reads a finding. Role: readonly.
func (c *Client) GetFinding(ctx context.Context, id string) (*Finding, error) {
	return get[Finding](ctx, c, path("/v1/findings/%s", id))
}
