package world

import (
	"fmt"
	"strings"
	"time"
)

// edgeMachine changes a plain machine in one respect and states the outcome in Want. Names link records to each other.
type edgeMachine struct {
	name   string
	twin   bool // a second record under the id of the previous edge
	change func(w *World, m *Machine)
}

type change = func(w *World, m *Machine)

// edgeList is the whole set of unusual machines. Order matters only for twins and for the identities derived from it.
func edgeList() []edgeMachine {
	var list []edgeMachine
	add := func(name string, c change) { list = append(list, edgeMachine{name: name, change: c}) }
	addNameEdges(add)
	addAddressEdges(add)
	addAddressChoices(add)
	addPlatformEdges(add)
	addOnboardingEdges(add)
	addTimeEdges(add)
	addRecordEdges(add)
	addMergeEdges(add)
	addRowEdges(add)
	return append(list, duplicateEdges()...)
}

// edgeBase is an accepted Windows 11 machine whose name and address belong to no other.
func (w *World) edgeBase(j int) Machine {
	r := newRNG(w.seed, 0xed9e, uint64(j))
	k := osKinds[0]
	m := Machine{
		MergedInto: Null, ExclusionReason: Null, Platform: k.platform, Version: k.version, Build: k.build,
		Processor: "x64", Arch: "64-bit", Health: "Active", Onboarding: "Onboarded",
		RowOS: k.rowOS, RowOSVersion: k.rowVersion, families: k.families, VM: "null",
		AADJoined: Null, AADDevice: Null, AVStatus: "Updated", ManagedBy: "Unknown", ManagedOK: "Unknown",
		ExternalIP: "67.43.156.9", rows: rowsFew,
	}
	w.dateMachine(&r, &m)
	describeMachine(&r, &m, k)
	m.Want.OSFamily = k.family
	m.named(fmt.Sprintf("edge-%03d.corp.%s", j, w.domain), "fqdn")
	m.addressed(fmt.Sprintf("10.9.%d.%d", j/200, 1+j%200))
	return m
}

func (m *Machine) named(name, kind string) {
	m.DNSName, m.Want.Hostname, m.Want.NameKind = name, strings.ToLower(name), kind
}

func (m *Machine) addressed(ip string) {
	m.LastIP, m.Want.PrimaryIP = ip, ip
	m.Addresses = []Address{{ip, "02AA00BB00CC", "Ethernet", "Up"}}
}

func (m *Machine) skip(reason string) { m.Want.Skip = reason }

func addNameEdges(add func(string, change)) {
	accept := func(raw, want, kind string) {
		add("name-accept", func(_ *World, m *Machine) { m.DNSName, m.Want.Hostname, m.Want.NameKind = raw, want, kind })
	}
	reject := func(reason string, raws ...string) {
		for _, raw := range raws {
			add("name-"+reason, func(_ *World, m *Machine) { m.DNSName = raw; m.skip(reason) })
		}
	}
	label63 := strings.Repeat("a", 63)
	for _, raw := range []string{"web01.contoso.com", "WEB01.Contoso.COM."} {
		accept(raw, "web01.contoso.com", "fqdn") // two ids, one name
	}
	accept(" web01 ", "web01", "short")
	accept("\u00a0nbsp-01\u2003", "nbsp-01", "short")
	accept("ＷＥＢ０２", "web02", "short")
	for _, raw := range []string{"c-lab-08", "DESKTOP-4F9K2QL", "SM-G991B", "3com", "ab--cd", "web_01", label63} {
		accept(raw, strings.ToLower(raw), "short")
	}
	long := strings.Join([]string{label63, label63, label63, strings.Repeat("b", 61)}, ".")
	for _, raw := range []string{"7zip-srv.corp.local", "server.local", long} {
		accept(raw, raw, "fqdn")
	}
	accept("münchen.corp.example", "xn--mnchen-3ya.corp.example", "fqdn")
	accept("xn--mnchen-3ya.corp.example", "xn--mnchen-3ya.corp.example", "fqdn")
	reject("name_syntax", "_ldap._tcp.contoso.com", "web01..", "a..b", ".", "-web", "web-", "John’s MacBook Pro",
		"samsung SM-G991B", "iPhone (2)", `CORP\WEB01`, "web#1", "web/1", "web01:443")
	reject("name_idna", "xn--zzzzzz999.corp")
	reject("name_numeric", "12345", "1.2.3", "host.123")
	reject("name_is_ip", "10.0.0.5", "[::1]", "１０．０．０．６")
	reject("name_label_too_long", strings.Repeat("a", 64))
	reject("name_too_long", strings.Join([]string{label63, label63, label63, label63}, "."))
	reject("name_missing", "", "   ", Null)
	reject("name_placeholder", "localhost", "localhost.", "LOCALHOST.localdomain", "localhost6.localdomain6", "unknown", "None",
		"null", "undefined", "n/a", "-", "5.0.0.10.in-addr.arpa", "1.0.ip6.arpa")
}

