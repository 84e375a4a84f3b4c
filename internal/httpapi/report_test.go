package httpapi_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// TestRunsTellWhatTheyDid shows a finished run, its diagnostics and the filters that find it.
// TestARunTellsThatItWaits has a run store that it waits for Microsoft's limits, and then that it goes on.
func TestARunTellsThatItWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := t.Context(), h.admin()
	i := h.connect(h.mine)
	jobs, err := h.store.Claim(ctx, job.Room{Holder: "test", Jobs: 1, PerTenant: 1}, time.Minute)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claim: %v %v", jobs, err)
	}
	must(t, second(h.store.BeginRun(ctx, jobs[0])))
	until := time.Date(2026, 11, 22, 10, 40, 5, 0, time.UTC)
	for _, tc := range []struct {
		until   time.Time
		summary string
	}{
		{until, "Waiting until 10:40:05 UTC: Microsoft asked for a pause, or the quota of calls to it is used up."},
		{time.Time{}, "Under way."},
	} {
		report := syncer.Report{Stages: []syncer.StageReport{
			{Name: syncer.StageAuthenticate, State: syncer.Succeeded}, {Name: syncer.StageAssets, State: syncer.Running, WaitsUntil: tc.until},
		}}
		must(t, h.store.SaveProgress(ctx, jobs[0], syncer.StageAssets, report))
		run, err := c.GetRun(ctx, i.LastRun.ID)
		must(t, err)
		if run.Summary != tc.summary || !run.WaitingUntil.Equal(tc.until) {
			t.Errorf("%q until %v", run.Summary, run.WaitingUntil)
		}
	}
}

func TestRunsTellWhatTheyDid(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := context.Background(), h.admin()
	i := h.connect(h.mine)
	jobs, err := h.store.Claim(ctx, job.Room{Holder: "test", Jobs: 1, PerTenant: 1}, time.Minute)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claim: %v %v", jobs, err)
	}
	started, err := h.store.BeginRun(ctx, jobs[0])
	must(t, err)
	earlier := uuid.Must(uuid.NewV7())
	begun := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	started.State, started.Stage = syncer.Succeeded, syncer.StageFinish
	started.Report = syncer.Report{Summary: "2 of 3 machines imported.", Stages: []syncer.StageReport{
		{
			Name: syncer.StageAssets, State: syncer.Succeeded, StartedAt: begun, Duration: 1500 * time.Millisecond, TotalEstimate: 3, Calls: 2, Throttled: time.Second,
			Counts: syncer.Counts{Fetched: 3, Accepted: 2, Skipped: 1, Created: 2, OutOfScope: 4, Removed: 1}, SkippedBy: map[inventory.Reason]int64{inventory.PlatformMobile: 1},
			Samples: map[inventory.Reason][]syncer.Sample{inventory.PlatformMobile: {{SourceID: "s", Name: "iPhone", Detail: "iOS"}}},
		},
		{Name: syncer.StageCatalogue, State: syncer.Succeeded, Counts: syncer.Counts{Fetched: 1000, Created: 1000}, CatalogueAt: begun},
		{Name: syncer.StageVulnerabilities, State: syncer.Cancelled, Counts: syncer.Counts{Fetched: 7, Updated: 1, Reopened: 2, Fixed: 3}, Resumed: 2, ResumedFrom: earlier.String()},
	}, Warnings: []syncer.Notice{{Code: "platform_unrecognised", Title: "Unknown platform"}}}
	must(t, h.store.FinishRun(ctx, jobs[0], started, syncer.Consequence{Succeeded: true}))

	run, err := c.GetRun(ctx, i.LastRun.ID)
	must(t, err)
	want := api.Progress{Fetched: 10, Accepted: 2, Skipped: 1, Created: 2, Updated: 3, Reopened: 2, Fixed: 3, Removed: 5, OutOfScope: 4}
	if run.State != api.RunSucceeded || run.PGPStatus != api.PGPJobPassed || run.Progress != want || len(run.Stages) != 3 || run.FinishedAt.IsZero() ||
		run.Summary != "2 of 3 machines imported." || len(run.Warnings) != 1 || run.Warnings[0].Detail == "" {
		t.Errorf("%+v", run)
	}
	if s := run.Stages[0]; s.Progress.TotalEstimate == nil || *s.Progress.TotalEstimate != 3 || !s.FinishedAt.Equal(begun.Add(1500*time.Millisecond)) {
		t.Errorf("%+v", s)
	}
	d, err := c.GetRunDiagnostics(ctx, i.LastRun.ID)
	must(t, err)
	if s := d.Stages[0]; s.DurationMS != 1500 || s.ThrottledMS != 1000 || s.Skipped["platform_mobile"] != 1 || s.Samples["platform_mobile"][0].Name != "iPhone" ||
		!slices.Equal(s.Funnel, []api.FunnelStep{{Reason: "platform_mobile", Skipped: 1, Left: 2}}) || len(d.Explanations) == 0 {
		t.Errorf("%+v %+v", s, d.Explanations)
	}
	if s := d.Stages[2]; s.ResumedPages != 2 || s.ResumedFrom != "run_"+strings.ReplaceAll(earlier.String(), "-", "") || d.Stages[0].ResumedFrom != "" {
		t.Errorf("gone on with %d pages of %q, %q", s.ResumedPages, s.ResumedFrom, d.Stages[0].ResumedFrom)
	}
	if !d.Stages[1].CatalogueAt.Equal(begun) || !d.Stages[0].CatalogueAt.IsZero() {
		t.Errorf("the catalogue is as of %v", d.Stages[1].CatalogueAt)
	}
	must(t, second(c.DisconnectIntegration(ctx, i.ID, api.DataPurge)))
	for name, x := range map[string]struct {
		o    api.ListRunsOptions
		want int
	}{
		"all": {api.ListRunsOptions{}, 2}, "connect": {api.ListRunsOptions{Trigger: []api.RunTrigger{api.TriggerConnect}}, 1},
		"purges":   {api.ListRunsOptions{Trigger: []api.RunTrigger{api.TriggerDisconnect}}, 1},
		"either":   {api.ListRunsOptions{Trigger: []api.RunTrigger{api.TriggerDisconnect, api.TriggerConnect}}, 2},
		"manual":   {api.ListRunsOptions{Trigger: []api.RunTrigger{api.TriggerManual}}, 0},
		"state":    {api.ListRunsOptions{State: []api.RunState{api.RunSucceeded, api.RunFailed}}, 1},
		"of these": {api.ListRunsOptions{IntegrationID: []string{i.ID, nobodys.integration}}, 2},
		"before":   {api.ListRunsOptions{CreatedLT: run.CreatedAt}, 0},
		"from":     {api.ListRunsOptions{CreatedGTE: run.CreatedAt}, 2},
	} {
		page, err := c.ListRuns(ctx, x.o)
		if err != nil || len(page.Items) != x.want {
			t.Errorf("%s: %d runs, want %d: %v", name, len(page.Items), x.want, err)
		}
	}
}

