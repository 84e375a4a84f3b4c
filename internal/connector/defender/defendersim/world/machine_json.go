package world

import (
	"strings"
)

// AppendJSON writes the record as GET /api/machines does, without the closing brace so that callers can add members.
func (m *Machine) AppendJSON(b []byte) []byte {
	b = appendKey(append(b, '{'), 0, "id", m.ID)
	b = appendKey(b, ',', "mergedIntoMachineId", m.MergedInto)
	b = appendBool(b, "isPotentialDuplication", m.PotentialDuplication)
	b = appendBool(b, "isExcluded", m.Excluded)
	b = appendKey(b, ',', "exclusionReason", m.ExclusionReason)
	b = appendKey(b, ',', "computerDnsName", m.DNSName)
	b = appendKey(b, ',', "firstSeen", m.FirstSeen)
	b = appendKey(b, ',', "lastSeen", m.LastSeen)
	b = appendKey(b, ',', "osPlatform", m.Platform)
	b = append(b, `,"osVersion":null`...)
	b = appendKey(b, ',', "osProcessor", m.Processor)
	b = appendKey(b, ',', "version", m.Version)
	b = appendKey(b, ',', "lastIpAddress", m.LastIP)
	b = appendKey(b, ',', "lastExternalIpAddress", m.ExternalIP)
	b = appendKey(b, ',', "agentVersion", m.Agent)
	if m.Build < 0 {
		b = append(b, `,"osBuild":null`...)
	} else {
		b = appendInt(b, "osBuild", m.Build)
	}
	b = appendKey(b, ',', "healthStatus", m.Health)
	b = appendKey(b, ',', "deviceValue", m.Value)
	b = appendInt(b, "rbacGroupId", m.Group)
	b = appendKey(b, ',', "rbacGroupName", m.GroupName)
	b = appendKey(b, ',', "riskScore", m.Risk)
	b = appendKey(b, ',', "exposureLevel", m.Exposure)
	return m.appendManagement(b)
}

func (m *Machine) appendManagement(b []byte) []byte {
	b = appendRaw(b, "isAadJoined", m.AADJoined)
	b = appendKey(b, ',', "aadDeviceId", m.AADDevice)
	b = appendStrings(appendName(b, ',', "machineTags"), m.Tags)
	b = appendKey(b, ',', "defenderAvStatus", m.AVStatus)
	b = appendKey(b, ',', "onboardingStatus", m.Onboarding)
	b = appendKey(b, ',', "osArchitecture", m.Arch)
	b = appendKey(b, ',', "managedBy", m.ManagedBy)
	b = appendKey(b, ',', "managedByStatus", m.ManagedOK)
	b = append(appendName(b, ',', "ipAddresses"), '[')
	for i, a := range m.Addresses {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendKey(append(b, '{'), 0, "ipAddress", a.IP)
		b = appendKey(b, ',', "macAddress", a.MAC)
		b = appendKey(b, ',', "type", a.Type)
		b = append(appendKey(b, ',', "operationalStatus", a.Status), '}')
	}
	return appendRaw(append(b, ']'), "vmMetadata", m.VM)
}

// appendRaw writes a member whose value is JSON already.
func appendRaw(b []byte, key, value string) []byte {
	if value == Absent {
		return b
	}
	b = appendName(b, ',', key)
	if value == Null {
		return append(b, "null"...)
	}
	return append(b, value...)
}

// Field returns the value a $filter compares, by its lower-case property name; false when the property is not filterable.
func (m *Machine) Field(name string) (any, bool) {
	texts := map[string]string{
		"computerdnsname": m.DNSName, "id": m.ID, "version": m.Version, "devicevalue": m.Value, "aaddeviceid": m.AADDevice,
		"exposurelevel": m.Exposure, "onboardingstatus": m.Onboarding, "lastipaddress": m.LastIP,
		"healthstatus": m.Health, "osplatform": m.Platform, "riskscore": m.Risk,
	}
	if text, ok := texts[name]; ok {
		return plain(text), true
	}
	switch name {
	case "lastseen":
		return m.lastSeen, true
	case "rbacgroupid":
		return float64(m.Group), true
	case "machinetags":
		return m.Tags, true
	}
	return nil, false
}

// HasName tells whether name is the machine's DNS name, compared without case.
func (m *Machine) HasName(name string) bool { return strings.EqualFold(m.DNSName, name) }

// AppendReference writes the short form of GET /api/vulnerabilities/{id}/machineReferences.
func (m *Machine) AppendReference(b []byte) []byte {
	b = appendKey(append(b, '{'), 0, "id", m.ID)
	b = appendKey(b, ',', "computerDnsName", m.DNSName)
	b = appendKey(b, ',', "osPlatform", m.Platform)
	return append(appendKey(b, ',', "rbacGroupName", m.GroupName), '}')
}
