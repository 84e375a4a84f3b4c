package world

import (
	"errors"
	"fmt"
	"maps"
)

// installation is what became of a product on one machine.
type installation struct {
	ahead int  // releases it has moved on
	moved bool // to another disk
}

// patched is further than any release: what was known when it came out is fixed in it.
const patched = versionsPerProduct

// applySoftware carries out upgrade_software, patch_software, rollback_software and move_software on one machine.
func (s *State) applySoftware(pos int, c Change) error {
	rows := s.rows(pos, nil)
	if c.Op == "rollback_software" {
		if s.installs[pos] == nil {
			return errors.New("nothing was upgraded or moved")
		}
		if c.Software == "" {
			delete(s.installs, pos)
			return nil
		}
	} else if len(rows) == 0 {
		return errors.New("the machine has no rows")
	}
	product := uint8(0)
	if len(rows) > 0 {
		product = uint8(rows[0].software / versionsPerProduct)
	}
	if c.Software != "" {
		p, err := productNamed(c.Software)
		if err != nil {
			return err
		}
		product = uint8(p)
	}
	if c.Op != "rollback_software" && !hasProduct(rows, product) {
		return fmt.Errorf("the machine has no rows of %s/%s", products[product].vendor, products[product].name)
	}
	s.install(pos, product, c.Op)
	return nil
}

func hasProduct(rows []row, product uint8) bool {
	for _, r := range rows {
		if r.software/versionsPerProduct == int32(product) {
			return true
		}
	}
	return false
}

func (s *State) install(pos int, product uint8, op string) {
	set := maps.Clone(s.installs[pos])
	if set == nil {
		set = map[uint8]installation{}
	}
	was := set[product]
	switch op {
	case "upgrade_software":
		was.ahead++
	case "patch_software":
		was.ahead = patched
	case "move_software":
		was.moved = !was.moved
	case "rollback_software":
		was = installation{}
	}
	set[product] = was
	s.installs[pos] = set
}

// installed applies what became of the products of a machine to its rows: a release further on has fewer of the
// vulnerabilities. The unusual vulnerabilities belong to no release; only a patch ends them.
func (s *State) installed(set map[uint8]installation, rows []row) []row {
	kept := rows[:0]
	for _, r := range rows {
		in := set[uint8(r.software/versionsPerProduct)]
		release := r.software%versionsPerProduct + int32(in.ahead)
		if in.ahead > 0 && (in.ahead >= patched || !s.cat.affects(r.cve, release)) {
			continue
		}
		if in.ahead > 0 {
			r.software += min(release, versionsPerProduct-1) - r.software%versionsPerProduct
		}
		if in.moved {
			r.flags |= flagMoved
		}
		kept = append(kept, r)
	}
	return kept
}

// affects tells whether an ordinary vulnerability is still in a release; other rows stay.
func (c *Catalogue) affects(cve, release int32) bool {
	return cve < 0 || int(cve) >= len(c.ordinary) || release < int32(c.ordinary[cve].releases)
}
