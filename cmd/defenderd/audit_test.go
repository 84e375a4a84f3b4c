package main

import (
	"database/sql"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/seal"
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
	want := []chainView{{Chain: "platform", Result: chainHolds, Events: 1}, {Chain: made.ID, Result: chainHolds, Events: 6}}
	if !reflect.DeepEqual(chains, want) {
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
		update audit_event set changes = jsonb_set(changes, '{0,after}', '"active"') where sequence = 5`); err != nil {
		t.Fatal(err)
	}
	out, err := invoke(t, environ, "audit", "verify", "--tenant", made.ID)
	if err == nil || !strings.Contains(out, "BROKEN at event 5: changed") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestOddRowsStopNoVerification leaves times that no program writes, in a tenant's row and in its trail: the other chains are read all the same.
func TestOddRowsStopNoVerification(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	var ids []string
	for range 2 {
		ids = append(ids, decode[tenantView](t, must(t, environ, "tenant", "create", "--name", "Contoso", "-o", "json")).ID)
	}
	owner := ownerOf(t, strings.TrimPrefix(environ[0], "DEFENDERD_DATABASE_URL="))
	if _, err := owner.Exec(`
		alter table audit_event disable trigger all;
		alter table audit_event drop constraint if exists audit_event_at_check;
		update audit_event set at = 'infinity' where tenant_id = (select min(id) from tenant) and sequence = 2;
		alter table tenant drop constraint tenant_times_check;
		update tenant set created_at = 'infinity' where id = (select min(id) from tenant)`); err != nil {
		t.Fatal(err)
	}
	out, err := invoke(t, environ, "audit", "verify", "-o", "json")
	if exitOf(err) != exitFailure {
		t.Fatalf("%v\n%s", err, out)
	}
	chains := decode[[]chainView](t, out)
	if len(chains) != 3 || chains[0].Result != chainHolds || chains[1].Chain != ids[0] || chains[1].Broken != 2 || chains[2].Chain != ids[1] || chains[2].Result != chainHolds {
		t.Errorf("%+v", chains)
	}
	if table := must(t, environ, "audit", "list", "--tenant", ids[0]); !strings.Contains(table, "entitlement.set") {
		t.Error(table)
	}
}

// A command without a keyring is recorded all the same, and told apart.
func TestCommandsWithoutAKeyringAreUnsealed(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	made := decode[tenantView](t, must(t, environ, "tenant", "create", "--name", "Contoso", "-o", "json"))
	must(t, environ[:1], "tenant", "suspend", made.ID)
	chains := decode[[]chainView](t, must(t, environ, "audit", "verify", "--tenant", made.ID, "-o", "json"))
	if !reflect.DeepEqual(chains, []chainView{{Chain: made.ID, Result: chainHolds, Events: 3, Unsealed: 1, UnsealedLate: 1}}) {
		t.Errorf("%+v", chains)
	}
	if table := must(t, environ, "audit", "verify"); !strings.Contains(table, "holds; 1 events after sealed ones are not sealed") {
		t.Error(table)
	}
	if out, err := invoke(t, environ, "audit", "verify", "--strict"); exitOf(err) != exitFailure || !strings.Contains(out, "BROKEN: 1 events are not sealed") {
		t.Errorf("strictly: %v\n%s", err, out)
	}
}

// TestAuditVerifyTellsKeysApart changes the first key and goes back once, and takes the newer one from the auditor's keyring.
func TestAuditVerifyTellsKeysApart(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	dir := t.TempDir()
	older, newer := seal.NewKey(), seal.NewKey()
	ring := func(name string, keys ...seal.Secret) []string {
		var text strings.Builder
		for _, k := range keys {
			text.WriteString(k.Reveal() + "\n")
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{environ[0], "DEFENDERD_KEYRING_FILE=" + filepath.Join(dir, name)}
	}
	before, both, after := ring("before", older), ring("both", newer, older), ring("after", newer)
	made := decode[tenantView](t, must(t, before, "tenant", "create", "--name", "Contoso", "-o", "json"))
	if _, err := invoke(t, both, "tenant", "suspend", made.ID); err == nil || !strings.Contains(err.Error(), "not known to the database") {
		t.Errorf("a first key that no service was started with: %v", err)
	}
	if err := start(t, both).stop(t); err != nil {
		t.Fatal(err)
	}
	must(t, both, "tenant", "suspend", made.ID)
	verify := func(environ []string, flags ...string) (chainView, error) {
		out, err := invoke(t, environ, append([]string{"audit", "verify", "--tenant", made.ID, "-o", "json"}, flags...)...)
		return decode[[]chainView](t, out)[0], err
	}
	if got, err := verify(both, "--strict"); err != nil || got.Result != chainHolds || got.OlderKey != 0 {
		t.Errorf("with both keys: %+v, %v", got, err)
	}
	id, _, _ := strings.Cut(older.Reveal(), ":")
	if got, err := verify(after); exitOf(err) != exitUnproven || got.Result != chainKeyMissing || got.Unproven != 2 || !slices.Equal(got.MissingKeys, []string{id}) || got.Broken != 0 {
		t.Errorf("without the older key: %+v, %v", got, err)
	}
	must(t, before, "tenant", "resume", made.ID)
	if got, err := verify(both); err != nil || got.Result != chainHolds || got.OlderKey != 1 || got.OlderKeyFrom != 4 {
		t.Errorf("the older key again: %+v, %v", got, err)
	}
	if got, err := verify(both, "--strict"); exitOf(err) != exitFailure || got.Result != chainBroken || got.Broken != 4 {
		t.Errorf("the older key again, strictly: %+v, %v", got, err)
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
	if len(all) != 4 || all[0].Action != api.AuditAPIKeyCreated || all[0].Resource.ID != key.ID || all[0].Actor.Kind != api.AuditByCLI || all[0].Sequence != 4 {
		t.Fatalf("the tenant's: %+v", all)
	}
	at := all[1].At.Format(time.RFC3339Nano)
	for filter, want := range map[string]int{
		"--limit 2": 2, "--action api_key.created --action tenant.state_changed": 2, "--actor cli": 4, "--actor nobody": 0, "--resource " + key.ID: 1,
		"--outcome refused": 0, "--from " + at: 2, "--before " + at: 2,
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
