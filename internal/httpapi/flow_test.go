package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// TestConnectingStartsTheFirstRun follows one integration from its form to its end.
func TestConnectingStartsTheFirstRun(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := context.Background(), h.admin()
	asked := form(uuid.New())
	asked.Name, asked.Schedule = new("Contoso"), &api.Schedule{IntervalHours: 12}
	asked.Credentials.TenantID = "{" + strings.ToUpper(asked.Credentials.TenantID) + "} "
	asked.Settings = &api.SettingsInput{MinSeverity: new(api.SeverityHigh), IPDeny: []string{"172.30.0.1/16", "10.9.9.9"}, TagsExclude: []string{"lab"}}
	preview, err := c.PreviewIntegration(ctx, asked)
	must(t, err)
	i, err := c.ConnectIntegration(ctx, asked)
	must(t, err)
	if !reflect.DeepEqual(preview.Settings, i.Settings) || preview.Name != "Contoso" || preview.Credentials.TenantID != i.Credentials.TenantID {
		t.Errorf("preview %+v\ndiffers from %+v", preview, i)
	}
	if i.Credentials.TenantID != strings.ToLower(strings.Trim(asked.Credentials.TenantID, "{} ")) || i.PGP.Value != i.Credentials.TenantID {
		t.Errorf("the directory is %q", i.Credentials.TenantID)
	}
	if got := i.Settings; got.MinSeverity != api.SeverityHigh || !reflect.DeepEqual(got.IPDeny, []string{"172.30.0.0/16", "10.9.9.9/32"}) || got.MaxAgeDays != 30 ||
		!got.ImportAssets || !got.ImportVulnerabilities || !got.AllowUnderscore {
		t.Errorf("settings %+v", got)
	}
	if i.Validation == nil || !i.Validation.OK || len(i.Validation.Checks) != 4 || i.Schedule.IntervalHours != 12 || i.LastRun == nil || i.LastRun.Trigger != api.TriggerConnect {
		t.Errorf("connected: %+v", i)
	}
	if len(h.woken) != 1 {
		t.Errorf("workers were woken %d times", len(h.woken))
	}
	again, err := c.GetIntegration(ctx, i.ID)
	must(t, err)
	if i.Validation = nil; !reflect.DeepEqual(again, i) {
		t.Errorf("read again:\n%+v\nconnected:\n%+v", again, i)
	}
}

// TestConnectAnswersWhereToFindIt checks the headers that the typed client does not show.
func TestConnectAnswersWhereToFindIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.send(raw{
		method: http.MethodPost, path: "/v1/integrations", key: h.mine.keys[tenant.Admin], body: bodies["connectIntegration"],
		header: map[string]string{"Content-Type": "application/json"}, client: h.checked(),
	})
	location := got.header.Get("Location")
	found := h.send(raw{method: http.MethodGet, path: location, key: h.mine.keys[tenant.ReadOnly], client: h.checked()})
	if got.status != http.StatusCreated || found.status != http.StatusOK || found.header.Get("ETag") != got.header.Get("ETag") {
		t.Errorf("%d %v, then %d %v", got.status, got.header, found.status, found.header)
	}
	run := h.send(raw{method: http.MethodGet, path: "/v1/runs", key: h.mine.keys[tenant.ReadOnly], client: h.checked()})
	id := strings.Split(strings.Split(run.body, `"id":"`)[1], `"`)[0]
	queued := h.send(raw{method: http.MethodGet, path: "/v1/runs/" + id, key: h.mine.keys[tenant.ReadOnly], client: h.checked()})
	if queued.header.Get("Retry-After") != "5" {
		t.Errorf("an unfinished run without Retry-After: %v", queued.header)
	}
	cancelled := h.send(raw{method: http.MethodPost, path: "/v1/runs/" + id + "/cancel", key: h.mine.keys[tenant.Analyst], client: h.checked()})
	finished := h.send(raw{method: http.MethodGet, path: "/v1/runs/" + id, key: h.mine.keys[tenant.ReadOnly], client: h.checked()})
	if cancelled.status != http.StatusAccepted || finished.header.Get("Retry-After") != "" || !strings.Contains(finished.body, `"state":"cancelled"`) {
		t.Errorf("cancelled: %d, then %v %s", cancelled.status, finished.header, finished.body)
	}
	for _, accepted := range []raw{
		{method: http.MethodPost, path: location + "/runs", key: h.mine.keys[tenant.Analyst]},
		{method: http.MethodDelete, path: location + "?data=purge", key: h.mine.keys[tenant.Admin]},
	} {
		accepted.client = h.checked()
		if got := h.send(accepted); got.status != http.StatusAccepted || got.header.Get("Retry-After") != "5" || got.header.Get("Location") == "" {
			t.Errorf("%s %s: %d %v", accepted.method, accepted.path, got.status, got.header)
		}
	}
}

