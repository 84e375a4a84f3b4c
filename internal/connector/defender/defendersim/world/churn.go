package world

import (
	"fmt"
	"slices"
)

// churn is a share of the rows of which something else is told. By change_rows their software moved on to the next release of its product,
// where the vulnerability still is: the rows change, the findings stay. By replace_findings their vulnerability is gone and the same
// software has another one: as many findings end as begin.
type churn struct {
	replaces  bool // findings
	clustered bool // all rows of a share of the machines, instead of a share of the rows of all machines
	basis     int  // hundredths of a percent
	salt      uint64
}

func (s *State) applyChurn(c Change) error {
	percent := c.Percent
	if percent == 0 {
		percent = 1
	}
	switch {
	case c.Pattern != "clustered" && c.Pattern != "scattered":
		return fmt.Errorf("pattern %q is not clustered or scattered", c.Pattern)
	case !(percent >= 0.01 && percent <= 100):
		return fmt.Errorf("%v percent is outside 0.01 to 100", percent)
	}
	s.churns = append(s.churns, churn{
		replaces: c.Op == "replace_findings", clustered: c.Pattern == "clustered", basis: int(percent*100 + 0.5), salt: uint64(len(s.churns) + 1),
	})
	return nil
}

// churned applies what change_rows and replace_findings asked for to the rows of a position. The first of them, so many, are not what
// add_findings added: that stays what it is.
func (s *State) churned(pos int, rows []row, own int) {
	for _, c := range s.churns {
		salt := s.salt(c, pos)
		if c.replaces {
			s.replaced(c, salt, rows, own)
			continue
		}
		for i := range rows {
			draw := salt
			if !c.clustered {
				draw = mix(salt ^ uint64(uint32(rows[i].cve))<<32 ^ uint64(i))
			}
			if int(draw%10_000) < c.basis {
				rows[i].software = nextRelease(rows[i].software)
			}
		}
	}
}

// replaced gives all rows of a vulnerability another one, so that the finding ends and one begins.
func (s *State) replaced(c churn, salt uint64, rows []row, own int) {
	var gone, found []int32
	for i := range rows[:own] {
		r := &rows[i]
		if r.cve == noCVE {
			continue
		}
		if n := slices.Index(gone, r.cve); n >= 0 {
			r.cve = found[n]
			continue
		}
		draw, chosen := mix(salt^uint64(uint32(r.cve))<<32), salt
		if !c.clustered {
			chosen = draw
		}
		if int(chosen%10_000) >= c.basis {
			continue
		}
		other := s.otherOf(*r, mix(draw), rows, gone)
		gone, found = append(gone, r.cve), append(found, other)
		r.cve = other
	}
}

// otherOf draws a vulnerability of a row's software that the machine neither has nor had a moment ago; the row's own if it has them all.
func (s *State) otherOf(of row, draw uint64, rows []row, gone []int32) int32 {
	list := s.w.cat.affected[of.software]
	for n := range list {
		cve := list[(draw%uint64(len(list))+uint64(n))%uint64(len(list))]
		if !slices.Contains(gone, cve) && !slices.ContainsFunc(rows, func(r row) bool { return r.cve == cve }) {
			return cve
		}
	}
	return of.cve
}

// salt decides which positions, and from them which rows, a churn takes.
func (s *State) salt(c churn, pos int) uint64 { return mix(s.w.seed ^ c.salt<<40 ^ uint64(pos)) }

func nextRelease(software int32) int32 {
	release := software % versionsPerProduct
	return software - release + (release+1)%versionsPerProduct
}
