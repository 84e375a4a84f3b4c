package inventory

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func iface(address, mac, kind, status string) Interface {
	return Interface{Address: address, MAC: mac, Type: kind, Status: status}
}

func TestChooseAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		last       string
		interfaces []Interface
		want       []string // primary first
		reason     Reason
	}{
		{"last address wins", "10.0.0.9", []Interface{iface("10.0.0.1", "", "Ethernet", "Up"), iface("10.0.0.9", "", "Other", "Down")}, []string{"10.0.0.9", "10.0.0.1"}, Accepted},
		{"last address that no interface has", "10.0.0.9", []Interface{iface("10.0.0.1", "", "Ethernet", "Up")}, []string{"10.0.0.9", "10.0.0.1"}, Accepted},
		{"last address refused", "127.0.0.1", []Interface{iface("10.0.0.1", "", "Ethernet", "Up")}, []string{"10.0.0.1"}, Accepted},
		{"up before unknown before down", "", []Interface{iface("10.0.0.1", "", "Ethernet", "Down"), iface("10.0.0.2", "", "Ethernet", "Unknown"), iface("10.0.0.3", "", "Ethernet", "up")}, []string{"10.0.0.3", "10.0.0.2", "10.0.0.1"}, Accepted},
		{"status before type", "", []Interface{iface("10.0.0.1", "", "Ethernet", "Down"), iface("10.0.0.2", "", "Tunnel", "Up")}, []string{"10.0.0.2", "10.0.0.1"}, Accepted},
		{"cable and radio before others", "", []Interface{iface("10.0.0.1", "", "Tunnel", "Up"), iface("10.0.0.2", "", "53", "Up"), iface("10.0.0.4", "", "IEEE80211", "Up"), iface("10.0.0.3", "", "Wireless80211", "Up"), iface("10.0.0.5", "", "Ethernet", "Up")}, []string{"10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.1", "10.0.0.2"}, Accepted},
		{"IPv4 before IPv6", "", []Interface{iface("2a02:cf40::1", "", "Ethernet", "Up"), iface("67.43.156.0", "", "Ethernet", "Up")}, []string{"67.43.156.0", "2a02:cf40::1"}, Accepted},
		{"type before IP version", "", []Interface{iface("10.0.0.1", "", "Other", "Up"), iface("fd00::1", "", "Ethernet", "Up")}, []string{"fd00::1", "10.0.0.1"}, Accepted},
		{"lowest value, not lowest text", "", []Interface{iface("10.0.0.10", "", "Ethernet", "Up"), iface("10.0.0.9", "", "Ethernet", "Up")}, []string{"10.0.0.9", "10.0.0.10"}, Accepted},
		{"repeated", "10.0.0.1", []Interface{iface("10.0.0.1", "", "Ethernet", "Up"), iface("10.0.0.1", "", "Ethernet", "Up"), iface("::ffff:10.0.0.1", "", "Ethernet", "Up")}, []string{"10.0.0.1"}, Accepted},
		{"loopback is dropped", "", []Interface{iface("127.0.0.1", "", "SoftwareLoopback", "Up"), iface("::1", "", "Other", "Up"), iface("", "", "Ethernet", "Up"), iface("10.0.0.1", "", "Ethernet", "Up")}, []string{"10.0.0.1"}, Accepted},
		{"nothing reported", " ", []Interface{iface("", "0242AABBCCDD", "Ethernet", "Up")}, nil, IPNone},
		{"reason of the last address", "127.0.0.1", []Interface{iface("169.254.1.1", "", "Ethernet", "Up")}, nil, IPLoopback},
		{"reason of the best interface", "", []Interface{iface("127.0.0.1", "", "SoftwareLoopback", "Up"), iface("169.254.1.1", "", "Ethernet", "Up")}, nil, IPLinkLocal},
		{"unreadable is no good candidate", "N/A", []Interface{iface("127.0.0.1", "", "SoftwareLoopback", "Up")}, nil, IPLoopback},
		{"only unreadable", "N/A", nil, nil, IPSyntax},

		{"container bridge", "", []Interface{iface("172.17.0.1", "0242AC110001", "Ethernet", "Up")}, nil, IPContainer},
		{"container bridge, last in its range", "", []Interface{iface("172.31.255.1", "02:42:ac:11:00:01", "Ethernet", "Up")}, nil, IPContainer},
		{"container bridge as last address", "172.18.0.1", []Interface{iface("172.18.0.1", "0242AC110001", "Ethernet", "Up")}, nil, IPContainer},
		{"another interface with the bridge's address", "", []Interface{iface("172.18.0.1", "0242AC110001", "Ethernet", "Up"), iface("172.18.0.1", "00155D000001", "Ethernet", "Up")}, nil, IPContainer},
		{"no gateway address", "", []Interface{iface("172.17.0.2", "0242AC110002", "Ethernet", "Up")}, []string{"172.17.0.2"}, Accepted},
		{"172.16 is no container range", "", []Interface{iface("172.16.0.1", "0242AC110001", "Ethernet", "Up")}, []string{"172.16.0.1"}, Accepted},
		{"192.168 is no container range", "", []Interface{iface("192.168.0.1", "0242AC110001", "Ethernet", "Up")}, []string{"192.168.0.1"}, Accepted},
		{"no container MAC", "", []Interface{iface("172.17.0.1", "005056000001", "Ethernet", "Up")}, []string{"172.17.0.1"}, Accepted},
		{"Hyper-V proves nothing", "", []Interface{iface("172.20.0.1", "00155D000001", "Ethernet", "Up")}, []string{"172.20.0.1"}, Accepted},
		{"Microsoft's sample device", "172.17.230.209", nil, []string{"172.17.230.209"}, Accepted},

		{"denied", "172.30.1.2", []Interface{iface("10.0.0.1", "", "Ethernet", "Up")}, []string{"10.0.0.1"}, Accepted},
		{"all denied", "172.30.1.2", nil, nil, IPDenied},
	}
	s := DefaultSettings()
	s.IPDeny = []netip.Prefix{netip.MustParsePrefix("172.30.1.0/24")}
	for _, tt := range tests {
		primary, all, refused := chooseAddresses(&Machine{LastIP: tt.last, Interfaces: tt.interfaces}, &s)
		var got []string
		for _, a := range all {
			got = append(got, a.IP.String())
		}
		if !reflect.DeepEqual(got, tt.want) || refused.reason != tt.reason {
			t.Errorf("%s: %v, %q; want %v, %q", tt.name, got, refused.reason, tt.want, tt.reason)
		}
		if len(tt.want) > 0 && primary.String() != tt.want[0] || primary.IsValid() != (len(tt.want) > 0) {
			t.Errorf("%s: primary %v, want the first of %v", tt.name, primary, tt.want)
		}
	}
}