func addPlatformEdges(add func(string, change)) {
	reject := func(reason string, names ...string) {
		for _, p := range names {
			add(reason, func(_ *World, m *Machine) {
				m.Platform, m.Version, m.Build, m.Agent = p, "Other", -1, "1.0.7128.0101"
				m.skip(reason)
			})
		}
	}
	reject("platform_mobile", "iOS", "iPadOS", "Android", "FireOS", "Fire OS", "Windows10Mobile", "WindowsPhone", "watchOS")
	reject("platform_iot", "tvOS", "VxWorks", "IOSXE", "FortiOS", "PlayStation5")
	for _, p := range []string{"NewDistro2027", "Other", "", Null} {
		add("platform-unrecognised", func(_ *World, m *Machine) {
			m.Platform, m.Version, m.Build, m.Want.OSFamily = p, "Other", -1, "other"
		})
	}
	wsl := func(name, platform string, tags ...string) {
		add("wsl", func(_ *World, m *Machine) {
			m.named(name, "short")
			m.Platform, m.Version, m.Build, m.Tags = platform, "22.04", -1, tags
			m.rows, m.Want.OSFamily = rowsNone, "linux"
			m.skip("wsl_instance")
		})
	}
	wsl("edge-wsl-1", "Linux", "WSL2")
	wsl("edge-wsl-2", "Linux", "blue", "wsl2")
	wsl("edge-wsl-3", "Ubuntu", "WSL2")
	wsl("edge-host_WSL2", "Linux")
	for _, k := range osKinds {
		add("platform-"+k.platform, func(_ *World, m *Machine) {
			m.Platform, m.Version, m.Build, m.RowOS, m.RowOSVersion = k.platform, k.version, k.build, k.rowOS, k.rowVersion
			m.families, m.Want.OSFamily = k.families, k.family
		})
	}
}

func addOnboardingEdges(add func(string, change)) {
	for _, s := range []string{"CanBeOnboarded", "Unsupported", "InsufficientInfo"} {
		for _, p := range []string{"Windows10", "", "Android"} {
			add("not-onboarded", func(_ *World, m *Machine) {
				m.Onboarding, m.Platform, m.Agent, m.AVStatus = s, p, "1.1500", Absent
				m.FirstSeen, m.Processor, m.Arch, m.Build, m.Version = m.LastSeen, Null, Null, -1, "Other"
				m.rows = rowsNone
				m.skip("not_onboarded")
			})
		}
	}
	for _, s := range []string{"onboarded", Null, Absent} {
		add("onboarding-accept", func(_ *World, m *Machine) { m.Onboarding = s })
	}
}

func addTimeEdges(add func(string, change)) {
	seen := func(name string, daysAgo, digits int, reason string) {
		add(name, func(w *World, m *Machine) {
			m.FirstSeen = iso(w.epoch.AddDate(-1, 0, 0), 0)
			m.setLastSeen(w.epoch.AddDate(0, 0, -daysAgo), digits)
			if daysAgo > 7 {
				m.Health = "Inactive"
			}
			m.skip(reason)
		})
	}
	seen("stale-170", 170, 7, "stale")
	seen("stale-45", 45, 0, "stale")
	seen("stale-35", 35, 3, "stale")
	seen("quiet-20", 20, 6, "")
	seen("quiet-10", 10, 0, "")
	seen("future", -2, 7, "")
	for _, s := range []string{Null, Absent, "0001-01-01T00:00:00Z"} {
		add("last-seen-missing", func(_ *World, m *Machine) { m.LastSeen, m.lastSeen = s, time.Time{} })
	}
	for _, h := range []string{"ImpairedCommunication", "NoSensorData", "NoSensorDataImpairedCommunication", "Unknown"} {
		add("health", func(_ *World, m *Machine) { m.Health = h })
	}
}