func TestWithoutEntitlementConnectingWorksAndSaysSo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := context.Background()
	must(t, h.store.SetEntitlement(ctx, h.mine.id, tenant.Entitlement{InternalAssessments: true, ValidUntil: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}))
	i := h.connect(h.mine)
	if i.EffectiveSettings.ImportAssets || i.EffectiveSettings.ImportVulnerabilities || !reflect.DeepEqual(i.BlockedBy, []string{fault.CodeEntitlementMissing}) {
		t.Errorf("%+v %v", i.EffectiveSettings, i.BlockedBy)
	}
	e, err := h.admin().GetEntitlements(ctx)
	if err != nil || e.EffectiveNow || e.Reason != "entitlement_expired" || e.ValidUntil != "2020-01-01" || e.MaxAssets != nil {
		t.Errorf("%+v %v", e, err)
	}
}

// TestTagsTellChangesByPeopleFromRuns: an If-Match survives a run and fails after somebody's change.
func TestTagsTellChangesByPeopleFromRuns(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := context.Background(), h.admin()
	i := h.connect(h.mine)
	must(t, second(c.CancelRun(ctx, i.LastRun.ID)))
	after, err := c.GetIntegration(ctx, i.ID, api.IfNoneMatch(i.ETag))
	must(t, err) // not 304: the run is part of what is shown
	if after.ETag == i.ETag {
		t.Error("the tag did not change with the run")
	}
	changed, err := c.UpdateIntegration(ctx, i.ID, api.IntegrationPatch{Name: new("Europe")}, api.IfMatch(i.ETag))
	must(t, err)
	if changed.Name != "Europe" || changed.Settings.MaxAgeDays != 30 {
		t.Errorf("%+v", changed)
	}
	version, _, _ := strings.Cut(changed.ETag, ".")
	for _, tag := range []string{
		after.ETag, `"`, `x`, `W/` + changed.ETag, `"1"`, `"-1.x"`, version + `.x"`, version + `."`, version + `.9f86d081884c7d6"`, version + `.9F86D081884C7D65"`,
		version + `.9f86d081884c7d65`, strings.Replace(changed.ETag, `"`, `"0`, 1), strings.Replace(changed.ETag, `"`, `"+`, 1), `"99999999999999999999.884c7d659f86d081884c7d65"`,
	} {
		err := second(c.UpdateIntegration(ctx, i.ID, api.IntegrationPatch{Name: new("x")}, api.IfMatch(tag)))
		if !api.HasCode(err, api.CodePreconditionFailed) {
			t.Errorf("If-Match %s: %v", tag, err)
		}
	}
	for _, tag := range []func(current string) string{
		func(current string) string { return current }, func(string) string { return "*" }, func(current string) string { return `"0.0", ` + current },
	} {
		updated, err := c.UpdateIntegration(ctx, i.ID, api.IntegrationPatch{Name: new("Europe")}, api.IfMatch(tag(changed.ETag)))
		must(t, err)
		changed = updated
	}
	for _, tag := range []string{changed.ETag, "W/" + changed.ETag, `"x", ` + changed.ETag, "*"} {
		if _, err := c.GetIntegration(ctx, i.ID, api.IfNoneMatch(tag)); !errors.Is(err, api.ErrNotModified) {
			t.Errorf("If-None-Match %s: %v", tag, err)
		}
	}
}

// TestAPatchThatChangesNothingDoesNothing sends what is there already, in several ways.
func TestAPatchThatChangesNothingDoesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := context.Background(), h.admin()
	i := h.connect(h.mine)
	must(t, second(c.CancelRun(ctx, i.LastRun.ID)))
	before, err := c.GetIntegration(ctx, i.ID)
	must(t, err)
	for name, patch := range map[string]api.IntegrationPatch{
		"nothing": {}, "the same name": {Name: &before.Name}, "the same schedule": {Schedule: &before.Schedule}, "no settings": {Settings: &api.SettingsInput{}},
		"the same settings": {Settings: &api.SettingsInput{
			ImportAssets: new(true), MaxAgeDays: &before.Settings.MaxAgeDays, DeviceGroups: []string{}, AttackVectors: before.Settings.AttackVectors,
		}},
	} {
		after, err := c.UpdateIntegration(ctx, i.ID, patch)
		must(t, err)
		if !reflect.DeepEqual(after, before) {
			t.Errorf("%s:\n%+v\nbefore:\n%+v", name, after, before)
		}
	}
	if n, err := h.store.ScheduleDue(ctx, time.Now().Add(time.Minute)); err != nil || n != 0 {
		t.Errorf("%d runs are due, %v", n, err)
	}
	changed, err := c.UpdateIntegration(ctx, i.ID, api.IntegrationPatch{Settings: &api.SettingsInput{DeviceGroups: []string{"Servers"}}})
	if err != nil || changed.ETag == before.ETag || !changed.NextRunAt.Before(before.NextRunAt) {
		t.Errorf("a change that is one: %+v %v", changed, err)
	}
}

