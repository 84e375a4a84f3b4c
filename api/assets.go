package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Address is a usable address of an asset. Up is nil if the interface's state is unknown.
type Address struct {
	IP            string       `json:"ip"`
	MAC           string       `json:"mac,omitempty"`
	Scope         AddressScope `json:"scope"`
	InterfaceType string       `json:"interface_type,omitempty"`
	Up            *bool        `json:"up,omitempty"`
}

// OperatingSystem is what an asset runs.
type OperatingSystem struct {
	Platform  string   `json:"platform"`
	Family    OSFamily `json:"family"`
	Version   string   `json:"version,omitempty"`
	Build     *int64   `json:"build,omitempty"`
	Arch      string   `json:"arch,omitempty"`
	Processor string   `json:"processor,omitempty"`
}

// CloudInstance is the virtual machine in a cloud that an asset is.
type CloudInstance struct {
	Provider   string `json:"provider"`
	ResourceID string `json:"resource_id,omitempty"`
	Account    string `json:"account,omitempty"`
}

// SeverityCounts counts by severity.
type SeverityCounts struct {
	Total    int64 `json:"total"`
	Critical int64 `json:"critical"`
	High     int64 `json:"high"`
	Medium   int64 `json:"medium"`
	Low      int64 `json:"low"`
	Unknown  int64 `json:"unknown"`
}

// PGPAsset is an asset as PGP stores it. TTL is the Unix time in seconds at which PGP drops it.
type PGPAsset struct {
	Key           string         `json:"key"`
	Status        PGPAssetStatus `json:"status"`
	AttackSurface []Surface      `json:"attack_surface"`
	TTL           *int64         `json:"ttl,omitempty"`
}

// Asset is an endpoint that Defender manages. PrimaryIP stands for it in PGP; EgressIP is that of a NAT or proxy, never its own.
type Asset struct {
	ID                     string           `json:"id"`
	IntegrationID          string           `json:"integration_id"`
	SourceID               string           `json:"source_id"`
	Hostname               string           `json:"hostname"`
	HostnameRaw            string           `json:"hostname_raw"`
	NameKind               NameKind         `json:"name_kind"`
	PreviousHostnames      []string         `json:"previous_hostnames"`
	PrimaryIP              string           `json:"primary_ip"`
	Addresses              []Address        `json:"addresses"`
	EgressIP               string           `json:"egress_ip,omitempty"`
	OS                     OperatingSystem  `json:"os"`
	HealthStatus           string           `json:"health_status"`
	OnboardingStatus       string           `json:"onboarding_status,omitempty"`
	FirstSeenAt            time.Time        `json:"first_seen_at,omitzero"`
	LastSeenAt             time.Time        `json:"last_seen_at,omitzero"`
	State                  AssetState       `json:"state"`
	StateReason            string           `json:"state_reason,omitempty"`
	MergedInto             string           `json:"merged_into,omitempty"`
	MissingSince           time.Time        `json:"missing_since,omitzero"`
	ImportState            AssetImportState `json:"import_state"`
	RiskScore              string           `json:"risk_score,omitempty"`
	ExposureLevel          string           `json:"exposure_level,omitempty"`
	DeviceValue            string           `json:"device_value,omitempty"`
	RBACGroupID            string           `json:"rbac_group_id,omitempty"`
	RBACGroupName          string           `json:"rbac_group_name,omitempty"`
	MachineTags            []string         `json:"machine_tags"`
	AADDeviceID            string           `json:"aad_device_id,omitempty"`
	IsAADJoined            *bool            `json:"is_aad_joined,omitempty"`
	AgentVersion           string           `json:"agent_version,omitempty"`
	ManagedBy              string           `json:"managed_by,omitempty"`
	ManagedByStatus        string           `json:"managed_by_status,omitempty"`
	Cloud                  *CloudInstance   `json:"cloud,omitempty"`
	IsPotentialDuplication bool             `json:"is_potential_duplication"`
	Surface                []Surface        `json:"surface"`
	FindingCounts          SeverityCounts   `json:"finding_counts"`
	PGP                    PGPAsset         `json:"pgp"`
	CreatedAt              time.Time        `json:"created_at"`
	UpdatedAt              time.Time        `json:"updated_at"`
}

// ListAssetsOptions filter and sort assets. The zero value filters nothing and sorts by host name.
type ListAssetsOptions struct {
	IntegrationID []string
	Hostname      []string
	IP            []string
	OSFamily      []OSFamily
	State         []AssetState
	Surface       []Surface
	Tag           []string
	DeviceGroup   []string
	LastSeenGTE   time.Time  // at or after
	LastSeenLT    time.Time  // before
	Severity      []Severity // of an open finding
	Q             string     // beginnings of words of the host name, or of an address
	Sort          string     // hostname, last_seen_at or created_at; "-" in front reverses
	PageOptions
}

func (o ListAssetsOptions) query() query {
	q := newQuery()
	addAll(q, "integration_id", o.IntegrationID)
	addAll(q, "hostname", o.Hostname)
	addAll(q, "ip", o.IP)
	addAll(q, "os_family", o.OSFamily)
	addAll(q, "state", o.State)
	addAll(q, "surface", o.Surface)
	addAll(q, "tag", o.Tag)
	addAll(q, "device_group", o.DeviceGroup)
	q.time("last_seen_gte", o.LastSeenGTE)
	q.time("last_seen_lt", o.LastSeenLT)
	addAll(q, "severity", o.Severity)
	q.text("q", o.Q)
	q.text("sort", o.Sort)
	q.page(o.PageOptions)
	return q
}

// ListAssets reads one page of assets. Role: readonly.
func (c *Client) ListAssets(ctx context.Context, o ListAssetsOptions) (*Page[Asset], error) {
	return send[Page[Asset]](ctx, c, call{method: http.MethodGet, path: "/v1/assets", query: o.query()})
}

// AllAssets yields the assets of all pages from o.Cursor on; an error ends it.
func (c *Client) AllAssets(ctx context.Context, o ListAssetsOptions) iter.Seq2[Asset, error] {
	return walk(o.Cursor, func(cursor string) (*Page[Asset], error) {
		o.Cursor = cursor
		return c.ListAssets(ctx, o)
	})
}

// GetAsset reads an asset. Role: readonly.
func (c *Client) GetAsset(ctx context.Context, id string) (*Asset, error) {
	return get[Asset](ctx, c, path("/v1/assets/%s", id))
}
