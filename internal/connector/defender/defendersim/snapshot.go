package defendersim

import (
	"sync"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// Mapping data are generated every six hours, and their changes can be asked for 14 days back: "Export software
// vulnerabilities assessment per device". The life of a paging token is not documented.
const (
	generation    = 6 * time.Hour
	historyKept   = 14 * 24 * time.Hour
	skipTokenLife = 24 * time.Hour
)

const (
	// snapshotsKept bounds the chains of pages that can be open at once; the oldest is refused when it is exceeded.
	snapshotsKept = 32
	// batchesKept bounds the history of a directory that changes without end; the oldest batches are joined.
	batchesKept = 256
)

// batch is what changed between two generations of the mapping data.
type batch struct {
	number        int
	at            time.Time // of the second generation
	before, after *world.State
	delta         func() *world.Delta // compared when first asked for
}

func newBatch(number int, at time.Time, before, after *world.State) *batch {
	return &batch{number, at, before, after, sync.OnceValue(func() *world.Delta { return world.NewDelta(before, after) })}
}

// mapping is what the routes of machine-to-vulnerability rows tell from: the directory as it was at some time.
type mapping struct {
	state     *world.State
	generated time.Time
}

// history is how a directory came to be as it is. Its methods are called with the directory's lock held.
type history struct {
	mapped   mapping
	changed  time.Time // of the first change that mapped lacks; zero when there is none
	batches  []*batch  // oldest first
	number   int       // of the last batch
	chains   map[int]chain
	lastKept int
}

// chain is a generation that pages or files still refer to.
type chain struct {
	state *world.State
	used  time.Time // when it last began
}

// grid is the time of the last generation: midnight, six, noon or six in the evening, UTC.
func grid(t time.Time) time.Time { return t.UTC().Truncate(generation) }

func newHistory(s *world.State, now time.Time) history {
	return history{mapped: mapping{s, grid(now)}, chains: map[int]chain{}}
}

// settle generates the mapping data anew if a change waits for it: at once, or at the next time on the grid.
func (h *history) settle(present *world.State, now time.Time, sixHourly bool) {
	if !h.changed.IsZero() {
		at := now.UTC().Truncate(time.Second)
		if sixHourly {
			at = grid(h.changed).Add(generation)
		}
		if !at.After(now) {
			h.generate(present, at)
		}
	}
	if sixHourly && grid(now).After(h.mapped.generated) {
		h.mapped.generated = grid(now)
	}
	for len(h.batches) > 0 && h.batches[0].at.Before(now.Add(-historyKept-generation)) {
		h.batches = h.batches[1:]
	}
}

func (h *history) generate(present *world.State, at time.Time) {
	if least := h.mapped.generated.Add(time.Second); at.Before(least) {
		at = least // two changes within a second are two generations
	}
	h.number++
	h.batches = append(h.batches, newBatch(h.number, at, h.mapped.state, present))
	h.mapped, h.changed = mapping{present, at}, time.Time{}
	if len(h.batches) > batchesKept {
		first, second := h.batches[0], h.batches[1]
		h.batches = append([]*batch{newBatch(second.number, second.at, first.before, second.after)}, h.batches[2:]...)
	}
}

// age lets the days pass for the present State, and for the mapping data made of it. It is called with the lock held.
func (d *directory) age(now time.Time) {
	before := d.state
	if d.state = before.On(now); d.history.mapped.state == before {
		d.history.mapped.state = d.state
	}
}

// become makes a State the directory's present one.
func (d *directory) become(next *world.State, now time.Time, sixHourly bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.history.settle(d.state, now, sixHourly)
	d.state = next
	if d.history.changed.IsZero() {
		d.history.changed = now
	}
	d.history.settle(d.state, now, sixHourly)
}

// mapping is the present generation of the mapping data.
func (d *directory) mapping(now time.Time, sixHourly bool) mapping {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.history.settle(d.state, now, sixHourly)
	d.age(now)
	return d.history.mapped
}

// batchesSince are the batches from the one on that contains a time.
func (d *directory) batchesSince(t time.Time) (list []*batch) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, b := range d.history.batches {
		if !b.at.Before(t) {
			list = append(list, b)
		}
	}
	return list
}

// batchesBetween are those with the numbers from first to last; false when one of the two is kept no more.
func (d *directory) batchesBetween(first, last int) (list []*batch, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, b := range d.history.batches {
		if b.number >= first && b.number <= last {
			list = append(list, b)
		}
	}
	return list, len(list) > 0 && list[0].number == first && list[len(list)-1].number == last
}

// keep remembers a State for a chain of pages and returns its number.
func (d *directory) keep(s *world.State, now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := &d.history
	if c, ok := h.chains[h.lastKept]; !ok || c.state != s {
		h.lastKept++
		delete(h.chains, h.lastKept-snapshotsKept)
	}
	h.chains[h.lastKept] = chain{s, now}
	return h.lastKept
}

// kept returns the State of a chain that began less than a day ago.
func (d *directory) kept(number int, now time.Time) (*world.State, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	c, ok := d.history.chains[number]
	return c.state, ok && now.Sub(c.used) < skipTokenLife
}

// Snapshot is the State that the mapping data, exports and files of a directory are made of at present, and when it was
// generated. Without Switches.SixHourSnapshots it is that of State. False when there is no such directory.
func (s *Simulator) Snapshot(directoryID string) (state *world.State, generated time.Time, ok bool) {
	d, ok := s.directory(directoryID)
	if !ok {
		return nil, time.Time{}, false
	}
	m := d.mapping(s.now(), s.switches().SixHourSnapshots)
	return m.state, m.generated, true
}
