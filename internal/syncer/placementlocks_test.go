package syncer_test

import (
	"testing"
)

// TestNoPartitionIsAttachedBesideManySharedFindings has five million of them, as far as the statistics know, and then three.
func TestNoPartitionIsAttachedBesideManySharedFindings(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 9, 6)
	for _, shared := range []int{5_000_000, 3_000_000} {
		h.sql(`update pg_class set reltuples = $1 / 16 where oid in (select inhrelid from pg_inherits where inhparent = 'finding_shared'::regclass)`, shared)
		id := h.newTenant("Fabrikam", true)
		h.connect(id, nil)
		mustSucceed(t, h.work())
		h.mustEqualTruth(id)
		placed, err := h.store.Placement(t.Context(), id)
		if err != nil || placed.Apart() != (shared < 4_000_000) {
			t.Errorf("beside %d shared findings they are in %s, %v", shared, placed.Table, err)
		}
	}
}

// TestAMoveOutlivesAnImportThatWaitsForIt has somebody read shared findings, and want to write some while they are moved apart: each waits for the other
// until the writer gives up.
func TestAMoveOutlivesAnImportThatWaitsForIt(t *testing.T) {
	t.Parallel()
	h, apart, _ := newSharingHouse(t)
	writing, err := h.owner().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writing.Rollback() }()
	if _, err := writing.Exec("set local lock_timeout = '2s'; select from finding_shared limit 1"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := apart.Place(t.Context(), h.tenant, true)
		done <- err
	}()
	const waiting = "select count(*) from pg_stat_activity where datname = current_database() and query like 'select place_apart%' and wait_event_type = 'Timeout'" // between two tries
	for met := int64(0); met == 0; met = h.number(waiting) {
		select {
		case err := <-done:
			t.Fatalf("the move did not wait: %v", err)
		default:
		}
	}
	if _, err := writing.Exec("update finding_shared set updated_at = updated_at where false"); err == nil {
		t.Error("the writer did not wait")
	}
	_ = writing.Rollback()
	if err := <-done; err != nil {
		t.Errorf("the move: %v", err)
	}
	h.mustEqualTruth(h.tenant)
}
