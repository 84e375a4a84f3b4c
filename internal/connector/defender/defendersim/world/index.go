package world

import "time"

// index counts rows so that offset paging and exposure need one pass over a State.
type index struct {
	rows     []int32 // by place: mapping rows before it
	exposed  []int32 // by vulnerability: machines that have it
	earliest []uint8 // by vulnerability: place of the oldest first-seen stamp; larger is older
}

// counts counts the State once; later calls return the same counts.
func (s *State) counts() *index {
	s.indexOnce.Do(func() { s.index = s.buildIndex() })
	return s.index
}

func (s *State) buildIndex() *index {
	n := s.rowPlaces()
	ix := &index{rows: make([]int32, n+1), exposed: make([]int32, s.cat.Len()), earliest: make([]uint8, s.cat.Len())}
	last := make([]int32, s.cat.Len()) // place last counted, plus one
	var rows []row
	for place := range n {
		pos := s.at(place)
		rows = s.rows(pos, rows[:0])
		ix.rows[place+1] = ix.rows[place]
		for _, r := range rows {
			if r.cve == noCVE {
				continue
			}
			ix.rows[place+1]++
			if last[r.cve] != int32(place+1) {
				last[r.cve] = int32(place + 1)
				ix.exposed[r.cve]++
				ix.earliest[r.cve] = max(ix.earliest[r.cve], s.w.stamp(pos, r.cve))
			}
		}
	}
	return ix
}

// seek returns the place that holds mapping row n and the rows to skip there.
func (ix *index) seek(n int) (place, skip int) {
	lo, hi := 0, len(ix.rows)-1
	for lo < hi {
		mid := (lo + hi) / 2
		if int(ix.rows[mid+1]) > n {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == len(ix.rows)-1 {
		return lo, 0
	}
	return lo, n - int(ix.rows[lo])
}

// MappingCount counts the rows that name a vulnerability.
func (s *State) MappingCount() int { ix := s.counts(); return int(ix.rows[len(ix.rows)-1]) }

// Exposure tells how far vulnerability i has spread in the directory.
func (s *State) Exposure(i int) Exposure {
	ix := s.counts()
	if i >= len(ix.exposed) || ix.exposed[i] == 0 { // it may have been published since
		return Exposure{}
	}
	if r := s.cat.revised[int32(i)]; r != nil && r.seen != "" {
		return Exposure{Machines: int(ix.exposed[i]), FirstDetected: r.seenAt}
	}
	return Exposure{Machines: int(ix.exposed[i]), FirstDetected: s.w.stampAt[ix.earliest[i]].Truncate(time.Second)}
}
