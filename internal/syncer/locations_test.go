package syncer

import "testing"

// TestNeededPlacesAreBounded needs one place more than are told apart.
func TestNeededPlacesAreBounded(t *testing.T) {
	t.Parallel()
	var few, many neededPlaces
	few.add(7)
	few.add(7)
	if !few.take(7) || few.take(7) || few.take(8) {
		t.Error("of few, each is needed once and no other is")
	}
	for id := range int64(maxLocations) {
		many.add(id)
		many.add(id)
	}
	if many.all || many.take(maxLocations) {
		t.Error("as many as are told apart are not")
	}
	many.add(maxLocations)
	if !many.all || len(many.ids) > 0 || !many.take(1) || !many.take(1) || !many.take(-1) {
		t.Errorf("of many, all are needed: %t, %d are remembered", many.all, len(many.ids))
	}
}
