package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/seal"
)

// TestAPIKeysOutliveTheKeysOfTheKeyring replaces the key of the keyring as the operator's guide says, and then one too early.
func TestAPIKeysOutliveTheKeysOfTheKeyring(t *testing.T) {
	t.Parallel()
	environ := environment(t)[:1]
	with := func(lines ...string) []string {
		return append(environ[:1:1], "DEFENDERD_KEYRING="+strings.Join(lines, "\n"))
	}
	older, newer, newest := seal.NewKey().Reveal(), seal.NewKey().Reveal(), seal.NewKey().Reveal()
	made := decode[tenantView](t, must(t, with(older), "tenant", "create", "--name", "Contoso", "-o", "json"))
	create := []string{"api-key", "create", "--tenant", made.ID, "--name", "ops", "--role", "readonly", "-o", "json"}
	key := decode[keyView](t, must(t, with(older), create...))
	spare := decode[keyView](t, must(t, with(older), create...))
	works := func(what string, lines ...string) {
		t.Helper()
		s := start(t, with(lines...), "--roles", "http")
		if _, err := api.New(s.api, key.Key).GetTenant(context.Background()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	counts := func(lines ...string) map[string]int {
		t.Helper()
		found := map[string]int{}
		for _, k := range decode[[]keyLine](t, must(t, with(lines...), "keyring", "check", "-o", "json")) {
			found[k.ID] = *k.APIKeys
		}
		return found
	}
	if _, err := invoke(t, environ, create...); err == nil || !strings.Contains(err.Error(), "DEFENDERD_KEYRING") {
		t.Errorf("made without the keyring: %v", err)
	}
	works("with the old key", older)
	works("with the new one below", older, newer)
	works("with the new one first", newer, older)
	if n := counts(newer, older); n[idOf(older)] != 2 || n[idOf(newer)] != 0 {
		t.Errorf("before resealing: %v", n)
	}
	must(t, with(newer, older), "keyring", "reseal")
	if n := counts(newer, older); n[idOf(older)] != 0 || n[idOf(newer)] != 2 {
		t.Errorf("after it: %v", n)
	}
	works("without the old key", newer)

	_, err := invoke(t, with(newest), "keyring", "check")
	if err == nil || !strings.Contains(err.Error(), idOf(newer)) || !strings.Contains(err.Error(), "2 API keys") {
		t.Errorf("the key is dropped before resealing: %v", err)
	}
	if out := must(t, with(newer), "audit", "list", "--tenant", made.ID, "--action", "api_key.resealed"); strings.Count(out, "api_key.resealed") != 2 || !strings.Contains(out, spare.ID) {
		t.Errorf("the trail: %s", out)
	}
}

// TestResealGoesOnBehindAnAPIKeyWithAnOddTime gives one a life that does not end, which the table would refuse.
func TestResealGoesOnBehindAnAPIKeyWithAnOddTime(t *testing.T) {
	t.Parallel()
	environ := environment(t)[:1]
	older, newer := seal.NewKey().Reveal(), seal.NewKey().Reveal()
	old, both := append(environ[:1:1], "DEFENDERD_KEYRING="+older), append(environ[:1:1], "DEFENDERD_KEYRING="+newer+"\n"+older)
	made := decode[tenantView](t, must(t, old, "tenant", "create", "--name", "Contoso", "-o", "json"))
	var keys [2]keyView
	for i := range keys {
		keys[i] = decode[keyView](t, must(t, old, "api-key", "create", "--tenant", made.ID, "--name", fmt.Sprint(i), "--role", "readonly", "-o", "json"))
	}
	db := ownerOf(t, strings.TrimPrefix(environ[0], "DEFENDERD_DATABASE_URL="))
	execute(t, db, "alter table api_key drop constraint api_key_times_check; update api_key set expires_at = 'infinity' where name = '0'")
	if err := start(t, both, "--roles", "http").stop(t); err != nil { // which makes the newer one known
		t.Fatal(err)
	}
	if _, err := invoke(t, both, "keyring", "reseal"); err == nil || !strings.Contains(err.Error(), keys[0].ID) || strings.Contains(err.Error(), keys[1].ID) {
		t.Errorf("it ends with %v, want %s named", err, keys[0].ID)
	}
	if out := must(t, both, "audit", "list", "--tenant", made.ID, "--action", "api_key.resealed"); !strings.Contains(out, keys[1].ID) || strings.Contains(out, keys[0].ID) {
		t.Errorf("the trail: %s", out)
	}
	if out := must(t, both, "api-key", "list", "--tenant", made.ID); !strings.Contains(out, keys[0].ID) || !strings.Contains(out, keys[1].ID) {
		t.Errorf("the list: %s", out)
	}
}

// TestResealNamesAPIKeysThatWereChanged changes a key's role in the database, which no keyring agrees to.
func TestResealNamesAPIKeysThatWereChanged(t *testing.T) {
	t.Parallel()
	environ := environment(t)[:1]
	url := strings.TrimPrefix(environ[0], "DEFENDERD_DATABASE_URL=")
	older, newer := seal.NewKey().Reveal(), seal.NewKey().Reveal()
	old, both := append(environ[:1:1], "DEFENDERD_KEYRING="+older), append(environ[:1:1], "DEFENDERD_KEYRING="+newer+"\n"+older)
	made := decode[tenantView](t, must(t, old, "tenant", "create", "--name", "Contoso", "-o", "json"))
	key := decode[keyView](t, must(t, old, "api-key", "create", "--tenant", made.ID, "--name", "ops", "--role", "readonly", "-o", "json"))
	if _, err := ownerOf(t, url).Exec("update api_key set role = 'admin'"); err != nil {
		t.Fatal(err)
	}
	if err := start(t, both, "--roles", "http").stop(t); err != nil { // which makes the newer one known
		t.Fatal(err)
	}
	if _, err := invoke(t, both, "keyring", "reseal"); err == nil || !strings.Contains(err.Error(), key.ID) {
		t.Errorf("it is not named: %v", err)
	}
	must(t, old, "api-key", "revoke", "--tenant", made.ID, key.ID)
	must(t, both, "keyring", "reseal")

	// A revocation that is taken back leaves a key with nothing sealed: the others are not refused for it.
	if _, err := ownerOf(t, url).Exec("update api_key set revoked_at = null"); err != nil {
		t.Fatal(err)
	}
	if out := must(t, both, "keyring", "check"); !strings.Contains(out, "cannot be read") {
		t.Errorf("it is not counted: %s", out)
	}
	if err := start(t, both, "--roles", "http").stop(t); err != nil {
		t.Error(err)
	}
	if _, err := invoke(t, both, "keyring", "reseal"); err == nil || !strings.Contains(err.Error(), key.ID) {
		t.Errorf("it is not named: %v", err)
	}
}
