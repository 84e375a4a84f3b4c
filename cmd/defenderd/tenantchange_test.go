package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
)

// TestATenantIsChangedAndDeletedByCommand lets a service that runs beside the commands do the deletion.
func TestATenantIsChangedAndDeletedByCommand(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	s := start(t, environ, "--poll", "100ms")
	made := decode[tenantView](t, must(t, environ, "tenant", "create", "--name", "Contoso", "--internal-assessments", "-o", "json"))
	must(t, environ, "tenant", "create", "--name", "Fabrikam")
	changed := decode[tenantView](t, must(t, environ, "tenant", "update", "-o", "json", "--name", "Contoso Group", "--account", "it@contoso.example", "--max-integrations", "5", made.ID))
	if changed.Name != "Contoso Group" || changed.Account != "it@contoso.example" || changed.MaxIntegrations != 5 || !changed.InternalAssessments {
		t.Errorf("changed: %+v", changed)
	}
	if cleared := decode[tenantView](t, must(t, environ, "tenant", "update", "-o", "json", "--account=", "--max-integrations", "0", made.ID)); cleared.Account != "" || cleared.MaxIntegrations != 0 {
		t.Errorf("cleared: %+v", cleared)
	}
	for line, want := range map[string]int{"--name group": 1, "--state active": 2, "--state suspended --state deleting": 0} {
		args := append([]string{"tenant", "list", "-o", "json"}, strings.Fields(line)...)
		if got := decode[[]tenantView](t, must(t, environ, args...)); len(got) != want {
			t.Errorf("list %s: %+v", line, got)
		}
	}
	key := decode[keyView](t, must(t, environ, "api-key", "create", "--tenant", made.ID, "--name", "ops", "--role", "admin", "-o", "json"))
	client := api.New(s.api, key.Key)
	if _, err := invoke(t, environ, "tenant", "delete", made.ID); err == nil {
		t.Error("deleted without --yes")
	}
	if _, err := client.GetTenant(t.Context()); err != nil {
		t.Errorf("it is not served any more: %v", err)
	}
	if deleting := decode[tenantView](t, must(t, environ, "tenant", "delete", "--yes", made.ID, "-o", "json")); deleting.State != "deleting" {
		t.Errorf("%+v", deleting)
	}
	if _, err := client.GetTenant(t.Context()); !api.HasCode(err, api.CodeUnauthenticated) {
		t.Errorf("its key: %v", err)
	}
	var proof []api.AuditEvent
	look, deadline := time.NewTicker(20*time.Millisecond), time.Now().Add(patience)
	defer look.Stop()
	for ; len(proof) == 0; <-look.C {
		if time.Now().After(deadline) {
			t.Fatalf("the tenant is not gone in time\n%s", s.log)
		}
		proof = decode[[]api.AuditEvent](t, must(t, environ, "audit", "list", "--action", "tenant.deleted", "-o", "json"))
	}
	if proof[0].Resource.ID != made.ID || proof[0].Actor.Name != "off-boarding" {
		t.Errorf("%+v", proof)
	}
	if left := decode[[]tenantView](t, must(t, environ, "tenant", "list", "-o", "json")); len(left) != 1 || left[0].Name != "Fabrikam" {
		t.Errorf("left: %+v", left)
	}
	chains := decode[[]chainView](t, must(t, environ, "audit", "verify", "-o", "json"))
	if len(chains) != 3 || chains[1].Reason != "" || chains[1].Chain != made.ID+", deleted" {
		t.Errorf("%+v", chains)
	}
	if own := decode[[]chainView](t, must(t, environ, "audit", "verify", "--tenant", made.ID, "-o", "json")); len(own) != 1 || !reflect.DeepEqual(own[0], chains[1]) {
		t.Errorf("by its id: %+v", own)
	}
	if trail := decode[[]api.AuditEvent](t, must(t, environ, "audit", "list", "--tenant", made.ID, "-o", "json")); int64(len(trail)) != chains[1].Events || trail[len(trail)-1].Action != api.AuditTenantCreated {
		t.Errorf("its trail: %+v", trail)
	}
	if out, err := invoke(t, environ, "audit", "list", "--tenant", "tnt_0123456789abcdef0123456789abcdef"); err == nil {
		t.Errorf("the trail of a tenant that never was: %s", out)
	}
	if out, err := invoke(t, environ, "tenant", "delete", "--yes", made.ID); err == nil {
		t.Errorf("deleted again: %s", out)
	}
}
