package httpapi_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// TestAPersonLetsAHeldDropGo takes most machines out of a directory, looks at what is held back, and approves of it.
func TestAPersonLetsAHeldDropGo(t *testing.T) {
	t.Parallel()
	a := newAnswers(t)
	a.syncer = syncer.New(a.store, a.links, syncer.Options{SpoolDir: t.TempDir(), Removal: syncer.DefaultRemovalPolicy()}, a.deps.Log, unmetered{}, time.Now)
	ctx, c := t.Context(), a.client(t)
	directory, i := a.connectDirectory(t, 10)
	a.work(t, 1)
	count := func(state api.AssetState) int {
		t.Helper()
		page, err := c.ListAssets(ctx, api.ListAssetsOptions{State: []api.AssetState{state}})
		must(t, err)
		return len(page.Items)
	}
	if n := count(api.AssetActive); n != 10 {
		t.Fatalf("%d assets, want 10", n)
	}
	must(t, a.sim.Change(directory.String(), world.Change{Op: "remove_machines", From: 0, To: 8}))
	run, err := c.StartRun(ctx, i.ID, api.StartRunRequest{})
	must(t, err)
	a.work(t, 1)
	held, err := c.ListHeldChanges(ctx, i.ID)
	must(t, err)
	if len(held.Items) != 1 || held.Items[0].RunID != run.ID || held.Items[0].Latest != nil || held.Items[0].Kind != api.HeldAssets || held.Items[0].Leaving != 8 || len(held.Items[0].Samples) != 8 {
		t.Fatalf("held: %+v", held)
	}
	if n := count(api.AssetActive); n != 10 {
		t.Errorf("%d assets while 8 are held, want 10", n)
	}
	warned := func() (list []api.IntegrationWarning) {
		t.Helper()
		now, err := c.GetIntegration(ctx, i.ID)
		must(t, err)
		return now.Warnings
	}
	w := warned()
	if len(w) != 1 || w[0].Code != "removal_held_back" || !strings.Contains(w[0].Detail, "8 of 10 assets") || !strings.Contains(w[0].Remedy, "approve") || w[0].DaysLeft != nil {
		t.Errorf("told of the integration: %+v", w)
	}
	outdated := run.ID
	must(t, a.sim.Change(directory.String(), world.Change{Op: "remove_machines", From: 8, To: 9}))
	run, err = c.StartRun(ctx, i.ID, api.StartRunRequest{})
	must(t, err)
	a.work(t, 1)
	mustStand(t, c, i.ID, outdated, run.ID)
	mustHaveLooked(t, c, i.ID, outdated, run.ID)
	must(t, a.sim.Change(directory.String(), world.Change{Op: "remove_machines", From: 9, To: 10}))
	run, err = c.StartRun(ctx, i.ID, api.StartRunRequest{})
	must(t, err)
	a.work(t, 1)
	mustPointTo(t, second(c.ApproveHeldChange(ctx, i.ID, api.ApproveHeldChangeRequest{Kind: api.HeldAssets, RunID: outdated})), run.ID)
	approved, err := c.ApproveHeldChange(ctx, i.ID, api.ApproveHeldChangeRequest{Kind: api.HeldAssets, RunID: run.ID, LatestRunID: &run.ID})
	must(t, err)
	if time.Since(approved.ApprovedAt) > time.Hour || approved.Leaving != 10 || approved.Latest != nil {
		t.Errorf("approved: %+v", approved)
	}
	if w := warned(); len(w) != 1 || !strings.Contains(w[0].Remedy, "has approved") {
		t.Errorf("told once it is approved: %+v", w)
	}
	must(t, second(c.StartRun(ctx, i.ID, api.StartRunRequest{})))
	a.work(t, 1)
	if w := warned(); len(w) != 0 {
		t.Errorf("told once it is through: %+v", w)
	}
	if active, removed := count(api.AssetActive), count(api.AssetRemoved); active != 0 || removed != 10 {
		t.Errorf("%d assets are active and %d removed, want none and 10", active, removed)
	}
	mustPointTo(t, second(c.ApproveHeldChange(ctx, i.ID, api.ApproveHeldChangeRequest{Kind: api.HeldAssets, RunID: run.ID})), "")
	if held, err = c.ListHeldChanges(ctx, i.ID); err != nil || len(held.Items) != 0 {
		t.Errorf("still held: %+v %v", held, err)
	}
}

// mustStand fails unless the change that the first run met is told by its figures and, in the same words and numbers everywhere, by those
// of the latest run.
func mustStand(t *testing.T, c *api.Client, integration, first, latest string) {
	t.Helper()
	held, err := c.ListHeldChanges(t.Context(), integration)
	must(t, err)
	h := held.Items[0]
	if l := h.Latest; h.RunID != first || h.Leaving != 8 || l == nil || l.RunID != latest || l.Before != 10 || l.After != 1 || l.Leaving != 9 || len(l.Samples) != 9 || !l.At.After(h.HeldAt) {
		t.Fatalf("held: %+v, latest %+v", h, h.Latest)
	}
	i, err := c.GetIntegration(t.Context(), integration)
	must(t, err)
	run, err := c.GetRun(t.Context(), latest)
	must(t, err)
	for text, told := range map[string]string{
		"9 of 10 assets": i.Warnings[0].Detail, "9 assets would have left": run.Warnings[0].Detail, "9 held back": run.Summary,
	} {
		if !strings.Contains(told, text) {
			t.Errorf("%q is not in %q", text, told)
		}
	}
}

// mustHaveLooked fails unless an approval by the figures of the first run is refused once the latest one has looked, and one that
// names no run.
func mustHaveLooked(t *testing.T, c *api.Client, integration, first, latest string) {
	t.Helper()
	var p *api.Problem
	err := second(c.ApproveHeldChange(t.Context(), integration, api.ApproveHeldChangeRequest{Kind: api.HeldAssets, RunID: first, LatestRunID: &first}))
	if !errors.As(err, &p) || p.Code != api.CodeConflict || p.RunID != first || !strings.Contains(p.Detail, "9 of 10 assets") || !strings.Contains(p.Detail, latest) {
		t.Errorf("an approval of what the first run found: %v", err)
	}
	err = second(c.ApproveHeldChange(t.Context(), integration, api.ApproveHeldChangeRequest{Kind: api.HeldAssets, RunID: first, LatestRunID: new("last")}))
	if !errors.As(err, &p) || p.Code != api.CodeInvalidRequest || len(p.Errors) != 1 || p.Errors[0].Pointer != "/latest_run_id" {
		t.Errorf("an approval by what is no run: %v", err)
	}
}

// mustPointTo fails unless an approval was refused as outdated, naming the run whose change is held back instead, if there is any,
// and what to do.
func mustPointTo(t *testing.T, err error, run string) {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) || p.Code != api.CodeConflict {
		t.Fatalf("an outdated approval: %v", err)
	}
	want := []string{run, "10 of 10 assets", "approve of it by the run_id"}
	if run == "" {
		want = []string{"Nothing to do"}
	}
	for _, text := range want {
		if p.RunID != run || !strings.Contains(p.Detail, text) {
			t.Errorf("it names the run %q and lacks %q: %s", p.RunID, text, p.Detail)
		}
	}
}
