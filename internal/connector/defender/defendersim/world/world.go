package world

import (
	"fmt"
	"sort"
	"time"
)

// Reasons used by code as well as by labels.
const (
	duplicate        = "duplicate"
	merged           = "merged"
	excluded         = "excluded"
	stale            = "stale"
	cveMissing       = "cve_missing"
	assetNotImported = "asset_not_imported"
)

// Spec describes one directory's world.
type Spec struct {
	Seed               uint64
	Domain             string
	Machines           int // plain machines, all of which an importer accepts
	FindingsPerMachine int // mean rows of a machine
	EdgeCases          bool
}

// World is the unchanging base of one directory; State lays changes over it. Immutable, safe for concurrent use.
//
// A position is a place in the list of machines, which is sorted by id. Positions hold plain machines, numbered from
// 0 in the same order, and edge cases spread evenly among them.
type World struct {
	cat       *Catalogue
	seed      uint64
	domain    string
	epoch     time.Time
	plain     int
	mean      int
	edges     []edgeMachine
	slots     []int32 // by position: plain number, or -1-j for edge j
	where     []int32 // by plain number: position
	edgeAt    []int32 // by edge number: position
	edgeName  map[string]int
	edgeBases []Machine   // by edge number
	stamps    [256]string // first-seen texts
	stampAt   [256]time.Time
}

// New lays out a directory over the catalogue.
func New(cat *Catalogue, s Spec) *World {
	w := &World{cat: cat, seed: mix(s.Seed), domain: s.Domain, epoch: cat.epoch, plain: s.Machines, mean: s.FindingsPerMachine,
		edgeName: map[string]int{}}
	if s.EdgeCases {
		w.edges = edgeList()
	}
	w.layOut()
	for j, e := range w.edges {
		w.edgeName[e.name] = j
	}
	w.edgeBases = make([]Machine, len(w.edges))
	for j := range w.edges {
		w.edgeBases[j] = w.composeEdge(j)
	}
	for i := range w.stamps {
		at := w.epoch.Add(-time.Duration(i+2)*37*time.Hour - time.Duration(i*i)*time.Second)
		w.stampAt[i], w.stamps[i] = at, blankSeparated(at)
		if i%8 == 0 {
			w.stamps[i] += ".1234567"
		}
	}
	return w
}

func (w *World) layOut() {
	total := w.plain + len(w.edges)
	w.slots = make([]int32, 0, total)
	w.where, w.edgeAt = make([]int32, w.plain), make([]int32, len(w.edges))
	for i, j := 0, 0; len(w.slots) < total; {
		edgeDue := j < len(w.edges) && (i == w.plain || w.edges[j].twin || j*(w.plain+1) <= i*len(w.edges))
		if edgeDue {
			w.edgeAt[j] = int32(len(w.slots))
			w.slots = append(w.slots, int32(-1-j))
			j++
			continue
		}
		w.where[i] = int32(len(w.slots))
		w.slots = append(w.slots, int32(i))
		i++
	}
}

// Len counts positions.
func (w *World) Len() int { return len(w.slots) }

// idAt returns the id of a position. The first half grows with the position, so that the list is sorted by id at no cost.
func (w *World) idAt(pos int) string {
	if e := w.edgeOf(pos); e >= 0 && w.edges[e].twin {
		pos--
	}
	step := uint64(1<<32) / uint64(len(w.slots)+1)
	r := newRNG(w.seed, 0x1d, uint64(pos))
	head := uint64(pos)*step + r.next()%step
	return fmt.Sprintf("%08x", head) + r.hex(32)
}

func (w *World) edgeOf(pos int) int {
	if s := w.slots[pos]; s < 0 {
		return int(-1 - s)
	}
	return -1
}

func (w *World) edgeID(name string) string { return w.idAt(int(w.edgeAt[w.edgeName[name]])) }

// strangerID is an id that no list of machines holds.
func (w *World) strangerID(n uint64) string {
	r := newRNG(w.seed, 0x57a6, n)
	return "ffffffff" + r.hex(32)
}

// find returns the first position with the id, by binary search.
func (w *World) find(id string) (int, bool) {
	i := sort.Search(len(w.slots), func(i int) bool { return w.idAt(i) >= id })
	return i, i < len(w.slots) && w.idAt(i) == id
}

// base composes the machine at a position before changes.
func (w *World) base(pos int) Machine {
	if j := w.edgeOf(pos); j >= 0 {
		return w.edgeBases[j]
	}
	m := w.ordinaryMachine(int(w.slots[pos]))
	m.ID = w.idAt(pos)
	return m
}

func (w *World) composeEdge(j int) Machine {
	m := w.edgeBase(j)
	if c := w.edges[j].change; c != nil {
		c(w, &m)
	}
	m.ID = w.idAt(int(w.edgeAt[j]))
	return m
}

// stranger is a machine that rows name and no list holds.
func (w *World) stranger(n int) Machine {
	m := w.ordinaryMachine(1<<24 + n)
	m.ID = w.strangerID(uint64(n))
	return m
}