func TestChooseAddressesDescribesInterfaces(t *testing.T) {
	t.Parallel()
	s := DefaultSettings()
	_, all, _ := chooseAddresses(&Machine{LastIP: "10.0.0.1", Interfaces: []Interface{
		iface("10.0.0.1", "02AABBCCDDEE", "IEEE80211", "Up"), iface("100.64.0.1", "00000000000000E0", "Tunnel", "Down"), iface("67.43.156.0", "", "53", ""),
	}}, &s)
	want := []Address{
		{netip.MustParseAddr("10.0.0.1"), "02:aa:bb:cc:dd:ee", ScopePrivate, "wireless", true},
		{netip.MustParseAddr("67.43.156.0"), "", ScopePublic, "other", false},
		{netip.MustParseAddr("100.64.0.1"), "", ScopeShared, "tunnel", false},
	}
	if !reflect.DeepEqual(all, want) {
		t.Errorf("got  %v\nwant %v", all, want)
	}
}

func TestRepeatedAddressKeepsItsMAC(t *testing.T) {
	t.Parallel()
	s := DefaultSettings()
	for _, macs := range [][]string{{"", "02AABBCCDDEE"}, {"02AABBCCDDEE", ""}, {"02AABBCCDDEE", "02AABBCCDD00"}, {"02AABBCCDD00", "02AABBCCDDEE"}} {
		m := Machine{LastIP: "10.0.0.1"}
		for _, mac := range macs {
			m.Interfaces = append(m.Interfaces, iface("10.0.0.1", mac, "Ethernet", "Up"))
		}
		if _, all, _ := chooseAddresses(&m, &s); len(all) != 1 || all[0].MAC != "02:aa:bb:cc:dd:ee" {
			t.Errorf("%q: %v", macs, all)
		}
	}
}

func TestChooseAddressesIsBounded(t *testing.T) {
	t.Parallel()
	s := DefaultSettings()
	m := Machine{}
	addr := netip.MustParseAddr("10.0.0.1")
	for range 1000 {
		m.Interfaces = append(m.Interfaces, iface(addr.String(), "", "Ethernet", "Up"))
		addr = addr.Next()
	}
	if _, all, _ := chooseAddresses(&m, &s); len(all) != maxAddresses {
		t.Errorf("%d addresses, want %d", len(all), maxAddresses)
	}
}

func TestChooseAddressesIgnoresOrder(t *testing.T) {
	t.Parallel()
	s := DefaultSettings()
	s.IPDeny = []netip.Prefix{netip.MustParsePrefix("10.0.1.0/30")}
	text := rapid.SampledFrom(strings.Fields(
		"10.0.0.9 10.0.0.10 10.0.1.1 172.17.0.1 172.17.0.2 169.254.1.1 127.0.0.1 ::1 fd00::1 ::ffff:10.0.0.9 2a02:cf40:: N/A fe80::1%3 fe80::1"))
	one := rapid.Custom(func(t *rapid.T) Interface {
		return iface(text.Draw(t, "address"),
			rapid.SampledFrom([]string{"", "0242AC110001", "00155D000001", "bad"}).Draw(t, "mac"),
			rapid.SampledFrom([]string{"Ethernet", "IEEE80211", "Tunnel", "Other", "53", ""}).Draw(t, "type"),
			rapid.SampledFrom([]string{"Up", "Down", "Unknown", ""}).Draw(t, "status"))
	})
	rapid.Check(t, func(t *rapid.T) {
		m := Machine{LastIP: rapid.OneOf(rapid.Just(""), text).Draw(t, "last"), Interfaces: rapid.SliceOfN(one, 0, 8).Draw(t, "interfaces")}
		primary, all, refused := chooseAddresses(&m, &s)
		m.Interfaces = rapid.Permutation(m.Interfaces).Draw(t, "shuffled")
		primary2, all2, refused2 := chooseAddresses(&m, &s)
		if primary != primary2 || refused != refused2 || !reflect.DeepEqual(all, all2) {
			t.Fatalf("%v %v %v, then %v %v %v", primary, all, refused, primary2, all2, refused2)
		}
		if primary.IsValid() != (refused.reason == Accepted) || primary.IsValid() != (len(all) > 0) {
			t.Fatalf("primary %v, all %v, refused %v", primary, all, refused)
		}
	})
}
