package world

import (
	"slices"
	"strings"
)

// Cursor is a place in the rows of a State, or in those of a Delta.
type Cursor struct{ Place, Offset int }

// chunk is the number of bytes collected before they are handed on.
const chunk = 64 << 10

// Len counts machines delivered.
func (s *State) Len() int { return s.places() - len(s.removed) }

// Find returns a current machine by id or DNS name, both compared without case; of two copies the first.
func (s *State) Find(idOrName string) (Machine, bool) {
	if pos, ok := s.find(idOrName); ok {
		return s.machine(pos), true
	}
	return Machine{}, false
}

func (s *State) find(idOrName string) (int, bool) {
	if pos, ok := s.locate(strings.ToLower(idOrName)); ok {
		return pos, !s.removed[pos]
	}
	for place := range s.places() {
		pos := s.at(place)
		if m := s.machine(pos); !s.removed[pos] && m.HasName(idOrName) {
			return pos, true
		}
	}
	return 0, false
}

// Machines yields the current records in the order of their ids, the first skip of them left out.
func (s *State) Machines(skip int) func(yield func(*Machine) bool) {
	return func(yield func(*Machine) bool) {
		place := 0
		if len(s.removed) == 0 {
			place, skip = min(skip, s.places()), 0
		}
		for ; place < s.places(); place++ {
			pos := s.at(place)
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
	rw := rowWriter{cat: s.cat, w: s.w}
	var rows []row
	out := make([]byte, 0, min(chunk+4096, limit*1024+1024))
	written := 0
	for place := from.Place; place < s.rowPlaces(); place++ {
		pos := s.at(place)
		rows = s.rows(pos, rows[:0])
		offset := 0
		if place == from.Place {
			offset = min(from.Offset, len(rows))
		}
		if offset == len(rows) {
			continue
		}
		if written == limit {
			return Cursor{place, offset}, true, flush(out, write)
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
			return Cursor{place, offset}, true, flush(out, write)
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
		rw := rowWriter{cat: s.cat, w: s.w}
		if machineID != "" {
			if pos, ok := s.locate(strings.ToLower(machineID)); ok {
				s.mappingRows(&rw, pos, nil, &skip, yield)
			}
			return
		}
		from := 0
		if skip > 0 {
			from, skip = s.counts().seek(skip)
		}
		var rows []row
		for more := true; more && from < s.rowPlaces(); from++ {
			rows, more = s.mappingRows(&rw, s.at(from), rows[:0], &skip, yield)
		}
	}
}

// mappingRows yields the rows of one position and returns the space it used; false when the walk is over.
func (s *State) mappingRows(rw *rowWriter, pos int, rows []row, skip *int, yield func(*MappingRow) bool) ([]row, bool) {
	rows = s.rows(pos, rows)
	if len(rows) == 0 {
		return rows, true
	}
	m := s.machine(pos)
	rw.machine(pos, &m)
	for _, r := range rows {
		if r.cve == noCVE {
			continue
		}
		if *skip > 0 {
			*skip--
			continue
		}
		if !yield(rw.mapping(r)) {
			return rows, false
		}
	}
	return rows, true
}

func (rw *rowWriter) mapping(r row) *MappingRow {
	v := rw.cat.brief(r.cve)
	out := &MappingRow{writer: rw, row: r, severity: v.RowSeverity, kb: v.KB, MachineID: rw.id, CVE: rw.cveText(r)}
	return out
}

// brief composes what mapping rows need of a vulnerability.
func (c *Catalogue) brief(cve int32) Vulnerability {
	if r := c.revised[cve]; r != nil {
		return r.Vulnerability
	}
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

// Exposed yields the machines of the list that have vulnerability i.
func (s *State) Exposed(i int) func(yield func(*Machine) bool) {
	return func(yield func(*Machine) bool) {
		var rows []row
		for place := range s.places() {
			pos := s.at(place)
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
