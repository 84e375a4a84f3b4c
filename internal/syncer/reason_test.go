package syncer_test

import (
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// TestOnlyTheReasonChanges trades one filter for another: what had left by the first one does not leave once more by the second,
// and counts as updated. A preview tells the same.
func TestOnlyTheReasonChanges(t *testing.T) {
	t.Parallel()
	h, i := narrowed(t)
	h.change(world.Change{Op: "touch_machine", Machine: ptr(39), LastSeenDaysAgo: 45}) // one of those that are out grows old besides
	h.set(i, func(s *inventory.Settings) { s.DeviceGroups, s.TagsInclude = nil, []string{"nope"} })
	preview := h.preview(i, syncer.Incremental, h.integration(i).Settings)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	mustBeAlike(t, preview, run)
	if c := assetCounts(t, run); c.OutOfScope != 12 || c.Removed != 0 || c.Updated != 28 || c.Accepted != 0 {
		t.Errorf("of 12 in scope and 28 that were not: %+v", c)
	}
	for _, told := range []syncer.Run{preview, run} {
		if want := "0 created, 28 updated, 0 unchanged, 12 left, 40 skipped, 28 of the updated are out of scope as before"; !strings.Contains(told.Report.Summary, want) {
			t.Errorf("it does not say %q: %s", want, told.Report.Summary)
		}
	}
	mustBalance(t, run)
	h.mustAudit(h.tenant)
	if again := h.again(i, syncer.Incremental); assetCounts(t, again).Changes() != 0 {
		t.Errorf("nothing has changed since: %+v", assetCounts(t, again))
	}
}