func addRecordEdges(add func(string, change)) {
	for _, rows := range []rowsMode{rowsNone, rowsFew} { // exclusion takes hours to reach the rows
		add("excluded", func(_ *World, m *Machine) {
			m.Excluded, m.ExclusionReason, m.rows = true, "InactiveDevice", rows
			m.skip("excluded")
		})
	}
	add("potential-duplicate", func(_ *World, m *Machine) { m.PotentialDuplication = true })
	add("null-everything", func(_ *World, m *Machine) {
		m.ExternalIP, m.Agent, m.Value, m.GroupName, m.Risk, m.Exposure = Null, Null, Null, Null, Null, Null
		m.Processor, m.Arch, m.Version, m.AVStatus, m.ManagedBy, m.ManagedOK = Null, Null, Null, Absent, Null, Null
		m.Build, m.Group, m.AADJoined, m.AADDevice = -1, 0, Null, Null
	})
	add("vm-partial", func(_ *World, m *Machine) {
		m.VM = `{"vmId":"4b1f0c9e-2f3a-4f43-9d55-0d6c2f6a1b7e","cloudProvider":"Azure","resourceId":"/subscriptions/x/providers/Microsoft.HybridCompute/machines/gcp-1","subscriptionId":null}`
	})
	add("tag-blank", func(_ *World, m *Machine) { m.Tags = []string{"", "blue"} })
	add("no-rows", func(_ *World, m *Machine) { m.rows = rowsNone })
}

func addMergeEdges(add func(string, change)) {
	add("merge-survivor", nil)
	add("merge-middle", mergeInto("merge-survivor", false))
	add("merge-first", mergeInto("merge-middle", true))
	add("merge-cycle-a", mergeInto("merge-cycle-b", false))
	add("merge-cycle-b", mergeInto("merge-cycle-a", false))
	add("merge-survivor-stale", func(w *World, m *Machine) {
		m.setLastSeen(w.epoch.AddDate(0, 0, -90), 3)
		m.Health = "Inactive"
		m.skip("stale")
	})
	add("merge-into-stale", mergeInto("merge-survivor-stale", false))
	add("merge-into-nowhere", mergeInto("", false))
}

// mergeInto names the survivor by edge name ("" for an id that no list holds), in upper case if asked.
func mergeInto(name string, upper bool) change {
	return func(w *World, m *Machine) {
		m.MergedInto = w.strangerID(0)
		if name != "" {
			m.MergedInto = w.edgeID(name)
		}
		if upper {
			m.MergedInto = strings.ToUpper(m.MergedInto)
		}
		m.skip("merged")
	}
}

func addRowEdges(add func(string, change)) {
	add("rows-every-vulnerability", func(_ *World, m *Machine) { m.rows = rowsEdges })
	add("rows-without-cve", func(_ *World, m *Machine) { m.rows = rowsNoCVE })
	add("rows-upper-device", func(_ *World, m *Machine) { m.rows = rowsUpperDevice })
	add("rows-shared-cve", func(_ *World, m *Machine) { m.rows = rowsShared })
}

// duplicateEdges are records delivered twice in one pull: once the second copy is the older one, once the newer.
func duplicateEdges() []edgeMachine {
	aged := func(days int, name string) change {
		return func(w *World, m *Machine) {
			m.setLastSeen(w.epoch.AddDate(0, 0, -days), 3)
			m.named(name, "short")
			m.addressed("10.8.0." + fmt.Sprint(days))
		}
	}
	lost := func(c change) change {
		return func(w *World, m *Machine) { c(w, m); m.skip(duplicate) }
	}
	return []edgeMachine{
		{"twice-newer-first", false, aged(1, "edge-twice-a-new")},
		{"twice-newer-first-copy", true, lost(aged(4, "edge-twice-a-old"))},
		{"twice-older-first", false, lost(aged(5, "edge-twice-b-old"))},
		{"twice-older-first-copy", true, aged(2, "edge-twice-b-new")},
	}
}
