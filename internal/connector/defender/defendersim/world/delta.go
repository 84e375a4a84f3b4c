package world

import (
	"bytes"
	"maps"
	"slices"
	"time"
)

// Delta is what happened to the rows of a directory between two of its States. Finding it costs what the changes in
// between can have touched: machines that changes name, machines that joined, the share of a clustered churn; only
// what reaches all machines (a vulnerability fixed, rated or published, a scattered churn) costs a pass over all
// rows, of which then none is composed that did not change.
type Delta struct {
	before, after *State
	positions     []int // that have events, in order
}

// NewDelta compares two States, the second made from the first by changes.
func NewDelta(before, after *State) *Delta {
	d := &Delta{before: before, after: after}
	candidates := d.named()
	everywhere := !maps.Equal(before.fixed, after.fixed) || before.cat != after.cat
	for _, c := range after.churns[len(before.churns):] {
		everywhere = everywhere || !c.clustered
	}
	rated := ratedBetween(before.cat, after.cat)
	var events []event
	for pos := range after.w.rowPositions() + len(after.newcomers) {
		if !everywhere && !candidates[pos] && !after.clustered(pos, len(before.churns)) {
			continue
		}
		if events = d.events(pos, rated, events[:0]); len(events) > 0 {
			d.positions = append(d.positions, pos)
		}
	}
	return d
}

// Empty tells that no row changed.
func (d *Delta) Empty() bool { return len(d.positions) == 0 }

// named is the set of positions that changes of single machines touched.
func (d *Delta) named() map[int]bool {
	set := map[int]bool{}
	differing(set, d.before.removed, d.after.removed, func(a, b bool) bool { return a == b })
	differing(set, d.before.over, d.after.over, func(a, b override) bool { return a == b })
	differing(set, d.before.dropped, d.after.dropped, maps.Equal[map[int32]bool, map[int32]bool])
	differing(set, d.before.added, d.after.added, slices.Equal[[]row])
	differing(set, d.before.installs, d.after.installs, maps.Equal[map[uint8]installation, map[uint8]installation])
	for n := len(d.before.newcomers); n < len(d.after.newcomers); n++ {
		set[d.after.w.rowPositions()+n] = true
	}
	return set
}

func differing[V any](set map[int]bool, before, after map[int]V, equal func(a, b V) bool) {
	for pos, a := range before {
		if b, ok := after[pos]; !ok || !equal(a, b) {
			set[pos] = true
		}
	}
	for pos := range after {
		if _, ok := before[pos]; !ok {
			set[pos] = true
		}
	}
}

// clustered tells whether a churn after the first few chose all rows of a position.
func (s *State) clustered(pos, first int) bool {
	for _, c := range s.churns[first:] {
		if c.clustered && int(s.salt(c, pos)%10_000) < c.basis {
			return true
		}
	}
	return false
}

// ratedBetween is the set of vulnerabilities whose part of an export row differs.
func ratedBetween(before, after *Catalogue) map[int32]bool {
	set := map[int32]bool{}
	for i, r := range after.revised {
		if before.revised[i] != r && int(i) < before.Len() && !bytes.Equal(before.exportOf(i), r.export) {
			set[i] = true
		}
	}
	return set
}

// event is one row of the delta: a row of the State before when it is fixed, else of the one after.
type event struct {
	row    row
	status string
}

// Statuses of rows, see "Export software vulnerabilities assessment per device".
const (
	rowNew     = "New"
	rowFixed   = "Fixed"
	rowUpdated = "Updated"
)

// identity is what tells rows of one machine apart.
func (r row) identity() row {
	r.flags &^= flagMoved
	return r
}

