package defender

import (
	"context"
	"errors"
	"net/http"
	"time"

	"pgp.internal/defender/internal/inventory"
)

const (
	pathMachines        = "/api/machines"
	pathVulnerabilities = "/api/vulnerabilities"
	pathRows            = "/api/machines/SoftwareVulnerabilitiesByMachine"
	pathChanges         = "/api/machines/SoftwareVulnerabilityChangesByMachine"
	pathExportFiles     = "/api/machines/SoftwareVulnerabilitiesExport"
	pathMapping         = "/api/vulnerabilities/machinesVulnerabilities"
)

// Machines implements connector.Source. It sends no $top, because the server then pages by itself; with it, it sends no
// next link and the rest would be lost. Offset paging is no snapshot: a machine may come twice or, when the list changes
// meanwhile, not at all. Machines without an id are handed over; judging them is not this package's business. They are
// handed over, by a goroutine that ends before Machines does, while the next page is read.
//
// Machines that reported lately are asked for by a filter on lastSeen, which Microsoft's page "List machines API" names as
// one that can be filtered by.
func (s *source) Machines(ctx context.Context, since time.Time, yield func([]inventory.Machine) error) error {
	r := newRelay(s.conn.cfg.Pages.Batch, yield)
	defer r.close() // should reading panic
	p := &listing[inventory.Machine]{
		scan: newScanner(), record: record[inventory.Machine]{fields: machineFields()},
		keep: func(*inventory.Machine) bool { return true }, yield: r.send, batch: s.conn.cfg.Pages.Batch,
		report: s.malformed(EndpointMachines),
	}
	first := s.conn.api + pathMachines
	if !since.IsZero() {
		first += "?$filter=" + after("lastSeen", since)
	}
	err := s.walk(ctx, EndpointMachines, first, s.conn.cfg.Pages.MaxListBytes, p)
	if consumed := r.end(); err == nil {
		err = consumed
	}
	var f *failure
	if errors.As(err, &f) && f.page == 1 && f.noMachines() {
		return nil
	}
	return toldFault(err)
}

// noMachines recognises the 404 that the API may give instead of an empty list. One that Defender did not write says
// nothing about the directory.
func (f *failure) noMachines() bool {
	var a answer
	return f.status == http.StatusNotFound && errors.As(f.origin, &a) && a.endpoint == EndpointMachines && a.readable
}

func machineFields() fields[inventory.Machine] {
	type machine = inventory.Machine
	text := func(set func(*machine) *string) func(*scanner, *machine) {
		return func(s *scanner, m *machine) { *set(m) = s.text(maxText) }
	}
	interfaces, cloud := &record[inventory.Interface]{fields: interfaceFields()}, &record[inventory.Cloud]{fields: cloudFields()}
	return fields[machine]{
		"id":                     func(s *scanner, m *machine) { m.SourceID = s.id() },
		"mergedintomachineid":    func(s *scanner, m *machine) { m.MergedInto = s.id() },
		"ispotentialduplication": func(s *scanner, m *machine) { m.PotentialDuplicate = s.yes() },
		"isexcluded":             func(s *scanner, m *machine) { m.Excluded = s.yes() },
		"exclusionreason":        text(func(m *machine) *string { return &m.ExclusionReason }),
		"computerdnsname":        text(func(m *machine) *string { return &m.DNSName }),
		"firstseen":              func(s *scanner, m *machine) { m.FirstSeen = s.moment() },
		"lastseen":               func(s *scanner, m *machine) { m.LastSeen = s.moment() },
		"osplatform":             text(func(m *machine) *string { return &m.Platform }),
		"version":                func(s *scanner, m *machine) { m.Version = s.word(maxText) },
		"osbuild":                func(s *scanner, m *machine) { m.Build = s.integer() },
		"osarchitecture":         text(func(m *machine) *string { return &m.Architecture }),
		"osprocessor":            text(func(m *machine) *string { return &m.Processor }),
		"lastipaddress":          text(func(m *machine) *string { return &m.LastIP }),
		"lastexternalipaddress":  text(func(m *machine) *string { return &m.LastExternalIP }),
		"ipaddresses":            func(s *scanner, m *machine) { m.Interfaces = readInterfaces(s, interfaces) },
		"agentversion":           func(s *scanner, m *machine) { m.AgentVersion = s.word(maxText) },
		"healthstatus":           text(func(m *machine) *string { return &m.Health }),
		"onboardingstatus":       text(func(m *machine) *string { return &m.Onboarding }),
		"devicevalue":            text(func(m *machine) *string { return &m.DeviceValue }),
		"rbacgroupid":            func(s *scanner, m *machine) { m.GroupID = s.integer() },
		"rbacgroupname":          text(func(m *machine) *string { return &m.GroupName }),
		"riskscore":              text(func(m *machine) *string { return &m.RiskScore }),
		"exposurelevel":          text(func(m *machine) *string { return &m.ExposureLevel }),
		"isaadjoined":            func(s *scanner, m *machine) { m.AADJoined = optional(s) },
		"aaddeviceid":            text(func(m *machine) *string { return &m.AADDeviceID }),
		"machinetags":            func(s *scanner, m *machine) { m.Tags = s.texts(nil, maxText, nil) },
		"managedby":              text(func(m *machine) *string { return &m.ManagedBy }),
		"managedbystatus":        text(func(m *machine) *string { return &m.ManagedByStatus }),
		"vmmetadata":             func(s *scanner, m *machine) { m.Cloud = readCloud(s, cloud) },
	}
}

func interfaceFields() fields[inventory.Interface] {
	type iface = inventory.Interface
	return fields[iface]{
		"ipaddress":         func(s *scanner, i *iface) { i.Address = s.text(maxText) },
		"macaddress":        func(s *scanner, i *iface) { i.MAC = s.text(maxText) },
		"type":              func(s *scanner, i *iface) { i.Type = s.word(maxText) },
		"operationalstatus": func(s *scanner, i *iface) { i.Status = s.text(maxText) },
	}
}

func cloudFields() fields[inventory.Cloud] {
	type cloud = inventory.Cloud
	return fields[cloud]{
		"cloudprovider":  func(s *scanner, c *cloud) { c.Provider = s.text(maxText) },
		"resourceid":     func(s *scanner, c *cloud) { c.ResourceID = s.text(maxText) },
		"subscriptionid": func(s *scanner, c *cloud) { c.Account = s.text(maxText) },
		"vmid":           func(s *scanner, c *cloud) { c.VMID = s.text(maxText) },
	}
}

func readInterfaces(s *scanner, r *record[inventory.Interface]) []inventory.Interface {
	if !s.open('[') {
		return nil
	}
	var out []inventory.Interface
	for s.more(']') {
		if len(out) >= maxElements {
			s.skip()
			continue
		}
		var i inventory.Interface
		if r.read(s, &i) {
			out = append(out, i)
		}
	}
	return out
}

func readCloud(s *scanner, r *record[inventory.Cloud]) *inventory.Cloud {
	var c inventory.Cloud
	if !r.read(s, &c) || c == (inventory.Cloud{}) {
		return nil
	}
	return &c
}

func optional(s *scanner) *bool {
	if yes, known := s.boolean(); known {
		return &yes
	}
	return nil
}
