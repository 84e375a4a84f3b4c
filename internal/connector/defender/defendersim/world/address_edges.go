package world

func addAddressEdges(add func(string, change)) {
	for raw, want := range ordered(
		"172.17.230.209", "172.17.230.209", "192.168.1.5", "192.168.1.5", "fd12:3456::5", "fd12:3456::5", "100.64.3.4", "100.64.3.4",
		"67.43.156.0", "67.43.156.0", "2a02:cf40::1", "2a02:cf40::1", "::ffff:10.2.3.4", "10.2.3.4", " 10.2.3.9 ", "10.2.3.9",
	) {
		add("ip-accept", func(_ *World, m *Machine) { m.addressed(raw); m.Want.PrimaryIP = want })
	}
	for _, raw := range []string{
		"0.0.0.0", "::", "127.0.0.1", "::1", "169.254.10.20", "fe80::1", "fe80::1%12", "fe80::5efe:10.15.0.9", "224.0.0.251", "ff02::fb",
		"255.255.255.255", "240.0.0.1", "192.0.0.8", "198.18.0.1", "100::1", "64:ff9b::1", "fec0::1", "192.0.2.10", "198.51.100.7",
		"203.0.113.7", "2001:db8::1", "3fff::1", "2001::1", "2002:c000:204::1", "010.0.0.1", "10.0.0.5/24", "10.0.0.5:443", "N/A", "", Null,
	} {
		add("ip-none", func(_ *World, m *Machine) { m.addressed(raw); m.skip("ip_none") })
	}
	add("ip-none-at-all", func(_ *World, m *Machine) { m.LastIP, m.Addresses = Null, nil; m.skip("ip_none") })
	add("ip-egress-only", func(_ *World, m *Machine) {
		m.LastIP, m.ExternalIP, m.Addresses = "", "2a02:cf40::77", []Address{{"", "", Null, "Unknown"}}
		m.skip("ip_none")
	})
	add("ip-container", func(_ *World, m *Machine) {
		m.LastIP, m.Addresses = "172.17.0.1", []Address{{"172.17.0.1", "0242AC110001", "Ethernet", "Up"}}
		m.skip("ip_none")
	})
	add("ip-container-lookalike", func(_ *World, m *Machine) {
		m.addressed("172.18.0.5")
		m.Addresses[0].MAC = "0242AC120005"
	})
}

// ordered yields pairs in the order given, which a map would not.
func ordered(pairs ...string) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if !yield(pairs[i], pairs[i+1]) {
				return
			}
		}
	}
}

// addAddressChoices makes the primary address a choice among several.
func addAddressChoices(add func(string, change)) {
	choose := func(last, want string, list ...Address) {
		add("ip-choice", func(_ *World, m *Machine) { m.LastIP, m.Want.PrimaryIP, m.Addresses = last, want, list })
	}
	mac := "02AA00BB00CC"
	choose(Null, "10.3.0.9", Address{"10.3.0.1", mac, "Ethernet", "Down"}, Address{"10.3.0.9", mac, "Ethernet", "Up"})
	choose("", "10.3.0.8", Address{"10.3.0.2", mac, "Tunnel", "Up"}, Address{"10.3.0.8", mac, "IEEE80211", "Up"})
	choose("169.254.3.3", "10.3.0.7", Address{"fd00::7", mac, "Ethernet", "Up"}, Address{"10.3.0.7", mac, "Ethernet", "Up"})
	choose("127.0.0.1", "10.3.0.3", Address{"10.3.0.10", mac, "Ethernet", "Up"}, Address{"10.3.0.3", mac, "Ethernet", "Up"})
	choose(Null, "10.3.0.5", Address{"10.3.0.4", mac, "Ethernet", "Unknown"}, Address{"10.3.0.5", mac, "Ethernet", "Up"})
	choose("10.3.0.6", "10.3.0.6", Address{"10.3.0.1", mac, "Ethernet", "Up"}, Address{"10.3.0.6", mac, "Ethernet", "Down"})
	choose(Null, "10.3.1.1", Address{"10.3.1.1", "00000000000000E0", "53", "Up"}, Address{"172.17.0.1", "0242AC110001", "Ethernet", "Up"},
		Address{"127.0.0.1", Null, "SoftwareLoopback", "Up"}, Address{"::1", "000000000000", "Other", "Up"}, Address{"", "", Null, "Unknown"})
	choose("10.3.1.2", "10.3.1.2", Address{"10.3.1.2", mac, "Ethernet", "Up"}, Address{"10.3.1.2", mac, "Ethernet", "Up"})
	choose(Null, "fd00:3::9", Address{"fd00:3::9", Null, "Ethernet", "Up"}, Address{"fe80::9", Null, "Ethernet", "Up"})
}
