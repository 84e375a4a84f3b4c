package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// applying hands readings to the store itself, one after the other under one claim.
func (h *house) applying(i connector.Integration) func(syncer.ApplyFindings, func(syncer.DataStage) error) {
	h.t.Helper()
	_, err := h.store.StartRun(h.t.Context(), h.tenant, i.PublicID, syncer.Incremental)
	must(h.t, err)
	claimed := h.claim()
	return func(o syncer.ApplyFindings, add func(syncer.DataStage) error) {
		h.t.Helper()
		stage, err := h.store.NewStage(h.t.Context(), claimed, i, false)
		must(h.t, err)
		if o.Now.IsZero() {
			o.Now = h.now
		}
		o.Confirm = func(*syncer.FindingChanges) error { return nil }
		if add != nil {
			must(h.t, add(stage))
		}
		_, err = stage.ApplyFindings(h.t.Context(), o)
		must(h.t, err)
		must(h.t, stage.Close())
	}
}

// TestTheNewestChangeOfARecommendationCounts has two changes of one recommendation, neither of which tells whether there is an update.
func TestTheNewestChangeOfARecommendationCounts(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	apply := h.applying(imported(h))
	software := h.number(`select min(software_id) from remediation where tenant_id = $1 and update_ready`, h.tenant)
	vulnerability := h.number(`select min(vulnerability_id) from remediation where tenant_id = $1 and update_ready and software_id = $2`, h.tenant, software)
	of := func(text string, at uint32) syncer.StagedRemediation {
		return syncer.StagedRemediation{Software: int32(software), Vulnerability: int32(vulnerability), Text: text, ChangedAt: at}
	}
	apply(syncer.ApplyFindings{Changes: true}, func(stage syncer.DataStage) error {
		return stage.AddRemediations(t.Context(), []syncer.StagedRemediation{of("November", 1000), of("December", 2000)})
	})
	n := h.number(`select count(*) from remediation where tenant_id = $1 and software_id = $2 and vulnerability_id = $3 and update_text = 'December' and update_ready`,
		h.tenant, software, vulnerability)
	if n != 1 {
		t.Error("the newest text is not stored, or whether there is an update was forgotten")
	}
}

// TestTheTimeOfRowsOnlyAReadingOfAllTakesBack reads fewer rows of an asset, seen earlier than the newest that is known.
func TestTheTimeOfRowsOnlyAReadingOfAllTakesBack(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	apply := h.applying(imported(h))
	asset := h.number(`select min(id) from asset where tenant_id = $1`, h.tenant)
	seen := h.number(`select extract(epoch from findings_seen_at)::bigint from asset where id = $1`, asset)
	early, late, past := seen-3600, seen+3600, time.Unix(seen-60, 0)
	for _, step := range []struct {
		what  string
		apply syncer.ApplyFindings
		at    int64
		want  int64
	}{
		{"fewer rows, by changes", syncer.ApplyFindings{Changes: true}, early, seen},
		{"fewer rows, not all of them readable", syncer.ApplyFindings{Incomplete: true}, early, seen},
		{"fewer rows, since some are fixed", syncer.ApplyFindings{}, early, seen},
		{"a newer row", syncer.ApplyFindings{Changes: true}, late, late},
		{"a time to come, by changes", syncer.ApplyFindings{Changes: true, Now: past}, early, late},
		{"a time to come, not all rows readable", syncer.ApplyFindings{Incomplete: true, Now: past}, early, late},
		{"a time to come, and all rows say otherwise", syncer.ApplyFindings{Now: past}, early, early},
	} {
		step.apply.LastSeen = []syncer.SeenAsset{{AssetID: asset, At: step.at}}
		apply(step.apply, nil)
		if got := h.number(`select extract(epoch from findings_seen_at)::bigint from asset where id = $1`, asset); got != step.want {
			t.Errorf("%s: %d s from what it was, want %d", step.what, got-seen, step.want-seen)
		}
	}
}

// TestAPoorReportKeepsASeverityThatAScoreTold reads a row without its score, of a vulnerability that has no other word of its severity.
func TestAPoorReportKeepsASeverityThatAScoreTold(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	i := imported(h)
	asset := h.number(`select min(asset_id) from finding where tenant_id = $1`, h.tenant)
	vulnerability := h.number(`select min(vulnerability_id) from finding where tenant_id = $1 and asset_id = $2`, h.tenant, asset)
	h.sql(`update finding set severity = $3, severity_source = $4 where asset_id = $1 and vulnerability_id = $2`, asset, vulnerability, inventory.SeverityHigh, inventory.FromRowScore)
	software := h.number(`select software_ids[1] from finding where asset_id = $1 and vulnerability_id = $2`, asset, vulnerability)
	h.applying(i)(syncer.ApplyFindings{Poor: true, Incomplete: true}, func(stage syncer.DataStage) error {
		must(t, stage.AddChangedAssets(t.Context(), []syncer.StagedAsset{{AssetID: asset, Parts: 255, Uncompared: true}}))
		return stage.AddFindings(t.Context(), h.now, []syncer.StagedFinding{{AssetID: asset, Vulnerability: int32(vulnerability), Software: []int32{int32(software)}}})
	})
	n := h.number(`select count(*) from finding where asset_id = $1 and vulnerability_id = $2 and severity = $3 and severity_source = $4`,
		asset, vulnerability, inventory.SeverityHigh, inventory.FromRowScore)
	if n != 1 {
		t.Error("the severity is forgotten")
	}
}

// imported connects the directory and reads it once.
func imported(h *house) connector.Integration {
	i := h.connect(h.tenant, nil)
	mustSucceed(h.t, h.work())
	return i
}
