package world

import (
	"strings"
	"time"
)

// dayOf counts the midnights, UTC, between the time the directory was laid out and another.
func (w *World) dayOf(t time.Time) int {
	const day = 24 * time.Hour
	return int(t.UTC().Truncate(day).Sub(w.epoch.Truncate(day)) / day)
}

// On is the directory at a later time: machines go on reporting, so that each was last seen as many days ago as before.
// Only changes make a machine fall silent or be heard again, which is why no outcome depends on the time. The receiver is
// returned when no midnight has passed.
func (s *State) On(t time.Time) *State {
	day := s.w.dayOf(t)
	if day <= s.day {
		return s
	}
	next := s.copy()
	next.day = day
	return next
}

// later moves the time of the last report by days; a machine without one has none later either.
func (m *Machine) later(days int) {
	if days == 0 || m.lastSeen.IsZero() {
		return
	}
	_, fraction, _ := strings.Cut(strings.TrimSuffix(m.LastSeen, "Z"), ".")
	m.setLastSeen(m.lastSeen.AddDate(0, 0, days), len(fraction))
}
