package syncer_test

import (
	"fmt"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// TestAFirstImportOfAChangedDirectory imports what random changes of all kinds have left of a directory with odd records:
// newcomers, patched and upgraded software, machines set up anew, merged, offboarded or moved to other groups, and
// vulnerabilities rated anew or published since.
func TestAFirstImportOfAChangedDirectory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 30, 10)
			h.change(world.RandomChanges(seed, 120)...)
			h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			h.mustEqualTruth(h.tenant)
		})
	}
}
