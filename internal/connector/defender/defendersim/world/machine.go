package world

import (
	"fmt"
	"strings"
	"time"
)

// MachineOutcome is what an importer with default settings makes of a machine. Skip is "" or the reason; the other
// members describe the asset when Skip is "".
type MachineOutcome struct {
	Skip      string
	Hostname  string
	NameKind  string // fqdn, short
	PrimaryIP string
	OSFamily  string // windows, windows_server, macos, linux, other
}

// Address is one entry of ipAddresses.
type Address struct{ IP, MAC, Type, Status string }

// Machine is one record of GET /api/machines with its label. Texts may be Null or Absent.
type Machine struct {
	ID, MergedInto       string
	PotentialDuplication bool
	Excluded             bool
	ExclusionReason      string
	DNSName              string
	FirstSeen, LastSeen  string
	Platform, Version    string
	Processor, Arch      string
	Build                int // negative is null
	LastIP, ExternalIP   string
	Agent                string
	Health, Onboarding   string
	Value                string
	Group                int
	GroupName            string
	Risk, Exposure       string
	AADJoined            string // "true", "false" or Null
	AADDevice            string
	Tags                 []string
	AVStatus             string
	ManagedBy, ManagedOK string
	Addresses            []Address
	VM                   string // JSON text
	RowOS, RowOSVersion  string // the vocabulary of the export routes
	Want                 MachineOutcome

	lastSeen time.Time
	families int
	rows     rowsMode
}

type osKind struct {
	platform, version, rowOS, rowVersion, family string
	build, families, weight                      int
}

var osKinds = []osKind{
	{"Windows11", "24H2", "Windows11", "24H2", "windows", 26100, famClient, 34},
	{"Windows11", "23H2", "Windows11", "23H2", "windows", 22631, famClient, 16},
	{"Windows10", "22H2", "Windows10", "22H2", "windows", 19045, famClient, 14},
	{"WindowsServer2022", "21H2", "WindowsServer2022", "21H2", "windows_server", 20348, famServer, 8},
	{"WindowsServer2019", "1809", "WindowsServer2019", "1809", "windows_server", 17763, famServer, 7},
	{"WindowsServer2016", "1607", "WindowsServer2016", "1607", "windows_server", 14393, famServer, 3},
	{"WindowsServer2012R2", "6.3", "WindowsServer2012R2", "6.3", "windows_server", 9600, famServer, 2},
	{"WindowsServer2025", "24H2", "WindowsServer2025", "24H2", "windows_server", 26100, famServer, 1},
	{"macOS", "15.5", "macOS", "mac_os_15.5", "macos", -1, famMac, 7},
	{"Ubuntu", "22.04", "Linux", "ubuntu_linux_22.04", "linux", -1, famLinux, 3},
	{"Ubuntu", "20.4", "Linux", "ubuntu_linux_20.04", "linux", 6, famLinux, 1},
	{"RedHatEnterpriseLinux", "9.4", "Linux", "enterprise_linux_9.4", "linux", -1, famLinux, 2},
	{"Debian", "12.5", "Linux", "debian_linux_12.5", "linux", -1, famLinux, 1},
	{"CentOS", "7.9", "Linux", "centos_7.9", "linux", -1, famLinux, 1},
}

var osTable = func() []uint8 {
	var table []uint8
	for i, k := range osKinds {
		for range k.weight {
			table = append(table, uint8(i))
		}
	}
	return table
}()

var groupNames = []string{"UnassignedGroup", "Workstations", "Servers", "Executives", "Engineering", "Branch Offices", "Kiosks"}

// ordinaryMachine composes machine i of the plain population: onboarded, reporting, well named and addressed.
func (w *World) ordinaryMachine(i int) Machine {
	r := newRNG(w.seed, 0x3ac, uint64(i))
	k := osKinds[osTable[r.n(len(osTable))]]
	m := Machine{
		MergedInto: Null, ExclusionReason: Null, Platform: k.platform, Version: k.version, Build: k.build,
		Processor: "x64", Arch: "64-bit", Health: "Active", Onboarding: "Onboarded", Value: "Normal",
		RowOS: k.rowOS, RowOSVersion: k.rowVersion, families: k.families, VM: "null",
		AADJoined: Null, AADDevice: Null, AVStatus: "Updated", ManagedBy: "Unknown", ManagedOK: "Unknown",
	}
	w.nameMachine(&r, &m, i)
	w.addressMachine(&r, &m, i)
	w.dateMachine(&r, &m)
	describeMachine(&r, &m, k)
	m.Want.OSFamily = k.family
	return m
}

