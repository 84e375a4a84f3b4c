package world

import (
	"fmt"
	"maps"
	"slices"
)

func (s *State) cves(list []string) ([]int32, error) {
	out := make([]int32, 0, len(list))
	for _, id := range list {
		i, ok := s.cat.Find(id)
		if !ok {
			return nil, fmt.Errorf("no vulnerability has id %q", id)
		}
		out = append(out, int32(i))
	}
	return out, nil
}

func (s *State) applyFix(c Change) error {
	list, err := s.cves(c.CVEs)
	if err != nil {
		return err
	}
	for _, cve := range list {
		if c.Op == "fix_vulnerability" {
			s.fixed[cve] = true
		} else {
			delete(s.fixed, cve)
		}
	}
	return nil
}

func (s *State) applyFindings(c Change) error {
	pos, err := s.position(c.Machine, c.MachineID)
	if err != nil {
		return err
	}
	list, err := s.cves(c.CVEs)
	if err != nil {
		return err
	}
	if len(list) == 0 && c.Op == "remove_findings" {
		for _, r := range s.rows(pos, nil) {
			list = append(list, r.cve)
		}
	}
	if c.Op == "restore_findings" && len(list) == 0 {
		delete(s.dropped, pos)
		return nil
	}
	for _, cve := range list {
		s.applyFinding(c.Op, pos, cve)
	}
	return nil
}

func (s *State) applyFinding(op string, pos int, cve int32) {
	dropped := maps.Clone(s.dropped[pos])
	if dropped == nil {
		dropped = map[int32]bool{}
	}
	s.dropped[pos] = dropped
	if op == "remove_findings" {
		dropped[cve] = true
		return
	}
	delete(dropped, cve)
	if op == "add_findings" && !slices.ContainsFunc(s.rows(pos, nil), func(r row) bool { return r.cve == cve }) {
		s.added[pos] = append(slices.Clone(s.added[pos]), row{cve: cve, software: s.cat.softwareOf(cve)})
	}
}

// softwareOf is the oldest release of the product a vulnerability belongs to.
func (c *Catalogue) softwareOf(cve int32) int32 {
	if n := int(cve) - c.built(); n >= 0 {
		return int32(c.published[n].product) * versionsPerProduct
	}
	if int(cve) < len(c.ordinary) {
		return int32(c.ordinary[cve].product) * versionsPerProduct
	}
	return int32(int(cve) % len(c.software))
}
