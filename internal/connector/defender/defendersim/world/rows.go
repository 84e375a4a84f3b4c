package world

import (
	"strings"
)

// rowsMode says which rows a machine has.
type rowsMode uint8

const (
	rowsOrdinary    rowsMode = iota
	rowsFew                  // three ordinary rows
	rowsNone                 // not assessed
	rowsEdges                // one row for each unusual vulnerability, some twice
	rowsNoCVE                // software without a vulnerability among ordinary rows
	rowsUpperDevice          // every other row spells the machine id in upper case
	rowsShared               // one vulnerability through three products
)

const (
	flagLowerCVE = 1 << iota
	flagUpperDevice
	flagMoved // the software lies on another disk; no part of the row's identity
)

const noCVE = -1

// strangers are machines that rows name and the list of machines lacks; their row positions follow the list's.
const strangers = 2

// row is one line of the mapping: a vulnerability that a machine has through a piece of software.
type row struct {
	cve, software int32
	flags         uint8
}

// rowPositions counts the positions that can have rows.
func (w *World) rowPositions() int {
	if len(w.edges) == 0 {
		return len(w.slots)
	}
	return len(w.slots) + strangers
}

// baseRows appends the rows of a position before changes. A record delivered twice has its rows at the first copy.
func (w *World) baseRows(pos int, buf []row) []row {
	if pos >= len(w.slots) {
		return w.ordinaryRows(uint64(1<<40+pos), famClient, 4, buf)
	}
	j := w.edgeOf(pos)
	if j < 0 {
		return w.plainRows(int(w.slots[pos]), buf)
	}
	if w.edges[j].twin {
		return buf
	}
	return w.edgeRows(j, w.edgeBases[j].rows, w.edgeBases[j].families, buf)
}

func (w *World) plainRows(i int, buf []row) []row {
	r := newRNG(w.seed, 0x3ac, uint64(i))
	families := osKinds[osTable[r.n(len(osTable))]].families
	// The factors average one: some machines are clean, a few carry far more than the rest.
	factor := [8]int{0, 25, 50, 75, 100, 125, 150, 275}[mix(w.seed^uint64(i)*31)%8]
	buf = w.ordinaryRows(uint64(i), families, w.mean*factor/100, buf)
	if len(w.edges) > 0 && i%17 == 3 {
		buf = append(buf, row{cve: noCVE, software: int32(i % len(w.cat.software))})
	}
	return buf
}

// ordinaryRows installs products in a random order and gives the machine a run of each one's vulnerabilities until the
// wanted number is reached. Runs are contiguous because a machine lacks the patches of certain months.
func (w *World) ordinaryRows(key uint64, families, want int, buf []row) []row {
	r := newRNG(w.seed, 0x40f5, key)
	list := productsOf[families]
	limit := max(6, want/7)
	start := r.n(len(list))
	var installed uint64 // by product
	for n := 0; n < len(list) && want > 0; n++ {
		p := int(list[(start+n*7)%len(list)])
		release := r.n(versionsPerProduct)
		if installed&(1<<p) != 0 || (products[p].os && installed&operatingSystems != 0) {
			continue
		}
		installed |= 1 << p
		cves := w.cat.affected[p*versionsPerProduct+release]
		take := min(len(cves), limit, want)
		if take == 0 {
			continue
		}
		from := r.n(len(cves) - take + 1)
		run := cves[from : from+take]
		for _, cve := range run {
			buf = append(buf, row{cve: cve, software: int32(p*versionsPerProduct + release)})
		}
		want -= take
		if s := siblings[p]; s >= 0 && !products[p].os && products[s].families&families != 0 && installed&(1<<s) == 0 {
			installed |= 1 << s
			buf, want = w.siblingRows(run, s, release, want, buf)
		}
	}
	return buf
}

// siblingRows adds the rows of a product that shares code with one just installed: one vulnerability, two pieces of software.
func (w *World) siblingRows(run []int32, sibling, release, want int, buf []row) ([]row, int) {
	for _, cve := range run {
		if want > 0 && w.cat.shared(int(cve)) {
			buf = append(buf, row{cve: cve, software: int32(sibling*versionsPerProduct + release)})
			want--
		}
	}
	return buf, want
}

// productsOf lists the products of each family; their number is coprime with the stride used above.
var productsOf = func() map[int][]uint8 {
	out := map[int][]uint8{}
	for _, family := range []int{famClient, famServer, famMac, famLinux} {
		for i, p := range products {
			if p.families&family != 0 {
				out[family] = append(out[family], uint8(i))
			}
		}
		if len(out[family])%7 == 0 {
			out[family] = out[family][:len(out[family])-1]
		}
	}
	return out
}()

