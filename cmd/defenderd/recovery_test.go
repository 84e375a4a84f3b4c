package main

import (
	"database/sql"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
)

func TestAFailedMigrationNamesTheWayOn(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	status, err := postgres.MigrateDown(t.Context(), url, 1)
	if err != nil {
		t.Fatal(err)
	}
	before, failed := status.Version, status.Latest
	owner := ownerOf(t, url)
	execute(t, owner, "alter table audit_event add constraint audit_event_at_check check (true)") // in the way of the newest migration
	way := fmt.Sprintf("defenderd migrate force %d --yes", before)
	for _, line := range []string{"migrate", "migrate up", "serve --migrate", "tenant list"} {
		if _, err := invoke(t, environ, strings.Fields(line)...); err == nil || !strings.Contains(err.Error(), way) {
			t.Errorf("%s does not name %q: %v", line, way, err)
		}
	}
	if out := must(t, environ, "migrate", "status"); !strings.Contains(out, "migrate force") {
		t.Errorf("status:\n%s", out)
	}
	force := func(version uint, more ...string) error {
		_, err := invoke(t, environ, append([]string{"migrate", "force", fmt.Sprint(version)}, more...)...)
		return err
	}
	if err := force(before); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("without --yes: %v", err)
	}
	if err := force(before-1, "--yes"); err == nil {
		t.Error("forced to a version that the schema cannot be at")
	}
	execute(t, owner, "alter table audit_event drop constraint audit_event_at_check")
	if err := force(before, "--yes"); err != nil {
		t.Fatal(err)
	}
	must(t, environ, "migrate")
	if err := force(failed, "--yes"); err == nil {
		t.Error("a schema that is not dirty was forced")
	}
	must(t, environ, "tenant", "list")
}

func ownerOf(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

const (
	resealDirectory = "5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7a01"
	resealClient    = "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a01"
	resealSecret    = "abc8Q~simulatedSecretValue0123456789abcd"
)

// connected is a database with one integration whose secret the key sealed, and the service's settings beside it.
func connected(t *testing.T, key string) (environ []string, integration string) {
	t.Helper()
	none := 0
	sim := defendersim.New(defendersim.Config{CatalogueSize: 10})
	if err := sim.AddDirectory(defendersim.DirectorySpec{ID: resealDirectory, Machines: 1, FindingsPerMachine: &none, Apps: []defendersim.App{{
		ClientID: resealClient, Secret: resealSecret, Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead},
	}}}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	microsoft := server.URL
	environ = []string{
		"DEFENDERD_DATABASE_URL=" + postgrestest.URL(t), "DEFENDERD_LOGIN_URL=" + microsoft, "DEFENDERD_API_URL=" + microsoft,
		"DEFENDERD_UNSAFE_TEST_UPSTREAM=true",
	}
	keyed := append(environ[:len(environ):len(environ)], "DEFENDERD_KEYRING="+key)
	s := start(t, keyed, "--roles", "http")
	made := decode[tenantView](t, must(t, environ, "tenant", "create", "--name", "Contoso", "-o", "json"))
	admin := decode[keyView](t, must(t, keyed, "api-key", "create", "--tenant", made.ID, "--name", "a", "--role", "admin", "-o", "json"))
	i, err := api.New(s.api, admin.Key).ConnectIntegration(t.Context(), api.ConnectRequest{
		Type: api.TypeMicrosoftDefender, Credentials: api.CredentialsInput{ClientID: resealClient, ClientSecret: resealSecret, TenantID: resealDirectory},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stop(t); err != nil {
		t.Fatal(err)
	}
	return environ, i.ID
}

func TestResealLetsAnOldKeyGo(t *testing.T) {
	t.Parallel()
	older, newer := seal.NewKey().Reveal(), seal.NewKey().Reveal()
	environ, integration := connected(t, older)
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	with := func(ring string) []string {
		return append(environ[:len(environ):len(environ)], "DEFENDERD_KEYRING="+ring)
	}

	if err := start(t, with(newer+"\n"+older), "--roles", "http").stop(t); err != nil { // makes the newer one known
		t.Fatal(err)
	}
	if _, err := invoke(t, with(newer), "keyring", "reseal"); err == nil || !strings.Contains(err.Error(), onlyTenant(t, environ)) {
		t.Errorf("without the key that wrapped the data key: %v", err)
	}
	id, _, _ := strings.Cut(older, ":")
	_, other, _ := strings.Cut(seal.NewKey().Reveal(), ":")
	if _, err := invoke(t, with(id+":"+other), "keyring", "reseal"); err == nil || !strings.Contains(err.Error(), "not the one") {
		t.Errorf("with another key by the same id: %v", err)
	}
	var before, after string
	row := "select version || ' ' || updated_at from integration"
	if err := ownerOf(t, url).QueryRow(row).Scan(&before); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds nothing to do
		if out := must(t, with(newer+"\n"+older), "keyring", "reseal", "-o", "json"); !strings.Contains(out, `"data_keys": 1`) || !strings.Contains(out, `"data_keys": 0`) {
			t.Errorf("afterwards:\n%s", out)
		}
	}
	if err := ownerOf(t, url).QueryRow(row).Scan(&after); err != nil || after != before {
		t.Errorf("the integration looks changed: %s, then %s, %v", before, after, err)
	}
	s := start(t, with(newer), "--roles", "http")
	admin := decode[keyView](t, must(t, with(newer), "api-key", "create", "--tenant", onlyTenant(t, environ), "--name", "b", "--role", "admin", "-o", "json"))
	if v, err := api.New(s.api, admin.Key).ValidateIntegration(t.Context(), integration); err != nil || !v.OK {
		t.Errorf("the secret does not work with the new key alone: %+v, %v", v, err)
	}
}

func onlyTenant(t *testing.T, environ []string) string {
	t.Helper()
	list := decode[[]tenantView](t, must(t, environ, "tenant", "list", "-o", "json"))
	if len(list) != 1 {
		t.Fatalf("%d tenants", len(list))
	}
	return list[0].ID
}
