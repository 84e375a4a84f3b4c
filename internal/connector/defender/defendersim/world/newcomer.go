package world

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
)

// newcomer is a machine that joined after the directory was laid out. Its position, by which changes are kept, follows
// those of the World in the order of arrival; its place in lists follows from its id.
type newcomer struct {
	id     string
	before int // the World's position that it comes right before
	like   int // the position whose machine was set up anew, or -1
	day    int // of its arrival
}

// newcomersMost bounds the newcomers of a directory.
const newcomersMost = 100_000

// arrive adds a machine and returns its position. An empty id means one is made up.
func (s *State) arrive(id string, like int) (int, error) {
	n := len(s.newcomers)
	if n == newcomersMost {
		return 0, fmt.Errorf("%d machines have been added already", n)
	}
	if id == "" {
		r := newRNG(s.w.seed, 0x0e3, uint64(n))
		id = fmt.Sprintf("%08x", r.next()%0xffff_0000) + r.hex(32)
	}
	if !machineIDForm.MatchString(id) {
		return 0, fmt.Errorf("%q is not an id of 40 lower-case hex digits", id)
	}
	if _, taken := s.locate(id); taken {
		return 0, fmt.Errorf("machine %s exists", id)
	}
	before := sort.Search(s.w.Len(), func(pos int) bool { return s.w.idAt(pos) > id })
	s.newcomers = append(slices.Clip(s.newcomers), newcomer{id: id, before: before, like: like, day: s.day})
	at, _ := slices.BinarySearchFunc(s.byID, id, func(n int32, id string) int { return cmp.Compare(s.newcomers[n].id, id) })
	s.byID = slices.Insert(slices.Clone(s.byID), at, int32(n))
	return s.w.rowPositions() + n, nil
}

var machineIDForm = regexp.MustCompile(`^[0-9a-f]{40}$`)

// newcomer returns the one at a position, or nil.
func (s *State) newcomer(pos int) *newcomer {
	if n := pos - s.w.rowPositions(); n >= 0 && n < len(s.newcomers) {
		return &s.newcomers[n]
	}
	return nil
}

// places counts the places of the list of machines; rowPlaces those that can have rows.
func (s *State) places() int    { return s.w.Len() + len(s.newcomers) }
func (s *State) rowPlaces() int { return s.w.rowPositions() + len(s.newcomers) }

// at is the position whose machine stands at a place of the list, which is sorted by id.
func (s *State) at(place int) int {
	if len(s.newcomers) == 0 {
		return place
	}
	earlier := sort.Search(len(s.byID), func(k int) bool { return s.newcomers[s.byID[k]].before+k >= place })
	if earlier < len(s.byID) && s.newcomers[s.byID[earlier]].before+earlier == place {
		return s.w.rowPositions() + int(s.byID[earlier])
	}
	return place - earlier
}

// listed tells whether the machine at a position belongs to the list of machines, be it removed at present or not.
func (s *State) listed(pos int) bool { return pos < s.w.Len() || s.newcomer(pos) != nil }

func (s *State) idOf(pos int) string {
	if n := s.newcomer(pos); n != nil {
		return n.id
	}
	return s.w.idAt(pos)
}

// locate finds a position by id in lower case, of two copies the first.
func (s *State) locate(id string) (int, bool) {
	if pos, ok := s.w.find(id); ok {
		return pos, true
	}
	k, ok := slices.BinarySearchFunc(s.byID, id, func(n int32, id string) int { return cmp.Compare(s.newcomers[n].id, id) })
	if !ok {
		return 0, false
	}
	return s.w.rowPositions() + int(s.byID[k]), true
}

// newcomerMachine composes the record of a newcomer before changes.
func (s *State) newcomerMachine(pos int, n *newcomer) Machine {
	var m Machine
	if n.like >= 0 {
		m = s.base(n.like)
	} else {
		m = s.w.ordinaryMachine(1<<20 + pos - s.w.rowPositions())
	}
	m.ID = n.id
	m.later(n.day)
	m.FirstSeen = m.LastSeen
	m.later(-n.day)
	return m
}

// base composes the machine at a position before changes.
func (s *State) base(pos int) Machine {
	if n := s.newcomer(pos); n != nil {
		return s.newcomerMachine(pos, n)
	}
	return s.w.base(pos)
}

// newcomerRows appends the rows of a newcomer before changes.
func (s *State) newcomerRows(pos int, n *newcomer, buf []row) []row {
	like := uint64(1<<20 + pos - s.w.rowPositions())
	for n.like >= 0 {
		older := s.newcomer(n.like)
		if older == nil {
			like = uint64(s.w.slots[n.like])
			break
		}
		like, n = uint64(1<<20+n.like-s.w.rowPositions()), older
	}
	r := newRNG(s.w.seed, 0x3ac, like)
	return s.w.ordinaryRows(uint64(1<<42+pos), osKinds[osTable[r.n(len(osTable))]].families, s.w.mean, buf)
}

// applyArrival carries out add_machines: one with the id given, or Count of them.
func (s *State) applyArrival(c Change) error {
	count := max(c.Count, 1)
	if c.MachineID != "" && count > 1 {
		return errors.New("an id names one machine, count more")
	}
	for range count {
		if _, err := s.arrive(strings.ToLower(c.MachineID), -1); err != nil {
			return err
		}
	}
	return nil
}

// applyReimage carries out reimage_machine: the machine comes back under a new id with its name and address, and the
// record of before falls silent ("Offboard devices": a reinstalled device gets a new one, the previous stays as inactive).
func (s *State) applyReimage(pos int, c Change, at time.Time) error {
	if s.newcomer(pos) == nil && s.w.edgeOf(pos) >= 0 {
		return errors.New("only plain machines are set up anew")
	}
	next, err := s.arrive("", pos)
	if err != nil {
		return err
	}
	o := s.over[pos]
	s.over[next] = override{hostname: o.hostname, ip: o.ip, group: o.group}
	days := max(c.LastSeenDaysAgo, silentDays)
	o.daysAgo, o.touched = &days, at
	s.over[pos] = o
	return nil
}

// silentDays is when a machine counts as inactive: more than seven days without a signal.
const silentDays = 8