func (w *World) edgeRows(j int, mode rowsMode, families int, buf []row) []row {
	key := uint64(1<<41 + j)
	first := int32(len(w.cat.ordinary))
	switch mode {
	case rowsNone:
		return buf
	case rowsEdges:
		for i := range w.cat.edges {
			buf = append(buf, row{cve: first + int32(i), software: int32(i % len(w.cat.software))})
		}
		buf = append(buf, row{cve: first, software: 90, flags: flagLowerCVE}, row{cve: first + 1, software: 91})
		return append(buf, row{cve: noCVE, software: 92})
	case rowsShared:
		return append(buf, row{cve: first, software: 50}, row{cve: first, software: 58}, row{cve: first, software: 66})
	case rowsNoCVE:
		buf = w.ordinaryRows(key, families, 2, buf)
		return append(buf, row{cve: noCVE, software: 8}, row{cve: noCVE, software: 16}, row{cve: noCVE, software: 24})
	case rowsUpperDevice:
		start := len(buf)
		buf = w.ordinaryRows(key, families, 4, buf)
		for i := start; i < len(buf); i += 2 {
			buf[i].flags = flagUpperDevice
		}
		return buf
	case rowsFew:
		return w.ordinaryRows(key, families, 3, buf)
	}
	return w.ordinaryRows(key, families, w.mean, buf)
}

// rowWriter renders rows of one machine after another, keeping what the rows of a machine share.
type rowWriter struct {
	cat     *Catalogue
	w       *World
	id      string
	upper   string
	members []byte // of an export row, from deviceName on
	tail    []byte // after the first-seen time
	pos     int
}

func (rw *rowWriter) machine(pos int, m *Machine) {
	rw.id, rw.upper = m.ID, strings.ToUpper(m.ID)
	b := appendInt(rw.members[:0], "rbacGroupId", m.Group)
	group := m.GroupName
	if group == Null {
		group = "Unassigned"
	}
	b = appendKey(b, ',', "rbacGroupName", group)
	b = appendKey(b, ',', "deviceName", m.DNSName)
	b = appendKey(b, ',', "osPlatform", m.RowOS)
	b = appendKey(b, ',', "osVersion", m.RowOSVersion)
	rw.members = appendKey(b, ',', "osArchitecture", "x64")
	seen := m.lastSeen
	if seen.IsZero() {
		seen = rw.w.epoch
	}
	b = appendKey(rw.tail[:0], ',', "lastSeenTimestamp", blankSeparated(seen))
	rw.tail = append(appendBool(b, "isOnboarded", true), '}')
	rw.pos = pos
}

// stamp chooses the first-seen time of a finding, the same in every pull; a larger number is longer ago.
func (w *World) stamp(pos int, cve int32) uint8 {
	return uint8(mix(w.seed ^ uint64(pos)<<24 ^ uint64(cve)))
}

func (rw *rowWriter) firstSeen(cve int32) string {
	if len(rw.cat.published) > 0 && int(cve) >= rw.cat.built() {
		return rw.cat.revised[cve].seen
	}
	return rw.w.stamps[rw.w.stamp(rw.pos, cve)]
}

func (rw *rowWriter) cveText(r row) string {
	id := rw.cat.ids[r.cve]
	if r.flags&flagLowerCVE != 0 {
		return strings.ToLower(id)
	}
	return id
}

var noCVEMembers = []byte(`,"cveId":null,"vulnerabilitySeverityLevel":null,"cvssScore":null,"exploitabilityLevel":null,` +
	`"securityUpdateAvailable":false,"recommendedSecurityUpdate":null,"recommendedSecurityUpdateId":null,"recommendedSecurityUpdateUrl":null`)

// appendExport writes a row as SoftwareVulnerabilitiesByMachine does.
func (rw *rowWriter) appendExport(b []byte, r row) []byte {
	s := &rw.cat.software[r.software]
	device := rw.device(r)
	b = appendRowID(append(b, `{"id":"`...), device, s, rw.cat, r)
	b = append(b, `","deviceId":"`...)
	b = append(append(b, device...), '"')
	b = append(append(b, rw.members...), s.exportMembers(r)...)
	b = append(b, rw.vulnerability(r)...)
	b = append(b, `,"firstSeenTimestamp":"`...)
	b = append(append(b, rw.firstSeen(r.cve)...), '"')
	return append(b, rw.tail...)
}

func (rw *rowWriter) device(r row) string {
	if r.flags&flagUpperDevice != 0 {
		return rw.upper
	}
	return rw.id
}

func appendRowID(b []byte, device string, s *software, c *Catalogue, r row) []byte {
	b = append(append(b, device...), s.inID...)
	if r.cve != noCVE {
		b = append(b, c.ids[r.cve]...)
	}
	return b
}

// vulnerability is the part of an export row that tells of the vulnerability.
func (rw *rowWriter) vulnerability(r row) []byte {
	switch {
	case r.cve == noCVE:
		return noCVEMembers
	case r.flags&flagLowerCVE != 0:
		v := rw.cat.At(int(r.cve))
		v.ID = rw.cveText(r)
		return v.exportMembers()
	}
	return rw.cat.exportOf(r.cve)
}

// appendMapping writes a row as GET /api/vulnerabilities/machinesVulnerabilities does.
func (rw *rowWriter) appendMapping(b []byte, r row, severity, kb string) []byte {
	s := &rw.cat.software[r.software]
	device, cve := rw.device(r), rw.cveText(r)
	id := strings.Join([]string{device, cve, s.vendor, s.name, s.version, kb}, "-_-")
	b = appendKey(append(b, '{'), 0, "id", id)
	b = appendKey(b, ',', "cveId", cve)
	b = appendKey(b, ',', "machineId", device)
	b = appendKey(b, ',', "fixingKbId", orNull(kb))
	b = append(b, s.mapping...)
	return append(appendKey(b, ',', "severity", severity), '}')
}
