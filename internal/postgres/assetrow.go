package postgres

import (
	"database/sql"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
)

// assetRow is what assetColumns selects.
type assetRow struct {
	ID                  int64          `db:"id"`
	PublicID            uuid.UUID      `db:"public_id"`
	IntegrationID       int64          `db:"integration_id"`
	IntegrationPublicID uuid.UUID      `db:"integration_public_id"`
	SourceID            string         `db:"source_id"`
	Hostname            string         `db:"hostname"`
	HostnameRaw         string         `db:"hostname_raw"`
	NameKind            string         `db:"name_kind"`
	PreviousHostnames   pq.StringArray `db:"previous_hostnames"`
	PrimaryIP           string         `db:"primary_ip"`
	Addresses           string         `db:"addresses"`
	EgressIP            string         `db:"egress_ip"`
	OSPlatform          string         `db:"os_platform"`
	OSFamily            string         `db:"os_family"`
	OSVersion           string         `db:"os_version"`
	OSBuild             int64          `db:"os_build"`
	OSArchitecture      string         `db:"os_architecture"`
	OSProcessor         string         `db:"os_processor"`
	Health              string         `db:"health"`
	Onboarding          string         `db:"onboarding"`
	RiskScore           string         `db:"risk_score"`
	ExposureLevel       string         `db:"exposure_level"`
	DeviceValue         string         `db:"device_value"`
	GroupID             int64          `db:"group_id"`
	GroupName           string         `db:"group_name"`
	Tags                pq.StringArray `db:"tags"`
	AADDeviceID         string         `db:"aad_device_id"`
	AADJoined           *bool          `db:"aad_joined"`
	AgentVersion        string         `db:"agent_version"`
	ManagedBy           string         `db:"managed_by"`
	ManagedByStatus     string         `db:"managed_by_status"`
	Cloud               sql.NullString `db:"cloud"`
	PotentialDuplicate  bool           `db:"potential_duplicate"`
	Warnings            pq.StringArray `db:"warnings"`
	FirstSeenAt         sql.NullTime   `db:"first_seen_at"`
	LastSeenAt          sql.NullTime   `db:"last_seen_at"`
	State               string         `db:"state"`
	StateReason         string         `db:"state_reason"`
	MergedInto          string         `db:"merged_into"`
	MissingSince        sql.NullTime   `db:"missing_since"`
	ImportState         string         `db:"import_state"`
	OpenCritical        int            `db:"open_critical"`
	OpenHigh            int            `db:"open_high"`
	OpenMedium          int            `db:"open_medium"`
	OpenLow             int            `db:"open_low"`
	OpenUnknown         int            `db:"open_unknown"`
	CreatedAt           time.Time      `db:"created_at"`
	UpdatedAt           time.Time      `db:"updated_at"`
	SortKey             string         `db:"sort_key"`
}

// columns are in the order of assetColumns.
func (r *assetRow) columns() []any {
	return []any{
		&r.ID, &r.PublicID, &r.IntegrationID, &r.IntegrationPublicID, &r.SourceID, &r.Hostname, &r.HostnameRaw, &r.NameKind,
		&r.PreviousHostnames, &r.PrimaryIP, &r.Addresses, &r.EgressIP, &r.OSPlatform, &r.OSFamily, &r.OSVersion, &r.OSBuild, &r.OSArchitecture,
		&r.OSProcessor, &r.Health, &r.Onboarding, &r.RiskScore, &r.ExposureLevel, &r.DeviceValue, &r.GroupID, &r.GroupName, &r.Tags,
		&r.AADDeviceID, &r.AADJoined, &r.AgentVersion, &r.ManagedBy, &r.ManagedByStatus, &r.Cloud, &r.PotentialDuplicate, &r.Warnings,
		&r.FirstSeenAt, &r.LastSeenAt, &r.State, &r.StateReason, &r.MergedInto, &r.MissingSince, &r.ImportState, &r.OpenCritical, &r.OpenHigh, &r.OpenMedium, &r.OpenLow,
		&r.OpenUnknown, &r.CreatedAt, &r.UpdatedAt, &r.SortKey,
	}
}

func (r assetRow) asset() (inventory.Asset, error) {
	a := inventory.Asset{
		ID: r.ID, PublicID: r.PublicID, IntegrationID: r.IntegrationID, IntegrationPublic: r.IntegrationPublicID,
		SourceID: r.SourceID, Hostname: r.Hostname, HostnameRaw: r.HostnameRaw, NameKind: inventory.NameKind(r.NameKind),
		PreviousHostnames: r.PreviousHostnames,
		OS: inventory.OS{Platform: r.OSPlatform, Family: r.OSFamily, Version: r.OSVersion, Build: r.OSBuild,
			Architecture: r.OSArchitecture, Processor: r.OSProcessor},
		Health: r.Health, Onboarding: r.Onboarding, RiskScore: r.RiskScore, ExposureLevel: r.ExposureLevel,
		DeviceValue: r.DeviceValue, GroupID: r.GroupID, GroupName: r.GroupName, Tags: r.Tags,
		AADDeviceID: r.AADDeviceID, AADJoined: r.AADJoined, AgentVersion: r.AgentVersion, ManagedBy: r.ManagedBy,
		ManagedByStatus: r.ManagedByStatus, PotentialDup: r.PotentialDuplicate, Warnings: r.Warnings,
		FirstSeen: utc(r.FirstSeenAt), LastSeen: utc(r.LastSeenAt), State: inventory.AssetState(r.State),
		StateReason: r.StateReason, MergedInto: r.MergedInto, MissingSince: utc(r.MissingSince), Import: inventory.ImportState(r.ImportState),
		Counts: inventory.SeverityCounts{Critical: r.OpenCritical, High: r.OpenHigh, Medium: r.OpenMedium,
			Low: r.OpenLow, Unknown: r.OpenUnknown},
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if err := r.decode(&a); err != nil {
		return inventory.Asset{}, fmt.Errorf("read asset %s: %w", r.PublicID, err)
	}
	return a, nil
}

// decode fills in what the database keeps in another form than the domain does.
func (r assetRow) decode(a *inventory.Asset) (err error) {
	if a.PrimaryIP, err = readAddr(r.PrimaryIP); err != nil {
		return err
	}
	if a.EgressIP, err = readAddr(r.EgressIP); err != nil {
		return err
	}
	if a.Addresses, err = readAddresses(r.Addresses); err != nil {
		return err
	}
	a.Cloud, err = readCloud(r.Cloud.String)
	return err
}

// readAddr reads an address that may be missing.
func readAddr(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(text)
}
