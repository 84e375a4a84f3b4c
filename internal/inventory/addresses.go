package inventory

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// maxAddresses bounds how many addresses an asset keeps: the best ones.
const maxAddresses = 256

// candidate is one reported address with everything its rank depends on.
type candidate struct {
	Address
	text   string
	last   bool // reported as the machine's last address
	status int  // 0 Up, 1 unknown, 2 Down
	kind   int  // 0 Ethernet or wireless, 1 other
	reason Reason
}

// refusedAddress explains why a machine has no usable address, by the best of its candidates.
type refusedAddress struct {
	text   string // as reported; empty when nothing was
	reason Reason // IPNone when nothing was reported
}

// chooseAddresses picks the address an asset is known by, and every address it can be reached at, best first and each
// once. The result does not depend on the order in which interfaces are listed, because that changes from one report to
// the next. Without a usable address primary is invalid and refused tells the best candidate.
func chooseAddresses(m *Machine, s *Settings) (primary netip.Addr, all []Address, refused refusedAddress) {
	candidates := gatherCandidates(m, s)
	if len(candidates) == 0 {
		return netip.Addr{}, nil, refusedAddress{reason: IPNone}
	}
	slices.SortFunc(candidates, compareCandidates)
	if best := candidates[0]; best.reason != Accepted {
		return netip.Addr{}, nil, refusedAddress{best.text, best.reason}
	}
	seen := make(map[netip.Addr]bool, len(candidates))
	for _, c := range candidates {
		if c.reason != Accepted || seen[c.IP] || len(all) == maxAddresses {
			continue
		}
		seen[c.IP] = true
		all = append(all, c.Address)
	}
	return all[0].IP, all, refusedAddress{}
}

// gatherCandidates classifies what was reported. An address that any interface shows to be a container bridge is one
// wherever else it appears. The last address takes over what its interfaces say about it.
func gatherCandidates(m *Machine, s *Settings) []candidate {
	candidates := make([]candidate, 0, len(m.Interfaces)+1)
	bridges := make(map[netip.Addr]bool)
	for i := range m.Interfaces {
		n := &m.Interfaces[i]
		if strings.TrimSpace(n.Address) == "" {
			continue
		}
		c := newCandidate(n.Address, s)
		c.MAC = normalizeMAC(n.MAC)
		c.InterfaceType, c.kind = interfaceKind(n.Type)
		c.status = statusRank(n.Status)
		c.Up = c.status == 0
		if isContainerBridge(c.IP, c.MAC) {
			bridges[c.IP] = true
		}
		candidates = append(candidates, c)
	}
	candidates = addLast(candidates, m, s)
	for i := range candidates {
		if c := &candidates[i]; c.reason == Accepted && bridges[c.IP] {
			c.reason = IPContainer
		}
	}
	return candidates
}

func newCandidate(text string, s *Settings) candidate {
	c := candidate{text: text}
	c.IP, c.Scope, c.reason = ClassifyAddress(text)
	if c.reason == Accepted && denied(c.IP, s.IPDeny) {
		c.reason = IPDenied
	}
	return c
}

func addLast(candidates []candidate, m *Machine, s *Settings) []candidate {
	if strings.TrimSpace(m.LastIP) == "" {
		return candidates
	}
	last := newCandidate(m.LastIP, s)
	last.last, last.status, last.kind, last.InterfaceType = true, 1, 1, interfaceOther
	found := false
	for i := range candidates {
		if candidates[i].IP == last.IP && last.IP.IsValid() {
			candidates[i].last, found = true, true
		}
	}
	if !found {
		candidates = append(candidates, last)
	}
	return candidates
}

// compareCandidates orders by: usable; readable at all; last address; up before down; cable or radio before the rest;
// IPv4 before IPv6; lowest address; and at last by MAC and type, so that duplicates fall out the same way every time.
func compareCandidates(a, b candidate) int {
	return cmp.Or(
		cmp.Compare(refusal(a.reason), refusal(b.reason)),
		-compareBool(a.last, b.last),
		cmp.Compare(a.status, b.status),
		cmp.Compare(a.kind, b.kind),
		cmp.Compare(a.IP.BitLen(), b.IP.BitLen()),
		a.IP.Compare(b.IP),
		-cmp.Compare(a.MAC, b.MAC),
		cmp.Compare(a.InterfaceType, b.InterfaceType),
		cmp.Compare(a.text, b.text),
	)
}

func refusal(r Reason) int {
	switch r {
	case Accepted:
		return 0
	case IPSyntax:
		return 2
	}
	return 1
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func denied(addr netip.Addr, deny []netip.Prefix) bool {
	return slices.ContainsFunc(deny, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// bridgeRange is where container engines put their bridges, and where customers have networks of their own.
var bridgeRange = [2]netip.Addr{netip.MustParseAddr("172.17.0.0"), netip.MustParseAddr("172.31.255.255")}

// isContainerBridge asks for both marks of a container engine's bridge, its MAC prefix 02:42 and a gateway address: either
// alone is met on real networks.
func isContainerBridge(addr netip.Addr, mac string) bool {
	return addr.Is4() && strings.HasPrefix(mac, "02:42:") && addr.As4()[3] == 1 &&
		addr.Compare(bridgeRange[0]) >= 0 && addr.Compare(bridgeRange[1]) <= 0
}

// Kinds of interfaces.
const (
	interfaceEthernet = "ethernet"
	interfaceWireless = "wireless"
	interfaceTunnel   = "tunnel"
	interfaceOther    = "other"
)

// interfaceKind maps the names of .NET's NetworkInterfaceType, which Defender uses, and their preference.
func interfaceKind(word string) (kind string, rank int) {
	word = strings.ToLower(strings.TrimSpace(word))
	switch {
	case strings.HasPrefix(word, "ethernet"), word == "gigabitethernet", word == "fastethernett", word == "fastethernetfx":
		return interfaceEthernet, 0
	case strings.HasPrefix(word, "wireless"), word == "ieee80211":
		return interfaceWireless, 0
	case word == "tunnel":
		return interfaceTunnel, 1
	}
	return interfaceOther, 1
}

func statusRank(word string) int {
	switch {
	case strings.EqualFold(strings.TrimSpace(word), "up"):
		return 0
	case strings.EqualFold(strings.TrimSpace(word), "down"):
		return 2
	}
	return 1
}
