package inventory

import "time"

// TextCut warns that a text of the machine was too long or not fit for storage, and was shortened or cleaned.
const TextCut = "text_cut"

// describe copies what a machine says about itself into an asset, cleaned for storage. Name, addresses and family are
// the caller's, who judged them.
func (j *Judge) describe(m *Machine) Asset {
	var c cleaner
	a := Asset{
		SourceID: CanonicalID(m.SourceID), HostnameRaw: c.text(m.DNSName, maxName),
		EgressIP: egressAddress(m.LastExternalIP),
		OS: OS{
			Platform: c.text(m.Platform, maxWord), Version: c.text(m.Version, maxWord), Build: max(m.Build, 0),
			Architecture: c.text(m.Architecture, maxWord), Processor: c.text(m.Processor, maxWord),
		},
		Health: c.text(m.Health, maxWord), Onboarding: c.text(m.Onboarding, maxWord),
		RiskScore: c.text(m.RiskScore, maxWord), ExposureLevel: c.text(m.ExposureLevel, maxWord),
		DeviceValue: c.text(m.DeviceValue, maxWord),
		GroupID:     m.GroupID, GroupName: c.text(m.GroupName, maxName), Tags: c.tags(m.Tags),
		AADDeviceID: c.text(m.AADDeviceID, maxWord), AADJoined: m.AADJoined,
		AgentVersion: c.text(m.AgentVersion, maxWord),
		ManagedBy:    c.text(m.ManagedBy, maxWord), ManagedByStatus: c.text(m.ManagedByStatus, maxWord),
		Cloud: c.cloud(m.Cloud), PotentialDup: m.PotentialDuplicate,
		FirstSeen: trusted(m.FirstSeen), LastSeen: trusted(m.LastSeen),
		State: j.state(m), Import: Imported,
	}
	if c.lost {
		a.Warnings = append(a.Warnings, TextCut)
	}
	return a
}

// state of a machine that passed every rule.
func (j *Judge) state(m *Machine) AssetState {
	if isHealthy(m.Health) && seenWithin(m.LastSeen, j.now, ActiveWithin) {
		return AssetActive
	}
	return AssetInactive
}

func isHealthy(health string) bool { return fold(health) == "active" }

// seenWithin is false when it is not known when the machine was seen. A time ahead of us is a clock's error, not age.
func seenWithin(seen, now time.Time, span time.Duration) bool {
	seen = trusted(seen)
	return !seen.IsZero() && now.Sub(seen) <= span
}

func (c *cleaner) cloud(reported *Cloud) *Cloud {
	if reported == nil {
		return nil
	}
	clean := Cloud{
		Provider: c.text(reported.Provider, maxWord), ResourceID: c.text(reported.ResourceID, maxPath),
		Account: c.text(reported.Account, maxWord), VMID: c.text(reported.VMID, maxWord),
	}
	if clean == (Cloud{}) {
		return nil
	}
	return &clean
}
