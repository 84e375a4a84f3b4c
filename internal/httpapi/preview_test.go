package httpapi_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/inventory"
)

// TestConnectingPausedImportsNothingUntilItIsResumed looks first and imports then.
func TestConnectingPausedImportsNothingUntilItIsResumed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := context.Background(), h.admin()
	asked := form(uuid.New())
	asked.StartPaused = new(true)
	i, err := c.ConnectIntegration(ctx, asked)
	must(t, err)
	if i.State != api.IntegrationPaused || i.LastRun != nil || !i.NextRunAt.IsZero() || i.Validation == nil || !i.Validation.OK {
		t.Errorf("connected: %+v", i)
	}
	queued, err := h.store.ScheduleDue(ctx, time.Now().Add(1000*time.Hour))
	if err != nil || queued != 0 {
		t.Errorf("%d runs were queued, %v", queued, err)
	}
	if err := second(c.StartRun(ctx, i.ID, api.StartRunRequest{})); !api.HasCode(err, api.CodeIntegrationPaused) {
		t.Errorf("a run of a paused integration: %v", err)
	}
	look, err := c.StartRun(ctx, i.ID, api.StartRunRequest{DryRun: new(true)})
	must(t, err)
	if !look.DryRun || look.State != api.RunQueued {
		t.Errorf("%+v", look)
	}
	must(t, second(c.CancelRun(ctx, look.ID)))
	resumed, err := c.ResumeIntegration(ctx, i.ID)
	must(t, err)
	queued, err = h.store.ScheduleDue(ctx, time.Now().Add(time.Second))
	if err != nil || queued != 1 || resumed.State != api.IntegrationActive {
		t.Errorf("resumed, %d runs were queued, %s, %v", queued, resumed.State, err)
	}
}

func TestADryRunTriesOutSettingsAndStoresNone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := context.Background(), h.admin()
	i := h.connect(h.mine)
	must(t, second(c.CancelRun(ctx, i.LastRun.ID)))
	high := api.SeverityHigh
	started, err := c.StartRun(ctx, i.ID, api.StartRunRequest{DryRun: new(true), Settings: &api.SettingsInput{MinSeverity: &high}})
	must(t, err)
	if !started.DryRun || started.Settings == nil || started.Settings.MinSeverity != high {
		t.Errorf("%+v", started)
	}
	run, err := h.store.Run(ctx, h.mine.id, uuidOf(started.ID))
	must(t, err)
	if run.Preview == nil || run.Preview.Settings.MinSeverity != inventory.SeverityHigh {
		t.Errorf("%+v", run.Preview)
	}
	after, err := c.GetIntegration(ctx, i.ID)
	must(t, err)
	if after.Settings.MinSeverity == high {
		t.Error("the settings were stored")
	}
}
