package postgres

import (
	"crypto/sha256"
	"encoding/json"
	"net/netip"

	"pgp.internal/defender/internal/inventory"
)

// sourceColumns are the columns of an asset that come from the source, in the order in which writeAsset sends them. The
// times of sighting come last and are no part of the content hash.
const sourceColumns = `hostname, hostname_raw, name_kind, primary_ip, addresses, egress_ip, os_platform, os_family, os_version, os_build,
	os_architecture, os_processor, health, onboarding, risk_score, exposure_level, device_value, group_id, group_name, tags,
	aad_device_id, aad_joined, agent_version, managed_by, managed_by_status, cloud, potential_duplicate, warnings, state, content_hash,
	first_seen_at, last_seen_at`

const sourceColumnTypes = `hostname text, hostname_raw text, name_kind text, primary_ip inet, addresses jsonb, egress_ip inet,
	os_platform text, os_family text, os_version text, os_build bigint, os_architecture text, os_processor text, health text, onboarding text,
	risk_score text, exposure_level text, device_value text, group_id bigint, group_name text, tags text[], aad_device_id text,
	aad_joined boolean, agent_version text, managed_by text, managed_by_status text, cloud jsonb, potential_duplicate boolean, warnings text[],
	state text, content_hash bytea, first_seen_at timestamptz, last_seen_at timestamptz`

// addressDocument and cloudDocument are the shapes inside the jsonb columns.
type addressDocument struct {
	IP    netip.Addr `json:"ip"`
	MAC   string     `json:"mac,omitempty"`
	Scope string     `json:"scope"`
	Type  string     `json:"type,omitempty"`
	Up    bool       `json:"up"`
}

type cloudDocument struct {
	Provider   string `json:"provider"`
	ResourceID string `json:"resource_id,omitempty"`
	Account    string `json:"account,omitempty"`
	VMID       string `json:"vm_id,omitempty"`
}

// writeAsset sends the columns of sourceColumns. The content hash is taken over the very text that is sent.
func writeAsset(w *copyWriter, a *inventory.Asset) error {
	addresses := make([]addressDocument, len(a.Addresses))
	for i, d := range a.Addresses {
		addresses[i] = addressDocument{IP: d.IP, MAC: d.MAC, Scope: d.Scope, Type: d.InterfaceType, Up: d.Up}
	}
	addressText, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	var cloudText []byte
	if c := a.Cloud; c != nil {
		if cloudText, err = json.Marshal(cloudDocument{c.Provider, c.ResourceID, c.Account, c.VMID}); err != nil {
			return err
		}
	}
	start := len(w.buf)
	w.text(a.Hostname)
	w.text(a.HostnameRaw)
	w.text(string(a.NameKind))
	w.text(a.PrimaryIP.String())
	w.text(string(addressText))
	w.optionalText(addrText(a.EgressIP))
	for _, s := range []string{a.OS.Platform, a.OS.Family, a.OS.Version} {
		w.text(s)
	}
	w.int(a.OS.Build)
	for _, s := range []string{a.OS.Architecture, a.OS.Processor, a.Health, a.Onboarding, a.RiskScore, a.ExposureLevel, a.DeviceValue} {
		w.text(s)
	}
	w.int(a.GroupID)
	w.text(a.GroupName)
	w.strings(a.Tags)
	w.text(a.AADDeviceID)
	w.optionalBool(a.AADJoined)
	for _, s := range []string{a.AgentVersion, a.ManagedBy, a.ManagedByStatus} {
		w.text(s)
	}
	w.optionalText(string(cloudText))
	w.bool(a.PotentialDup)
	w.strings(a.Warnings)
	hash := sha256.Sum256(w.buf[start:])
	w.text(string(a.State))
	w.bytes(hash[:16])
	w.time(a.FirstSeen)
	w.time(a.LastSeen)
	return nil
}

// optionalText writes the empty text as NULL.
func (w *copyWriter) optionalText(v string) {
	if v == "" {
		w.null()
		return
	}
	w.text(v)
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
