package inventory

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestClassifyAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text   string
		addr   string // "" means the same as text
		scope  string
		reason Reason
	}{
		{"10.0.0.0", "", ScopePrivate, Accepted},
		{"10.255.255.255", "", ScopePrivate, Accepted},
		{" 10.20.30.40\n", "10.20.30.40", ScopePrivate, Accepted},
		{"172.16.0.1", "", ScopePrivate, Accepted},
		{"172.17.230.209", "", ScopePrivate, Accepted},
		{"172.31.255.255", "", ScopePrivate, Accepted},
		{"172.32.0.1", "", ScopePublic, Accepted},
		{"192.168.1.1", "", ScopePrivate, Accepted},
		{"fc00::1", "", ScopePrivate, Accepted},
		{"fdff::1%eth0", "fdff::1", ScopePrivate, Accepted},
		{"::ffff:10.0.0.5", "10.0.0.5", ScopePrivate, Accepted},
		{"100.64.0.1", "", ScopeShared, Accepted},
		{"100.127.255.255", "", ScopeShared, Accepted},
		{"100.128.0.1", "", ScopePublic, Accepted},
		{"67.43.156.0", "", ScopePublic, Accepted},
		{"2a02:cf40::", "", ScopePublic, Accepted},
		{"2A02:CF40:0:0::1", "2a02:cf40::1", ScopePublic, Accepted},
		{"0.0.0.0", "", "", IPUnspecified},
		{"0.1.2.3", "", "", IPUnspecified},
		{"::", "", "", IPUnspecified},
		{"127.0.0.1", "", "", IPLoopback},
		{"127.255.255.254", "", "", IPLoopback},
		{"::1", "", "", IPLoopback},
		{"::ffff:127.0.0.1", "127.0.0.1", "", IPLoopback},
		{"169.254.10.20", "", "", IPLinkLocal},
		{"fe80::1%12", "fe80::1", "", IPLinkLocal},
		{"fe80::5efe:10.15.0.9", "fe80::5efe:a0f:9", "", IPLinkLocal},
		{"febf::1", "", "", IPLinkLocal},
		{"224.0.0.251", "", "", IPMulticast},
		{"239.255.255.255", "", "", IPMulticast},
		{"ff02::fb", "", "", IPMulticast},
		{"255.255.255.255", "", "", IPReserved},
		{"240.0.0.1", "", "", IPReserved},
		{"192.0.0.8", "", "", IPReserved},
		{"192.0.1.8", "", ScopePublic, Accepted},
		{"198.18.0.1", "", "", IPReserved},
		{"198.19.255.255", "", "", IPReserved},
		{"100::1", "", "", IPReserved},
		{"64:ff9b::a00:5", "", "", IPReserved},
		{"64:ff9b:1::5", "", "", IPReserved},
		{"fec0::1", "", "", IPReserved},
		{"::10.0.0.5", "::a00:5", "", IPReserved},
		{"192.0.2.1", "", "", IPDocumentation},
		{"198.51.100.1", "", "", IPDocumentation},
		{"203.0.113.7", "", "", IPDocumentation},
		{"2001:db8::1", "", "", IPDocumentation},
		{"3fff:fff::1", "", "", IPDocumentation},
		{"2001:0:4136:e378::1", "", "", IPTransition},
		{"2001:1::1", "", ScopePublic, Accepted}, // outside Teredo's block
		{"2002:a00:5::1", "", "", IPTransition},
		{"010.0.0.1", "invalid IP", "", IPSyntax},
		{"10.0.0.5/24", "invalid IP", "", IPSyntax},
		{"10.0.0.5:443", "invalid IP", "", IPSyntax},
		{"N/A", "invalid IP", "", IPSyntax},
		{"", "invalid IP", "", IPSyntax},
		{"10.0.0", "invalid IP", "", IPSyntax},
	}
	for _, tt := range tests {
		want := tt.addr
		if want == "" {
			want = tt.text
		}
		addr, scope, reason := ClassifyAddress(tt.text)
		if addr.String() != want && tt.text != "" || scope != tt.scope || reason != tt.reason {
			t.Errorf("ClassifyAddress(%q) = %v, %q, %q; want %v, %q, %q", tt.text, addr, scope, reason, want, tt.scope, tt.reason)
		}
	}
}

// Every block is met at both its ends and not beyond them, unless the neighbour is in a block as well.
func TestAddressClassEdges(t *testing.T) {
	t.Parallel()
	for i, c := range addressClasses {
		first := c.block.Masked().Addr()
		last := lastOf(c.block)
		for _, addr := range []netip.Addr{first, last} {
			if got := addr.Unmap(); got != addr {
				continue
			}
			_, scope, reason := ClassifyAddress(addr.String())
			overruled := false
			for _, earlier := range addressClasses[:i] {
				overruled = overruled || earlier.block.Contains(addr)
			}
			if !overruled && (scope != c.scope || reason != c.reason) {
				t.Errorf("%v of %v = %q, %q", addr, c.block, scope, reason)
			}
		}
		if (c.scope == "") == (c.reason == Accepted) {
			t.Errorf("%v must have either a scope or a reason", c.block)
		}
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

func TestNormalizeMAC(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"02AABBCCDDEE": "02:aa:bb:cc:dd:ee", "00:5e:00:53:FF:01": "00:5e:00:53:ff:01", "00-5E-00-53-FF-01": "00:5e:00:53:ff:01",
		"005e.0053.ff01": "00:5e:00:53:ff:01", "000000000000": "", "00000000000000E0": "", "": "", "02AABBCCDDE": "",
		"02AABBCCDDEG": "", "0242": "", "02AABBCCDD\x10E": "", "@2AABBCCDDEE": "",
	} {
		if got := normalizeMAC(text); got != want {
			t.Errorf("normalizeMAC(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestEgressAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", " 2001:db8::1 ": "2001:db8::1", "::ffff:203.0.113.7": "203.0.113.7", "": "invalid IP", "0.0.0.0": "invalid IP",
		"::": "invalid IP", "proxy": "invalid IP",
	} {
		if got := fmt.Sprint(egressAddress(text)); got != want {
			t.Errorf("egressAddress(%q) = %s, want %s", text, got, want)
		}
	}
}

func FuzzClassifyAddress(f *testing.F) {
	for _, seed := range []string{"10.0.0.5", "fe80::1%eth0", "::ffff:1.2.3.4", "010.0.0.1", "N/A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, scope, reason := ClassifyAddress(text)
		if (scope == "") == (reason == Accepted) {
			t.Fatalf("%q: scope %q with reason %q", text, scope, reason)
		}
		if !addr.IsValid() {
			return
		}
		again, scopeAgain, reasonAgain := ClassifyAddress(addr.String())
		if again != addr || scopeAgain != scope || reasonAgain != reason || addr.Is4In6() || addr.Zone() != "" {
			t.Fatalf("%q is not canonical: %v, then %v", text, addr, again)
		}
	})
}
