package main

import (
	"database/sql"
	"os/user"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
)

func TestAuditVerifyNamesWhatIsBroken(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	made := decode[tenantView](t, must(t, environ, "tenant", "create", "--name", "Contoso", "-o", "json"))
	for range 2 {
		must(t, environ, "tenant", "suspend", made.ID)
		must(t, environ, "tenant", "resume", made.ID)
	}
	chains := decode[[]chainView](t, must(t, environ, "audit", "verify", "-o", "json"))
	if len(chains) != 2 || chains[0] != (chainView{Chain: "platform", Events: 1}) || chains[1] != (chainView{Chain: made.ID, Events: 5}) {
		t.Errorf("%+v", chains)
	}
	url, _ := strings.CutPrefix(environ[0], "DEFENDERD_DATABASE_URL=")
	owner, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close() //nolint:errcheck // a test's own connection
	var actor string
	if err := owner.QueryRow(`select min(actor_kind || ' ' || actor_name) from audit_event where sequence > 1`).Scan(&actor); err != nil {
		t.Fatal(err)
	}
	if me, err := user.Current(); err != nil || actor != "cli "+me.Username {
		t.Errorf("recorded %q, %v", actor, err)
	}
	if _, err := owner.Exec(`
		alter table audit_event disable trigger all;
		update audit_event set changes = jsonb_set(changes, '{0,after}', '"active"') where sequence = 4`); err != nil {
		t.Fatal(err)
	}
	out, err := invoke(t, environ, "audit", "verify", "--tenant", made.ID)
	if err == nil || !strings.Contains(out, "BROKEN at event 4: changed") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A command without a keyring is recorded all the same, and told apart.
func TestCommandsWithoutAKeyringAreUnsealed(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	made := decode[tenantView](t, must(t, environ, "tenant", "create", "--name", "Contoso", "-o", "json"))
	must(t, environ[:1], "tenant", "suspend", made.ID)
	chains := decode[[]chainView](t, must(t, environ, "audit", "verify", "--tenant", made.ID, "-o", "json"))
	if len(chains) != 1 || chains[0] != (chainView{Chain: made.ID, Events: 2, Unsealed: 1}) {
		t.Errorf("%+v", chains)
	}
}

func TestAuditListReadsOneChain(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	made := decode[tenantView](t, must(t, environ, "tenant", "create", "--name", "Contoso", "-o", "json"))
	must(t, environ, "tenant", "suspend", made.ID)
	key := decode[keyView](t, must(t, environ, "api-key", "create", "--tenant", made.ID, "--name", "ops", "--role", "readonly", "-o", "json"))
	list := func(args ...string) []api.AuditEvent {
		t.Helper()
		return decode[[]api.AuditEvent](t, must(t, environ, append([]string{"audit", "list", "-o", "json"}, args...)...))
	}
	if got := list(); len(got) != 1 || got[0].Action != api.AuditTenantCreated || got[0].Resource.ID != made.ID {
		t.Errorf("the platform's: %+v", got)
	}
	all := list("--tenant", made.ID)
	if len(all) != 3 || all[0].Action != api.AuditAPIKeyCreated || all[0].Resource.ID != key.ID || all[0].Actor.Kind != api.AuditByCLI || all[0].Sequence != 3 {
		t.Fatalf("the tenant's: %+v", all)
	}
	at := all[1].At.Format(time.RFC3339Nano)
	for filter, want := range map[string]int{
		"--limit 2": 2, "--action api_key.created --action tenant.state_changed": 2, "--actor cli": 3, "--actor nobody": 0, "--resource " + key.ID: 1,
		"--outcome refused": 0, "--from " + at: 2, "--before " + at: 1,
	} {
		if got := list(append([]string{"--tenant", made.ID}, strings.Fields(filter)...)...); len(got) != want {
			t.Errorf("%s: %d events, want %d", filter, len(got), want)
		}
	}
	if table := must(t, environ, "audit", "list", "--tenant", made.ID); !strings.Contains(table, key.ID) || !strings.Contains(table, "state: active → suspended") {
		t.Error(table)
	}
	if got := eventRow(&api.AuditEvent{Actor: api.AuditActor{Name: "a\x1b[2J\tb"}}); got[2] != " a·[2J·b" {
		t.Errorf("%q", got[2])
	}
}
