package world

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// State is a World with the changes applied so far. It never changes itself: Apply returns a new State, so that a
// chain of pages can go on reading the one it began with.
type State struct {
	w       *World
	removed map[int]bool
	over    map[int]override
	dropped map[int]map[int32]bool // position: vulnerabilities no longer found
	added   map[int][]row
	fixed   map[int32]bool // vulnerabilities no longer found anywhere
	churns  []churn

	indexOnce sync.Once
	index     *index
	truthOnce sync.Once
	truth     *Truth
}

// NewState is the world without changes.
func NewState(w *World) *State { return &State{w: w} }

// Change is one step in the life of a directory. Machines are named by MachineID or, plain ones, by Machine, their number
// in [0, Spec.Machines).
type Change struct {
	// Op is one of remove_machines, restore_machines (From ≤ number < To, or MachineID), exclude_machine, include_machine,
	// merge_machine (into Into), unmerge_machine, touch_machine (LastSeenDaysAgo), rename_machine (Hostname, a valid DNS name
	// in any case), readdress_machine (IP, a usable address), remove_findings, restore_findings, add_findings (CVEs of one
	// machine; remove with no CVEs removes all), fix_vulnerability, unfix_vulnerability (CVEs on all machines), change_rows
	// (Percent of them, by Pattern: other software versions behind the same findings; another share each time).
	Op              string   `json:"op"`
	Machine         *int     `json:"machine,omitempty"`
	MachineID       string   `json:"machine_id,omitempty"`
	From            int      `json:"from,omitempty"`
	To              int      `json:"to,omitempty"`
	Into            *int     `json:"into,omitempty"`
	CVEs            []string `json:"cves,omitempty"`
	LastSeenDaysAgo int      `json:"last_seen_days_ago,omitempty"`
	Hostname        string   `json:"hostname,omitempty"`
	IP              string   `json:"ip,omitempty"`
	Pattern         string   `json:"pattern,omitempty"` // clustered: all rows of that share of machines; scattered: that share of all rows
	Percent         float64  `json:"percent,omitempty"` // 0 means 1
}

// Apply returns a State with the changes made in order, or an error that names the first bad one, in which case nothing changes.
func (s *State) Apply(changes ...Change) (*State, error) {
	next := &State{w: s.w, removed: maps.Clone(s.removed), over: maps.Clone(s.over), added: maps.Clone(s.added),
		fixed: maps.Clone(s.fixed), churns: slices.Clone(s.churns), dropped: make(map[int]map[int32]bool, len(s.dropped))}
	for pos, set := range s.dropped {
		next.dropped[pos] = maps.Clone(set)
	}
	if next.removed == nil {
		next.removed, next.over, next.added, next.fixed = map[int]bool{}, map[int]override{}, map[int][]row{}, map[int32]bool{}
	}
	for i, c := range changes {
		if err := next.apply(c); err != nil {
			return nil, fmt.Errorf("change %d (%s): %w", i, c.Op, err)
		}
	}
	return next, nil
}

func (s *State) apply(c Change) error {
	switch c.Op {
	case "remove_machines", "restore_machines":
		return s.applyRange(c)
	case "fix_vulnerability", "unfix_vulnerability":
		return s.applyFix(c)
	case "remove_findings", "restore_findings", "add_findings":
		return s.applyFindings(c)
	case "change_rows":
		return s.applyChurn(c)
	}
	pos, err := s.position(c.Machine, c.MachineID)
	if err != nil {
		return err
	}
	o := s.over[pos]
	if err := s.applyOverride(&o, c); err != nil {
		return err
	}
	s.over[pos] = o
	return nil
}

func (s *State) applyOverride(o *override, c Change) error {
	yes, no := true, false
	switch c.Op {
	case "exclude_machine":
		o.excluded = &yes
	case "include_machine":
		o.excluded = &no
	case "merge_machine":
		into, err := s.position(c.Into, "")
		if err != nil {
			return fmt.Errorf("into: %w", err)
		}
		o.merged, o.unmerged = s.w.idAt(into), false
	case "unmerge_machine":
		o.merged, o.unmerged = "", true
	case "touch_machine":
		days := c.LastSeenDaysAgo
		o.daysAgo = &days
	case "rename_machine":
		o.hostname = c.Hostname
	case "readdress_machine":
		o.ip = c.IP
	default:
		return errors.New("unknown op")
	}
	return nil
}

func (s *State) position(number *int, id string) (int, error) {
	switch {
	case id != "":
		if pos, ok := s.w.find(strings.ToLower(id)); ok {
			return pos, nil
		}
		return 0, fmt.Errorf("no machine has id %q", id)
	case number == nil:
		return 0, errors.New("machine or machine_id is required")
	case *number < 0 || *number >= s.w.plain:
		return 0, fmt.Errorf("machine %d is outside 0..%d", *number, s.w.plain-1)
	}
	return int(s.w.where[*number]), nil
}

func (s *State) applyRange(c Change) error {
	set := func(pos int) {
		if c.Op == "remove_machines" {
			s.removed[pos] = true
		} else {
			delete(s.removed, pos)
		}
	}
	if c.MachineID != "" || c.Machine != nil {
		pos, err := s.position(c.Machine, c.MachineID)
		if err != nil {
			return err
		}
		for ; pos < s.w.Len() && (c.MachineID == "" || s.w.idAt(pos) == strings.ToLower(c.MachineID)); pos++ {
			set(pos)
			if c.MachineID == "" {
				break
			}
		}
		return nil
	}
	if c.From < 0 || c.To > s.w.plain || c.From >= c.To {
		return fmt.Errorf("range %d..%d is outside 0..%d or empty", c.From, c.To, s.w.plain)
	}
	for i := c.From; i < c.To; i++ {
		set(int(s.w.where[i]))
	}
	return nil
}

func (s *State) cves(list []string) ([]int32, error) {
	out := make([]int32, 0, len(list))
	for _, id := range list {
		i, ok := s.w.cat.Find(id)
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
	if op == "remove_findings" {
		if s.dropped[pos] == nil {
			s.dropped[pos] = map[int32]bool{}
		}
		s.dropped[pos][cve] = true
		return
	}
	delete(s.dropped[pos], cve)
	if op == "add_findings" && !slices.ContainsFunc(s.rows(pos, nil), func(r row) bool { return r.cve == cve }) {
		s.added[pos] = append(slices.Clone(s.added[pos]), row{cve: cve, software: s.w.cat.softwareOf(cve)})
	}
}

// softwareOf is the oldest release of the product a vulnerability belongs to.
func (c *Catalogue) softwareOf(cve int32) int32 {
	if int(cve) < len(c.ordinary) {
		return int32(c.ordinary[cve].product) * versionsPerProduct
	}
	return int32(int(cve) % len(c.software))
}

// rows appends the current rows of a position.
func (s *State) rows(pos int, buf []row) []row {
	if s.removed[pos] {
		return buf
	}
	o, changed := s.over[pos]
	if changed && o.excluded != nil && *o.excluded {
		return buf
	}
	start := len(buf)
	buf = append(s.w.baseRows(pos, buf), s.added[pos]...)
	s.churned(pos, buf[start:])
	dropped := s.dropped[pos]
	if len(dropped) == 0 && len(s.fixed) == 0 {
		return buf
	}
	kept := buf[:start]
	for _, r := range buf[start:] {
		if !dropped[r.cve] && !s.fixed[r.cve] {
			kept = append(kept, r)
		}
	}
	return kept
}