func (w *World) nameMachine(r *rng, m *Machine, i int) {
	var name string
	kind := "short"
	switch {
	case m.families == famServer || m.families == famLinux:
		name = fmt.Sprintf("%s-%05d", pick(r, []string{"srv-app", "srv-sql", "srv-web", "dlp-win2k19", "build", "c-lab"}), i)
	case m.families == famMac:
		name = fmt.Sprintf("mac-%05d", i)
	default:
		name = fmt.Sprintf("%s-%05d", pick(r, []string{"DESKTOP", "LAPTOP", "ws", "nb"}), i)
	}
	if r.chance(62) {
		name += "." + pick(r, []string{"corp", "ad", "emea.corp"}) + "." + w.domain
		kind = "fqdn"
	}
	m.DNSName = name
	m.Want.Hostname, m.Want.NameKind = strings.ToLower(name), kind
}

func (w *World) addressMachine(r *rng, m *Machine, i int) {
	ip := fmt.Sprintf("10.%d.%d.%d", 10+i/(250*250), (i/250)%250, 1+i%250)
	m.LastIP, m.Want.PrimaryIP = ip, ip
	m.ExternalIP = fmt.Sprintf("67.43.156.%d", 1+r.n(8))
	if r.chance(10) {
		m.ExternalIP = Null
	}
	media := pick(r, []string{"Ethernet", "Ethernet", "IEEE80211"})
	m.Addresses = append(m.Addresses, Address{ip, "02" + strings.ToUpper(r.hex(10)), media, "Up"})
	if r.chance(50) {
		m.Addresses = append(m.Addresses, Address{"fe80::" + r.hex(4) + ":" + r.hex(4), m.Addresses[0].MAC, media, "Up"})
	}
	m.Addresses = append(m.Addresses, Address{"127.0.0.1", Null, "SoftwareLoopback", "Up"})
	if r.chance(30) {
		m.Addresses = append(m.Addresses, Address{"192.168." + fmt.Sprint(r.n(250)) + "." + fmt.Sprint(2+r.n(250)),
			"02" + strings.ToUpper(r.hex(10)), "IEEE80211", "Down"})
	}
}

// dateMachine keeps ordinary machines within seven days, far from every limit an importer may set.
func (w *World) dateMachine(r *rng, m *Machine) {
	seen := w.epoch.Add(-time.Duration(1+r.n(6*24))*time.Hour - time.Duration(r.n(3600))*time.Second)
	first := seen.AddDate(0, 0, -20-r.n(500)).Add(-time.Duration(r.n(80000)) * time.Second)
	m.FirstSeen = iso(first, pick(r, []int{3, 6, 7}))
	m.setLastSeen(seen.Add(time.Duration(r.n(10000000)*100)), pick(r, []int{3, 6, 7, 7}))
}

func (m *Machine) setLastSeen(t time.Time, digits int) {
	m.lastSeen, m.LastSeen = t, iso(t, digits)
}

func describeMachine(r *rng, m *Machine, k osKind) {
	m.Agent = fmt.Sprintf("10.88%02d.%d.%d", r.n(30), max(k.build, 0), 1000+r.n(900))
	if k.families == famLinux || k.families == famMac {
		m.Agent = fmt.Sprintf("101.25%d.0", 10000+r.n(70000))
	}
	m.Group = r.n(len(groupNames))
	m.GroupName = groupNames[m.Group]
	if m.Group == 0 && r.chance(40) {
		m.GroupName = Null
	}
	m.Risk = pick(r, []string{"None", "None", "Informational", "Low", "Medium", "High"})
	m.Exposure = pick(r, []string{"None", "Low", "Medium", "Medium", "High"})
	m.Value = pick(r, []string{"Normal", "Normal", "Normal", "Normal", "Low", "High"})
	if k.families&famClient != 0 {
		m.AADJoined, m.AADDevice, m.ManagedBy = "true", r.guid(), "Intune"
		m.ManagedOK = "Success"
	} else if r.chance(60) {
		m.AADJoined, m.ManagedBy = "false", "MicrosoftDefenderForEndpoint"
	}
	m.Tags = pick(r, [][]string{nil, nil, nil, {"prod"}, {"dmz", "pci"}, {"site-berlin"}, {"vip", ""}})
	if k.families&(famServer|famLinux) != 0 && r.chance(40) {
		m.VM = azureVM(r)
	}
}

func azureVM(r *rng) string {
	sub := r.guid()
	return `{"vmId":"` + r.guid() + `","cloudProvider":"Azure","resourceId":"/subscriptions/` + sub +
		`/resourceGroups/rg-prod/providers/Microsoft.Compute/virtualMachines/vm` + r.hex(4) + `","subscriptionId":"` + sub + `"}`
}
