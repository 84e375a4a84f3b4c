package syncer

import (
	"testing"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// TestEveryRecordReadIsTakenOrSkippedForAReason holds the figures of a stage against its records, one wrong at a time.
func TestEveryRecordReadIsTakenOrSkippedForAReason(t *testing.T) {
	t.Parallel()
	reasons := map[inventory.Reason]int64{inventory.Stale: 2, inventory.Duplicate: 1}
	for name, c := range map[string]struct {
		counts  Counts
		skipped map[inventory.Reason]int64
		balance bool
	}{
		"all there":                {Counts{Fetched: 10, Accepted: 7, Skipped: 3}, reasons, true},
		"nothing read":             {Counts{}, nil, true},
		"one lost":                 {Counts{Fetched: 10, Accepted: 6, Skipped: 3}, reasons, false},
		"one taken twice":          {Counts{Fetched: 10, Accepted: 8, Skipped: 3}, reasons, false},
		"one skipped, not counted": {Counts{Fetched: 10, Accepted: 8, Skipped: 2}, reasons, false},
		"one without a reason":     {Counts{Fetched: 11, Accepted: 7, Skipped: 4}, reasons, false},
		"one with two reasons":     {Counts{Fetched: 9, Accepted: 7, Skipped: 2}, reasons, false},
		"no reasons at all":        {Counts{Fetched: 10, Accepted: 7, Skipped: 3}, nil, false},
	} {
		for _, stage := range []Stage{StageAssets, StageCatalogue, StageVulnerabilities} {
			r := StageReport{Name: stage, Counts: c.counts, SkippedBy: c.skipped}
			err := r.balance()
			if c.balance != (err == nil) || err != nil && !fault.Is(err, fault.CodeLedgerUnbalanced) {
				t.Errorf("%s, stage %s: %v", name, stage, err)
			}
			r.Counts.Unchanged = c.counts.Accepted // the rest of the ledger is satisfied
			whole := Report{Stages: []StageReport{{Name: StageAuthenticate}, r}}
			if err := whole.balanced(); c.balance != (err == nil) {
				t.Errorf("%s, the run with stage %s: %v", name, stage, err)
			}
		}
	}
}

// TestWhatWasTakenIsStored lets changed assets that are still out of scope, which nobody took, count beside the others.
func TestWhatWasTakenIsStored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		counts   Counts
		stillOut int64
		settled  bool
	}{
		"all there":             {Counts{Fetched: 6, Accepted: 6, Created: 1, Updated: 2, Unchanged: 3}, 0, true},
		"two more are out":      {Counts{Fetched: 6, Accepted: 6, Created: 1, Updated: 4, Unchanged: 3}, 2, true},
		"one not stored":        {Counts{Fetched: 6, Accepted: 6, Created: 1, Updated: 2, Unchanged: 2}, 0, false},
		"one that is out taken": {Counts{Fetched: 6, Accepted: 6, Created: 1, Updated: 2, Unchanged: 3}, 1, false},
	} {
		r := StageReport{Name: StageAssets, Counts: c.counts, Ledger: Ledger{StillOut: c.stillOut}}
		if err := r.settled(); c.settled != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
