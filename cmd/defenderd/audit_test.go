package main

import (
	"database/sql"
	"os/user"
	"strings"
	"testing"
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