// events appends what happened to the rows of a position.
func (d *Delta) events(pos int, rated map[int32]bool, out []event) []event {
	before, after := d.before.rows(pos, nil), d.after.rows(pos, nil)
	regrouped := len(before) > 0 && len(after) > 0 && d.regrouped(pos)
	rates := func(r row) bool { return rated[r.cve] }
	if !regrouped && slices.Equal(before, after) && (len(rated) == 0 || !slices.ContainsFunc(after, rates)) {
		return out
	}
	old := make(map[row]row, len(before))
	for _, r := range before {
		old[r.identity()] = r
	}
	start := len(out)
	for _, r := range after {
		was, had := old[r.identity()]
		switch {
		case !had:
			out = append(out, event{r, rowNew})
		case regrouped:
			out = append(out, event{r, rowNew}, event{was, rowFixed})
		case rated[r.cve] || was.flags != r.flags:
			out = append(out, event{r, rowUpdated})
		}
		delete(old, r.identity())
	}
	for _, r := range before {
		if _, gone := old[r.identity()]; gone {
			out = append(out, event{r, rowFixed})
		}
	}
	if pos%2 == 0 { // the order within a batch is not promised: half of the machines have what is fixed first
		slices.SortStableFunc(out[start:], func(a, b event) int { return len(b.status) - len(a.status) })
	}
	return out
}

// regrouped tells whether the machine moved to another device group, which ends its rows in the one and begins them in
// the other.
func (d *Delta) regrouped(pos int) bool {
	a, b := d.before.over[pos].group, d.after.over[pos].group
	if a == b || (a != nil && b != nil && *a == *b) {
		return false
	}
	before, after := d.before.machine(pos), d.after.machine(pos)
	return before.Group != after.Group || before.GroupName != after.GroupName
}

// Rows writes up to limit rows from a cursor on, comma-separated, in chunks, and returns the place after them; more tells
// whether rows follow there. The time is that of the batch.
func (d *Delta) Rows(from Cursor, limit int, at time.Time, write func([]byte) error) (next Cursor, written int, more bool, err error) {
	w := deltaWriter{d: d, at: at, rated: ratedBetween(d.before.cat, d.after.cat)}
	w.old, w.new = rowWriter{cat: d.before.cat, w: d.before.w}, rowWriter{cat: d.after.cat, w: d.after.w}
	var events []event
	for place := from.Place; place < len(d.positions); place++ {
		events = d.events(d.positions[place], w.rated, events[:0])
		offset := 0
		if place == from.Place {
			offset = min(from.Offset, len(events))
		}
		w.machine(d.positions[place])
		for ; offset < len(events); offset++ {
			if written == limit {
				return Cursor{place, offset}, written, true, flush(w.out, write)
			}
			w.row(events[offset], written > 0)
			if written++; len(w.out) < chunk {
				continue
			}
			if err := write(w.out); err != nil {
				return Cursor{}, written, false, err
			}
			w.out = w.out[:0]
		}
	}
	return Cursor{}, written, false, flush(w.out, write)
}

// deltaWriter renders events of one machine after another, as it was and as it is.
type deltaWriter struct {
	d        *Delta
	at       time.Time
	rated    map[int32]bool
	old, new rowWriter
	when     string
	out      []byte
	one      []byte
}

func (w *deltaWriter) machine(pos int) {
	if pos < w.d.before.w.rowPositions()+len(w.d.before.newcomers) { // it was there
		m := w.d.before.machine(pos)
		w.old.machine(pos, &m)
	}
	m := w.d.after.machine(pos)
	w.new.machine(pos, &m)
	w.when = iso(w.at, 0) // both forms have been observed
	if pos%3 == 0 {
		w.when = blankSeparated(w.at)
	}
}

var updateAvailable = []byte(`,"securityUpdateAvailable":`)

// row renders an event: a row of the full export without securityUpdateAvailable, which the page of the delta does not
// list, and with its status.
func (w *deltaWriter) row(e event, comma bool) {
	rw := &w.new
	if e.status == rowFixed {
		rw = &w.old
	}
	if comma {
		w.out = append(w.out, ',')
	}
	w.one = rw.appendExport(w.one[:0], e.row)
	head, tail, _ := bytes.Cut(w.one, updateAvailable)
	w.out = append(w.out, head...)
	w.out = append(w.out, tail[bytes.IndexByte(tail, ','):len(tail)-1]...)
	w.out = appendKey(w.out, ',', "status", e.status)
	w.out = append(appendKey(w.out, ',', "eventTimestamp", w.when), '}')
}
