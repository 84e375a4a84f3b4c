package world

import "fmt"

// churn is a share of the rows whose software moved on to the next release of its product, where the vulnerability
// still is: the rows change, the findings stay.
type churn struct {
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
	s.churns = append(s.churns, churn{clustered: c.Pattern == "clustered", basis: int(percent*100 + 0.5), salt: uint64(len(s.churns) + 1)})
	return nil
}

// churned applies what change_rows asked for to the rows of a position.
func (s *State) churned(pos int, rows []row) {
	for _, c := range s.churns {
		salt := s.salt(c, pos)
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

// salt decides which positions, and from them which rows, a change_rows takes.
func (s *State) salt(c churn, pos int) uint64 { return mix(s.w.seed ^ c.salt<<40 ^ uint64(pos)) }

func nextRelease(software int32) int32 {
	release := software % versionsPerProduct
	return software - release + (release+1)%versionsPerProduct
}
