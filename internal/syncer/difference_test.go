package syncer

import (
	"fmt"
	"testing"

	"pgp.internal/defender/internal/inventory"
)

// TestTheSumsHaveWhatTheListHasNoRoomFor compares more differences than are kept: the largest are, whichever side has more, and every
// reason of the others is in the sums.
func TestTheSumsHaveWhatTheListHasNoRoomFor(t *testing.T) {
	t.Parallel()
	exposed, left := map[string]int64{}, map[string]*leftOut{}
	held := Holdings{
		Open: map[string]int64{}, Withheld: map[string]int64{"held": 40}, Refused: map[string]int64{}, Partial: map[string]bool{"unlisted": true},
		Kept: map[Keeping]map[string]int64{KeptMissing: {"gone": 30}, KeptStale: {"old": 20}},
	}
	for n := range maxDifferences {
		name := fmt.Sprintf("CVE-2026-%d", n)
		exposed[name], held.Open[name] = 7, 6
		left[name] = &leftOut{machines: map[inventory.Reason]int64{inventory.PlatformMobile: 1}}
	}
	exposed["mobile"], left["mobile"] = 1, &leftOut{machines: map[inventory.Reason]int64{inventory.PlatformMobile: 1}}
	exposed["local"], left["local"] = 9, &leftOut{rows: map[inventory.Reason]int64{inventory.VectorIsLocal: 11}, refused: true}
	held.Open["held"], held.Open["gone"], held.Open["old"], held.Open["unlisted"] = 40, 30, 20, 5
	exposed["lost"], held.Open["made up"], exposed["equal"], held.Open["equal"] = 2, 3, 8, 8
	var r Reconciliation
	r.compare(exposed, &held, left)
	if len(r.Differences) != maxDifferences || r.Omitted != 8 || r.Equal != 1 || r.Unexplained != 2 {
		t.Errorf("%d differences, %d omitted, %d equal, %d unexplained", len(r.Differences), r.Omitted, r.Equal, r.Unexplained)
	}
	for n, want := range []string{"made up", "lost", "held", "gone", "old", "local", "unlisted"} {
		if got := r.Differences[n].Vulnerability; got != want {
			t.Errorf("%d. is %s, want %s", n, got, want)
		}
	}
	s := r.Sum
	if s.NotImported[inventory.PlatformMobile] != maxDifferences+1 || s.Refused[inventory.VectorIsLocal] != 11 || s.Missing != 30 || s.Stale != 20 || s.Held != 40 {
		t.Errorf("%+v", s)
	}
	if r.Uncatalogued != 5 || r.Unaccounted != 5 {
		t.Errorf("%d uncatalogued, %d unaccounted for", r.Uncatalogued, r.Unaccounted)
	}
}
