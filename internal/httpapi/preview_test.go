package httpapi_test

import (
	"context"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/inventory"
)

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
