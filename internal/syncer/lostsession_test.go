package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/syncer"
)

// TestALostSessionEndsItsLoad ends the database session of a first import: whatever the stage is asked to do then, it answers.
func TestALostSessionEndsItsLoad(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 9, 6)
	i := h.connect(h.tenant, nil)
	stage, err := h.store.NewStage(t.Context(), h.claim(), i, false)
	if err != nil {
		t.Fatal(err)
	}
	add := func() error {
		return stage.AddFindings(t.Context(), h.now, []syncer.StagedFinding{{AssetID: 1, Vulnerability: 1, Software: []int32{1}}})
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	if n := h.number(`select count(*) from pg_stat_activity where datname = current_database() and query like 'copy finding_t%' and pg_terminate_backend(pid, 10000)`); n != 1 {
		t.Fatalf("%d sessions load", n)
	}
	ended := make(chan error, 4)
	go func() {
		for range 3 { // the first learns it, the others find a bad connection
			ended <- add()
		}
		ended <- stage.Close()
	}()
	for n := range 4 {
		select {
		case err := <-ended:
			if (err == nil) != (n == 3) {
				t.Errorf("step %d after the end: %v", n, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("step %d after the end never answers", n)
		}
	}
}