// TestFiltersOfAssets uses the words that differ inside and out.
func TestFiltersOfAssets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.furnish(h.mine)
	ctx, c := context.Background(), h.admin()
	for name, x := range map[string]struct {
		o    api.ListAssetsOptions
		want []string
	}{
		"servers are windows": {api.ListAssetsOptions{OSFamily: []api.OSFamily{api.OSWindows}}, []string{"web01.contoso.com"}},
		"rare ones are other": {api.ListAssetsOptions{OSFamily: []api.OSFamily{api.OSOther}}, []string{"web02.contoso.com"}},
		"surface":             {api.ListAssetsOptions{Surface: []api.Surface{api.SurfaceInternal}}, []string{"web01.contoso.com", "web02.contoso.com"}},
		"address":             {api.ListAssetsOptions{IP: []string{"10.20.30.41"}}, []string{"web02.contoso.com"}},
		"any address":         {api.ListAssetsOptions{IP: []string{"FD12:0::40"}}, []string{"web01.contoso.com", "web02.contoso.com"}},
		"state":               {api.ListAssetsOptions{State: []api.AssetState{api.AssetOutOfScope}}, []string{"web02.contoso.com"}},
		"before":              {api.ListAssetsOptions{LastSeenLT: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)}, nil},
		"text":                {api.ListAssetsOptions{Q: "WEB02"}, []string{"web02.contoso.com"}},
		"signs of SQL":        {api.ListAssetsOptions{Q: "%'; drop table asset; --"}, nil},
	} {
		page, err := c.ListAssets(ctx, x.o)
		must(t, err)
		var hosts []string
		for _, a := range page.Items {
			hosts = append(hosts, a.Hostname)
		}
		if !reflect.DeepEqual(hosts, x.want) {
			t.Errorf("%s: %v, want %v", name, hosts, x.want)
		}
	}
}
