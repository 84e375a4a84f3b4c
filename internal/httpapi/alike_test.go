//go:build soak

package httpapi_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/tenant"
)

// alikeOperations read and write objects of each kind, by statements of different shapes.
var alikeOperations = []string{
	"getIntegration", "updateIntegration", "getRun", "cancelRun", "getAsset", "listAssetFindings", "getFinding", "deleteAPIKey", "disconnectIntegration",
}

// TestForeignAndMissingTakeAsLong asks by turns for an object of another tenant and for one that nobody has: the medians of what the
// answers take differ by 10 % at most. ALIKE sets how many of each are asked for by an operation.
func TestForeignAndMissingTakeAsLong(t *testing.T) {
	h := newHouse(t)
	h.furnish(h.mine)
	theirs := h.furnish(h.other)
	key, pairs, tried := h.mine.keys[tenant.Admin], setting(t, "ALIKE", 1000), 0
	for _, op := range operations(t) {
		if !slices.Contains(alikeOperations, op.id) {
			continue
		}
		tried++
		foreign, missing := h.mediansOf(op.request(theirs, key), op.request(theirs.unknown(), key), pairs)
		apart := 100 * (foreign - missing).Abs().Seconds() / max(foreign, missing).Seconds()
		t.Logf("%-22s foreign %v, missing %v: %.1f %% apart", op.id, foreign, missing, apart)
		if apart > 10 {
			t.Errorf("%s: a foreign object takes %v and a missing one %v: %.1f %% apart", op.id, foreign, missing, apart)
		}
	}
	if tried != len(alikeOperations) {
		t.Errorf("%d operations tried of %d", tried, len(alikeOperations))
	}
}

// mediansOf sends two requests by turns, each first as often as second, and gives the median time of each.
func (h *house) mediansOf(a, b raw, pairs int) (ofA, ofB time.Duration) {
	h.t.Helper()
	var times [2][]time.Duration
	requests := [2]raw{a, b}
	const warming = 20
	for n := range pairs + warming {
		for _, which := range []int{n % 2, 1 - n%2} {
			began := time.Now()
			got := h.send(requests[which])
			took := time.Since(began)
			if got.status != http.StatusNotFound {
				h.t.Fatalf("%s %s: %d", requests[which].method, requests[which].path, got.status)
			}
			if n >= warming {
				times[which] = append(times[which], took)
			}
		}
	}
	for i := range times {
		slices.Sort(times[i])
	}
	return times[0][pairs/2], times[1][pairs/2]
}