// TestOfManyChangesWithOneTagOneWins sends them all at once.
func TestOfManyChangesWithOneTagOneWins(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	i := h.connect(h.mine)
	c := h.admin()
	var won, lost atomic.Int32
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			err := second(c.UpdateIntegration(context.Background(), i.ID, api.IntegrationPatch{Name: new(uuid.NewString())}, api.IfMatch(i.ETag)))
			switch {
			case err == nil:
				won.Add(1)
			case api.HasCode(err, api.CodePreconditionFailed):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || lost.Load() != 49 {
		t.Errorf("%d won and %d lost", won.Load(), lost.Load())
	}
}

// TestPatchesOfDifferentMembersDoNotUndoEachOther sends two at once, without If-Match, many times.
func TestPatchesOfDifferentMembersDoNotUndoEachOther(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	i := h.connect(h.mine)
	c, ctx := h.admin(), context.Background()
	for n := range 10 {
		days := n + 1
		var group sync.WaitGroup
		for _, s := range []*api.SettingsInput{{MaxAgeDays: &days}, {RequireFQDN: new(n%2 == 0)}} {
			group.Go(func() { must(t, second(c.UpdateIntegration(ctx, i.ID, api.IntegrationPatch{Settings: s}))) })
		}
		group.Wait()
		now, err := c.GetIntegration(ctx, i.ID)
		must(t, err)
		if now.Settings.MaxAgeDays != days || now.Settings.RequireFQDN != (n%2 == 0) {
			t.Errorf("round %d: %+v", n, now.Settings)
		}
	}
}

func TestPausedIntegrationsTakeNoRuns(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := context.Background(), h.admin()
	i := h.connect(h.mine)
	paused, err := c.PauseIntegration(ctx, i.ID, true)
	must(t, err)
	if paused.State != api.IntegrationPaused || !paused.NextRunAt.IsZero() || paused.LastRun.State != api.RunCancelled {
		t.Errorf("%+v %+v", paused, paused.LastRun)
	}
	if err := second(c.StartRun(ctx, i.ID, api.StartRunRequest{})); !api.HasCode(err, api.CodeIntegrationPaused) {
		t.Errorf("run of a paused integration: %v", err)
	}
	must(t, second(c.ResumeIntegration(ctx, i.ID)))
	run, err := c.StartRun(ctx, i.ID, api.StartRunRequest{Mode: new(api.ModeFull)})
	if err != nil || run.Mode != api.ModeFull || run.Trigger != api.TriggerManual || run.State != api.RunQueued {
		t.Errorf("%+v %v", run, err)
	}
}

func TestDisconnectedIntegrationsAreLeftOutUnlessAskedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := context.Background(), h.admin()
	gone, kept := h.connect(h.mine), h.connect(h.mine)
	must(t, second(c.DisconnectIntegration(ctx, gone.ID, api.DataRetain)))
	for name, x := range map[string]struct {
		states []api.IntegrationState
		want   []string
	}{
		"usually": {nil, []string{kept.ID}}, "asked for": {[]api.IntegrationState{api.IntegrationDisconnected}, []string{gone.ID}},
		"both": {[]api.IntegrationState{api.IntegrationDisconnected, api.IntegrationActive}, []string{gone.ID, kept.ID}}, "neither": {[]api.IntegrationState{api.IntegrationPaused}, []string{}},
	} {
		ids := []string{}
		for i, err := range c.AllIntegrations(ctx, api.ListIntegrationsOptions{State: x.states, PageOptions: api.PageOptions{Limit: 1}}) {
			must(t, err)
			ids = append(ids, i.ID)
		}
		if !reflect.DeepEqual(ids, x.want) {
			t.Errorf("%s: %v, want %v", name, ids, x.want)
		}
	}
	again, err := c.ConnectIntegration(ctx, form(uuid.MustParse(gone.Credentials.TenantID)))
	if err != nil || again.ID == gone.ID {
		t.Errorf("the same directory again: %+v %v", again, err)
	}
	// What is left of the first connection can be purged all the same, and that stands in nobody's way.
	purge, err := c.DisconnectIntegration(ctx, gone.ID, api.DataPurge)
	if err != nil || purge.Mode != api.ModePurge || purge.IntegrationID != gone.ID {
		t.Errorf("purge of the earlier connection: %+v %v", purge, err)
	}
	if err := second(c.ConnectIntegration(ctx, form(uuid.MustParse(gone.Credentials.TenantID)))); !api.HasCode(err, api.CodeAlreadyConnected) {
		t.Errorf("the directory a third time: %v", err)
	}
}
