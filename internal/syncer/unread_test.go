package syncer_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// spoiler stands between client and simulator and spoils records of the lists at a path: the third one, or those that spoils names. Those that
// omits names are left out instead.
type spoiler struct {
	next          http.Handler
	path          string
	spoils, omits func(record map[string]any) bool
}

func (s *spoiler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.path == "" || !strings.EqualFold(r.URL.Path, s.path) {
		s.next.ServeHTTP(w, r)
		return
	}
	r.Header.Del("Accept-Encoding")
	answer := httptest.NewRecorder()
	s.next.ServeHTTP(answer, r)
	var list map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &list); err != nil {
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	if rows, ok := list["value"].([]any); ok {
		list["value"] = s.spoil(rows)
	}
	var body bytes.Buffer
	_ = json.NewEncoder(&body).Encode(list)
	w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
	_, _ = w.Write(body.Bytes())
}

func (s *spoiler) spoil(rows []any) []any {
	const unreadable = "no record"
	switch {
	case s.omits != nil:
		return slices.DeleteFunc(rows, func(row any) bool { return s.omits(row.(map[string]any)) })
	case s.spoils != nil:
		for n := range rows {
			if record, ok := rows[n].(map[string]any); ok && s.spoils(record) {
				rows[n] = unreadable
			}
		}
		return rows
	case len(rows) > 2:
		rows[2] = unreadable
		return rows
	}
	return append(rows, unreadable)
}

func TestRecordsThatCannotBeReadAreSetAside(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		path  string
		stage syncer.Stage
	}{
		{"/api/machines", syncer.StageAssets},
		{"/api/machines/SoftwareVulnerabilitiesByMachine", syncer.StageVulnerabilities},
	} {
		t.Run(string(tc.stage), func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 12, 8)
			bad := &spoiler{next: h.server.Config.Handler}
			h.server.Config.Handler = bad
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			before, since := h.snapshot(h.tenant), h.integration(i).LastSuccessAt
			h.change(world.Change{Op: "remove_machines", From: 5, To: 7}, world.Change{Op: "remove_findings", Machine: ptr(8)})
			bad.path = tc.path
			run := h.again(i, syncer.Incremental)
			if run.State != syncer.PartiallySucceeded || !warned(run, fault.CodeUnreadable) {
				t.Fatalf("the run is %s with warnings %+v", run.State, run.Report.Warnings)
			}
			s := run.Report.StageNamed(tc.stage)
			if s.SkippedBy[inventory.Unreadable] != 1 || s.Counts.Fetched != s.Counts.Accepted+s.Counts.Skipped {
				t.Errorf("the stage %+v does not add up", s.Counts)
			}
			if s.Counts.Removed != 0 || s.Counts.Fixed != 0 {
				t.Errorf("an incomplete list removed %d and fixed %d", s.Counts.Removed, s.Counts.Fixed)
			}
			if now := h.integration(i); now.State != connector.StateDegraded || now.StateReason != fault.CodeUnreadable || !now.LastSuccessAt.Equal(since) {
				t.Errorf("the integration is %s %q, last success %v instead of %v", now.State, now.StateReason, now.LastSuccessAt, since)
			}
			bad.path = ""
			mustSucceed(t, h.again(i, syncer.Incremental))
			h.mustEqualTruth(h.tenant)
			if h.snapshot(h.tenant) == before {
				t.Error("the complete run changed nothing")
			}
		})
	}
}

