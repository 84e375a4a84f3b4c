package world

import (
	"slices"
	"strings"
	"time"
)

// Cursor is a place in the rows of a State.
type Cursor struct{ Position, Offset int }

// chunk is the number of bytes collected before they are handed on.
const chunk = 64 << 10

// index counts rows so that offset paging and exposure need one pass over a State.
type index struct {
	rows     []int32 // by row position: mapping rows before it
	exposed  []int32 // by vulnerability: machines that have it
	earliest []uint8 // by vulnerability: place of the oldest first-seen stamp; larger is older
}

// Len counts machines delivered.
func (s *State) Len() int { return s.w.Len() - len(s.removed) }

// Find returns a current machine by id or DNS name, both compared without case; of two copies the first.
func (s *State) Find(idOrName string) (Machine, bool) {
	if pos, ok := s.find(idOrName); ok {
		return s.machine(pos), true
	}
	return Machine{}, false
}

func (s *State) find(idOrName string) (int, bool) {
	if pos, ok := s.w.find(strings.ToLower(idOrName)); ok {
		return pos, !s.removed[pos]
	}
	for pos := range s.w.Len() {
		if m := s.machine(pos); !s.removed[pos] && m.HasName(idOrName) {
			return pos, true
		}
	}
	return 0, false
}

