package world

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// State is a World with the changes applied so far. It never changes itself: Apply returns a new State, so that a
// chain of pages can go on reading the one it began with.
type State struct {
	w         *World
	cat       *Catalogue // the edition of the World's catalogue
	removed   map[int]bool
	over      map[int]override
	dropped   map[int]map[int32]bool // position: vulnerabilities no longer found
	added     map[int][]row
	installs  map[int]map[uint8]installation // position, product
	fixed     map[int32]bool                 // vulnerabilities no longer found anywhere
	churns    []churn
	newcomers []newcomer // by arrival
	byID      []int32    // the same, sorted by id
	day       int        // since the directory was laid out

	indexOnce sync.Once
	index     *index
	truthOnce sync.Once
	truth     *Truth
}

// NewState is the world without changes.
func NewState(w *World) *State { return &State{w: w, cat: w.cat} }

// Catalogue is the list of vulnerabilities as of this State.
func (s *State) Catalogue() *Catalogue { return s.cat }

// WithCatalogue is the same directory under another edition of its catalogue.
func (s *State) WithCatalogue(c *Catalogue) *State {
	next := s.copy()
	next.cat = c
	return next
}

// Apply is ApplyAt the time the directory was laid out.
func (s *State) Apply(changes ...Change) (*State, error) { return s.ApplyAt(s.w.epoch, changes...) }

// ApplyAt returns a State with the changes made in order, or an error that names the first bad one, in which case nothing
// changes. The time is that of what Microsoft rates or publishes.
func (s *State) ApplyAt(at time.Time, changes ...Change) (*State, error) {
	next := s.copy()
	next.day = max(s.day, s.w.dayOf(at))
	for i, c := range changes {
		if err := next.apply(c, at); err != nil {
			return nil, fmt.Errorf("change %d (%s): %w", i, c.Op, err)
		}
	}
	return next, nil
}

// copy returns a State that may be changed until it is handed out. The sets inside its maps are replaced, never changed.
func (s *State) copy() *State {
	next := &State{w: s.w, cat: s.cat, removed: maps.Clone(s.removed), over: maps.Clone(s.over), added: maps.Clone(s.added),
		dropped: maps.Clone(s.dropped), installs: maps.Clone(s.installs), fixed: maps.Clone(s.fixed), churns: slices.Clone(s.churns),
		newcomers: s.newcomers, byID: s.byID, day: s.day}
	if next.removed == nil {
		next.removed, next.over, next.added, next.fixed = map[int]bool{}, map[int]override{}, map[int][]row{}, map[int32]bool{}
		next.dropped, next.installs = map[int]map[int32]bool{}, map[int]map[uint8]installation{}
	}
	return next
}

func (s *State) apply(c Change, at time.Time) error {
	switch c.Op {
	case "add_machines":
		return s.applyArrival(c)
	case "rate_vulnerability":
		s.cat = s.cat.edit()
		return s.cat.applyRating(c, at)
	case "classify_vulnerability":
		s.cat = s.cat.edit()
		return s.cat.applyClassification(c, at)
	case "publish_vulnerability":
		s.cat = s.cat.edit()
		return s.cat.applyPublication(c, at)
	case "drift":
		return s.applyDrift(c, at)
	case "remove_machines", "restore_machines":
		return s.applyRange(c)
	case "fix_vulnerability", "unfix_vulnerability":
		return s.applyFix(c)
	case "remove_findings", "restore_findings", "add_findings":
		return s.applyFindings(c)
	case "change_rows", "replace_findings":
		return s.applyChurn(c)
	}
	pos, err := s.position(c.Machine, c.MachineID)
	if err != nil {
		return err
	}
	switch c.Op {
	case "reimage_machine":
		return s.applyReimage(pos, c, at)
	case "upgrade_software", "patch_software", "rollback_software", "move_software":
		return s.applySoftware(pos, c)
	}
	o := s.over[pos]
	if err := s.applyOverride(&o, c, at); err != nil {
		return err
	}
	s.over[pos] = o
	return nil
}

func (s *State) applyOverride(o *override, c Change, at time.Time) error {
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
		o.merged, o.unmerged = s.idOf(into), false
	case "unmerge_machine":
		o.merged, o.unmerged = "", true
	case "touch_machine":
		days := c.LastSeenDaysAgo
		o.daysAgo, o.touched = &days, at
	case "offboard_machine":
		o.offboarded = true
	case "onboard_machine":
		o.offboarded = false
	case "regroup_machine":
		if c.Group == nil || *c.Group < 0 || *c.Group >= len(groupNames) {
			return fmt.Errorf("group is required, 0..%d", len(groupNames)-1)
		}
		o.group = c.Group
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
		if pos, ok := s.locate(strings.ToLower(id)); ok {
			return pos, nil
		}
		return 0, fmt.Errorf("no machine has id %q", id)
	case number == nil:
		return 0, errors.New("machine or machine_id is required")
	case *number < 0 || *number >= s.numbers():
		return 0, fmt.Errorf("machine %d is outside 0..%d", *number, s.numbers()-1)
	}
	return s.numbered(*number), nil
}

// numbers counts the machines that have a number: plain ones, then newcomers.
func (s *State) numbers() int { return s.w.plain + len(s.newcomers) }

func (s *State) numbered(n int) int {
	if n >= s.w.plain {
		return s.w.rowPositions() + n - s.w.plain
	}
	return int(s.w.where[n])
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
		set(pos)
		if pos++; c.MachineID != "" && pos < s.w.Len() && s.w.idAt(pos) == strings.ToLower(c.MachineID) {
			set(pos) // the second copy
		}
		return nil
	}
	if c.From < 0 || c.To > s.numbers() || c.From >= c.To {
		return fmt.Errorf("range %d..%d is outside 0..%d or empty", c.From, c.To, s.numbers())
	}
	for i := c.From; i < c.To; i++ {
		set(s.numbered(i))
	}
	return nil
}

// rows appends the current rows of a position.
func (s *State) rows(pos int, buf []row) []row {
	if s.removed[pos] || pos >= s.w.rowPositions()+len(s.newcomers) {
		return buf
	}
	o, changed := s.over[pos]
	if changed && (o.offboarded || (o.excluded != nil && *o.excluded)) {
		return buf
	}
	start := len(buf)
	if n := s.newcomer(pos); n != nil {
		buf = s.newcomerRows(pos, n, buf)
	} else {
		buf = s.w.baseRows(pos, buf)
	}
	own := len(buf) - start
	buf = append(buf, s.added[pos]...)
	s.churned(pos, buf[start:], own)
	if set := s.installs[pos]; set != nil {
		buf = append(buf[:start], s.installed(set, buf[start:])...)
	}
	if len(s.cat.published) > 0 {
		buf = s.cat.publishedRows(buf, start)
	}
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