// TestACatalogueWithGapsIsReadAgainFromWhereItBegan spoils an entry of the changes, and lets the time pass at which they are
// read next.
func TestACatalogueWithGapsIsReadAgainFromWhereItBegan(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	bad := &spoiler{next: h.server.Config.Handler, path: "/api/vulnerabilities"}
	h.server.Config.Handler = bad
	i := h.connect(h.tenant, nil)
	h.sql(`update integration set next_run_at = now() + interval '23 hours'`) // as the schedule does when it begins a run
	run := h.work()
	if next := h.integration(i).NextRunAt; next.Before(h.now.Add(time.Hour-time.Second)) || next.After(h.now.Add(time.Hour+time.Second)) {
		t.Errorf("the next run, %v after this one, does not come when the catalogue may be read again", next.Sub(h.now))
	}
	s := run.Report.StageNamed(syncer.StageCatalogue)
	if run.State != syncer.PartiallySucceeded || !warned(run, fault.CodeUnreadable) || s.SkippedBy[inventory.Unreadable] == 0 || s.Counts.Fetched != s.Counts.Accepted+s.Counts.Skipped {
		t.Fatalf("the run is %s with warnings %+v, catalogue %+v", run.State, run.Report.Warnings, s)
	}
	if now := h.integration(i); now.State != connector.StateDegraded || now.StateReason != fault.CodeUnreadable || now.StateNotice.Detail == "" {
		t.Errorf("the integration is %s %q, %+v", now.State, now.StateReason, now.StateNotice)
	}
	if n := h.number(`select count(*) from catalogue_read where read_at is null and full_read_at is null and lease_until is null`); n != 1 {
		t.Error("a reading with gaps counts as complete, or its reservation is still there")
	}

	h.sim.ClearJournal()
	h.sql(`update integration set next_run_at = now() - interval '1 hour'`)
	mustSucceed(t, h.due())
	if whole, changes := h.catalogueReads(); whole+changes != 0 {
		t.Errorf("read again at once: %d times whole, %d times for changes", whole, changes)
	}
	if again := h.again(i, syncer.Incremental); again.State != syncer.PartiallySucceeded {
		t.Errorf("a run by hand ended %s over a catalogue with gaps", again.State)
	}
	if whole, _ := h.catalogueReads(); whole != 1 {
		t.Errorf("somebody started a run, and it read the catalogue %d times", whole)
	}
	h.sim.ClearJournal()
	bad.path = ""
	h.sql(`update catalogue_read set gaps_at = gaps_at - interval '2 hours'`)
	h.sql(`update integration set next_run_at = now() - interval '1 hour'`)
	mustSucceed(t, h.due())
	if whole, _ := h.catalogueReads(); whole != 1 {
		t.Errorf("an hour later the whole of it was read %d times", whole)
	}
	if n := h.number(`select count(*) from catalogue_read where read_at is not null and full_read_at is not null and gaps_at is null`); n != 1 {
		t.Error("the complete reading does not count")
	}
	h.mustEqualTruth(h.tenant)
	if now := h.integration(i); now.State != connector.StateActive {
		t.Errorf("the integration is %s %q", now.State, now.StateReason)
	}
}

// TestAListOfMachinesWithGapsIsReadWholeAgain spoils a record of the whole list of a directory of which otherwise only machines that
// reported are asked for: what became of the others meanwhile would not show for days.
func TestAListOfMachinesWithGapsIsReadWholeAgain(t *testing.T) {
	t.Parallel()
	h := askingForReported(t)
	bad := &spoiler{next: h.server.Config.Handler, path: "/api/machines"}
	h.server.Config.Handler = bad
	i := h.connect(h.tenant, nil)
	if run := h.work(); run.State != syncer.PartiallySucceeded || assetCounts(t, run).Accepted != 11 {
		t.Fatalf("the run is %s: %s", run.State, run.Report.Summary)
	}
	bad.path = ""
	h.pass(time.Minute)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if s := run.Report.StageNamed(syncer.StageAssets); s.Partial || s.Counts.Created != 1 {
		t.Errorf("the next run read a list of some: %v, assets %+v", s.Partial, s.Counts)
	}
	h.mustEqualTruth(h.tenant)
	if run = h.again(i, syncer.Incremental); !run.Report.StageNamed(syncer.StageAssets).Partial {
		t.Error("after a whole list without gaps the next one is whole")
	}
}