// Machines yields the current records in the order of their ids, the first skip of them left out.
func (s *State) Machines(skip int) func(yield func(*Machine) bool) {
	return func(yield func(*Machine) bool) {
		pos := 0
		if len(s.removed) == 0 {
			pos, skip = min(skip, s.w.Len()), 0
		}
		for ; pos < s.w.Len(); pos++ {
			if s.removed[pos] {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			if m := s.machine(pos); !yield(&m) {
				return
			}
		}
	}
}

// ExportRows writes up to limit rows from a cursor on, comma-separated, in chunks, and returns the place after them; more
// tells whether rows follow there.
func (s *State) ExportRows(from Cursor, limit int, write func([]byte) error) (next Cursor, more bool, err error) {
	rw := rowWriter{cat: s.w.cat, w: s.w}
	var rows []row
	out := make([]byte, 0, min(chunk+4096, limit*1024+1024))
	written := 0
	for pos := from.Position; pos < s.w.rowPositions(); pos++ {
		rows = s.rows(pos, rows[:0])
		offset := 0
		if pos == from.Position {
			offset = min(from.Offset, len(rows))
		}
		if offset == len(rows) {
			continue
		}
		if written == limit {
			return Cursor{pos, offset}, true, flush(out, write)
		}
		m := s.machine(pos)
		rw.machine(pos, &m)
		for ; offset < len(rows) && written < limit; offset++ {
			if written > 0 {
				out = append(out, ',')
			}
			out = rw.appendExport(out, rows[offset])
			written++
			if len(out) >= chunk {
				if err := write(out); err != nil {
					return Cursor{}, false, err
				}
				out = out[:0]
			}
		}
		if offset < len(rows) {
			return Cursor{pos, offset}, true, flush(out, write)
		}
	}
	return Cursor{}, false, flush(out, write)
}

func flush(b []byte, write func([]byte) error) error {
	if len(b) == 0 {
		return nil
	}
	return write(b)
}

// MappingRow is a row of GET /api/vulnerabilities/machinesVulnerabilities; it is valid until the next one is yielded.
type MappingRow struct {
	writer         *rowWriter
	row            row
	severity, kb   string
	MachineID, CVE string
}

// AppendJSON writes the row.
func (r *MappingRow) AppendJSON(b []byte) []byte {
	return r.writer.appendMapping(b, r.row, r.severity, r.kb)
}

// Field returns the value a $filter compares, by its lower-case property name; false when the property is not filterable.
func (r *MappingRow) Field(name string) (any, bool) {
	s := &r.writer.cat.software[r.row.software]
	switch name {
	case "id":
		return r.MachineID + "-_-" + r.CVE + "-_-" + s.vendor + "-_-" + s.name + "-_-" + s.version + "-_-" + r.kb, true
	case "cveid":
		return r.CVE, true
	case "machineid":
		return r.MachineID, true
	case "fixingkbid":
		return plain(orNull(r.kb)), true
	case "productname":
		return s.name, true
	case "productversion":
		return s.version, true
	case "productvendor":
		return s.vendor, true
	case "severity":
		return plain(r.severity), true
	}
	return nil, false
}

// MappingRows yields the current rows that name a vulnerability, the first skip of them left out. A machine id, if not
// "", restricts the walk to that machine.
func (s *State) MappingRows(skip int, machineID string) func(yield func(*MappingRow) bool) {
	return func(yield func(*MappingRow) bool) {
		from, to := 0, s.w.rowPositions()
		if machineID != "" {
			pos, ok := s.w.find(strings.ToLower(machineID))
			if !ok {
				return
			}
			from, to = pos, pos+1
		} else if skip > 0 {
			from, skip = s.counts().seek(skip)
		}
		rw := rowWriter{cat: s.w.cat, w: s.w}
		var rows []row
		for pos := from; pos < to; pos++ {
			rows = s.rows(pos, rows[:0])
			if len(rows) == 0 {
				continue
			}
			m := s.machine(pos)
			rw.machine(pos, &m)
			for _, r := range rows {
				if r.cve == noCVE {
					continue
				}
				if skip > 0 {
					skip--
					continue
				}
				if !yield(rw.mapping(r)) {
					return
				}
			}
		}
	}
}

func (rw *rowWriter) mapping(r row) *MappingRow {
	v := rw.cat.brief(r.cve)
	out := &MappingRow{writer: rw, row: r, severity: v.RowSeverity, kb: v.KB, MachineID: rw.id, CVE: rw.cveText(r)}
	return out
}

// brief composes what mapping rows need of a vulnerability.
func (c *Catalogue) brief(cve int32) Vulnerability {
	if int(cve) >= len(c.ordinary) {
		return c.edges[int(cve)-len(c.ordinary)]
	}
	e := c.ordinary[cve]
	v := Vulnerability{RowSeverity: scores[e.score].word}
	if p := products[e.product]; p.os && p.vendor == "microsoft" {
		v.KB = kbOf(int(cve))
	}
	return v
}

// counts counts the State once; later calls return the same counts.
func (s *State) counts() *index {
	s.indexOnce.Do(func() { s.index = s.buildIndex() })
	return s.index
}

func (s *State) buildIndex() *index {
	n := s.w.rowPositions()
	ix := &index{rows: make([]int32, n+1), exposed: make([]int32, s.w.cat.Len()), earliest: make([]uint8, s.w.cat.Len())}
	last := make([]int32, s.w.cat.Len()) // position last counted, plus one
	var rows []row
	for pos := range n {
		rows = s.rows(pos, rows[:0])
		ix.rows[pos+1] = ix.rows[pos]
		for _, r := range rows {
			if r.cve == noCVE {
				continue
			}
			ix.rows[pos+1]++
			if last[r.cve] != int32(pos+1) {
				last[r.cve] = int32(pos + 1)
				ix.exposed[r.cve]++
				ix.earliest[r.cve] = max(ix.earliest[r.cve], s.w.stamp(pos, r.cve))
			}
		}
	}
	return ix
}

// seek returns the position that holds mapping row n and the rows to skip there.
func (ix *index) seek(n int) (pos, skip int) {
	lo, hi := 0, len(ix.rows)-1
	for lo < hi {
		mid := (lo + hi) / 2
		if int(ix.rows[mid+1]) > n {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == len(ix.rows)-1 {
		return lo, 0
	}
	return lo, n - int(ix.rows[lo])
}

// MappingCount counts the rows that name a vulnerability.
func (s *State) MappingCount() int { ix := s.counts(); return int(ix.rows[len(ix.rows)-1]) }

// Exposure tells how far vulnerability i has spread in the directory.
func (s *State) Exposure(i int) Exposure {
	ix := s.counts()
	if ix.exposed[i] == 0 {
		return Exposure{}
	}
	return Exposure{Machines: int(ix.exposed[i]), FirstDetected: s.w.stampAt[ix.earliest[i]].Truncate(time.Second)}
}

// Exposed yields the machines of the list that have vulnerability i.
func (s *State) Exposed(i int) func(yield func(*Machine) bool) {
	return func(yield func(*Machine) bool) {
		var rows []row
		for pos := range s.w.Len() {
			rows = s.rows(pos, rows[:0])
			if !slices.ContainsFunc(rows, func(r row) bool { return int(r.cve) == i }) {
				continue
			}
			if m := s.machine(pos); !yield(&m) {
				return
			}
		}
	}
}

// VulnerabilitiesOf lists the distinct vulnerabilities of a machine in the order of its rows; false when the list lacks it.
func (s *State) VulnerabilitiesOf(machineID string) ([]int, bool) {
	pos, ok := s.find(machineID)
	if !ok {
		return nil, false
	}
	out := []int{}
	for _, r := range s.rows(pos, nil) {
		if r.cve != noCVE && !slices.Contains(out, int(r.cve)) {
			out = append(out, int(r.cve))
		}
	}
	return out, true
}
