package inventory

import (
	"net/netip"
	"strings"
)

// Scopes of a usable address.
const (
	ScopePrivate = "private" // RFC 1918 and unique local addresses (RFC 4193)
	ScopeShared  = "shared"  // RFC 6598: carrier NAT, used by VPN overlays too
	ScopePublic  = "public"
)

// addressClass is one block of the IANA special-purpose address registries, as this product treats it.
type addressClass struct {
	block  netip.Prefix
	scope  string // set when accepted
	reason Reason // set when refused
}

// addressClasses is searched from the top; what is in no block is public.
var addressClasses = []addressClass{
	{block("10.0.0.0/8"), ScopePrivate, Accepted},
	{block("172.16.0.0/12"), ScopePrivate, Accepted},
	{block("192.168.0.0/16"), ScopePrivate, Accepted},
	{block("fc00::/7"), ScopePrivate, Accepted},
	{block("100.64.0.0/10"), ScopeShared, Accepted},

	{block("0.0.0.0/8"), "", IPUnspecified},
	{block("::/128"), "", IPUnspecified},
	{block("127.0.0.0/8"), "", IPLoopback},
	{block("::1/128"), "", IPLoopback},
	{block("169.254.0.0/16"), "", IPLinkLocal},
	{block("fe80::/10"), "", IPLinkLocal},
	{block("224.0.0.0/4"), "", IPMulticast},
	{block("ff00::/8"), "", IPMulticast},
	{block("240.0.0.0/4"), "", IPReserved},  // with the broadcast address
	{block("192.0.0.0/24"), "", IPReserved}, // IETF protocol assignments
	{block("198.18.0.0/15"), "", IPReserved},
	{block("100::/64"), "", IPReserved},
	{block("64:ff9b::/96"), "", IPReserved},
	{block("64:ff9b:1::/48"), "", IPReserved}, // NAT64 for local use (RFC 8215)
	{block("fec0::/10"), "", IPReserved},      // deprecated site-local
	{block("::/96"), "", IPReserved},          // deprecated IPv4-compatible (RFC 4291 §2.5.5.1)
	{block("192.0.2.0/24"), "", IPDocumentation},
	{block("198.51.100.0/24"), "", IPDocumentation},
	{block("203.0.113.0/24"), "", IPDocumentation},
	{block("2001:db8::/32"), "", IPDocumentation},
	{block("3fff::/20"), "", IPDocumentation},
	{block("2001::/32"), "", IPTransition}, // Teredo
	{block("2002::/16"), "", IPTransition}, // 6to4
}

func block(text string) netip.Prefix { return netip.MustParsePrefix(text) }

// ClassifyAddress reads an address as it was reported and says whether it can be an asset's: scope is set if it can,
// reason if it cannot. Zones are dropped and IPv4-mapped addresses become IPv4; nothing else is guessed, so that
// "010.0.0.1", a prefix or a port is [IPSyntax]. The zero address is returned only with IPSyntax.
//
// A private range is never refused as such: customers do use the blocks that container software likes.
func ClassifyAddress(text string) (addr netip.Addr, scope string, reason Reason) {
	addr, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil {
		return netip.Addr{}, "", IPSyntax
	}
	addr = addr.WithZone("").Unmap()
	for i := range addressClasses {
		if c := &addressClasses[i]; c.block.Contains(addr) {
			return addr, c.scope, c.reason
		}
	}
	return addr, ScopePublic, Accepted
}

// egressAddress reads the address a machine was seen from outside. It belongs to a NAT or proxy, so its class does not
// matter.
func egressAddress(text string) netip.Addr {
	addr, err := netip.ParseAddr(strings.TrimSpace(text))
	addr = addr.WithZone("").Unmap()
	if err != nil || addr.IsUnspecified() {
		return netip.Addr{}
	}
	return addr
}

// normalizeMAC writes a 48-bit address as colon-separated lower case. Anything else, such as the 64-bit ids of tunnels
// or all zeros, is no MAC and gives "".
func normalizeMAC(text string) string {
	var digits [12]byte
	n := 0
	for i := range len(text) {
		c := text[i] | 0x20 // lower case for letters, unchanged for digits
		switch {
		case text[i] == ':' || text[i] == '-' || text[i] == '.' || text[i] == ' ':
			continue
		case text[i] >= '0' && text[i] <= '9':
			c = text[i]
		case c < 'a' || c > 'f':
			return ""
		}
		if n == len(digits) {
			return ""
		}
		digits[n] = c
		n++
	}
	if n != len(digits) || string(digits[:]) == "000000000000" {
		return ""
	}
	var out strings.Builder
	for i := 0; i < n; i += 2 {
		if i > 0 {
			out.WriteByte(':')
		}
		out.Write(digits[i : i+2])
	}
	return out.String()
}
