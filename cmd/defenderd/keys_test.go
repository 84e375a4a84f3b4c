package main

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/kms/kmstest"
	"pgp.internal/defender/internal/seal"
)

// vaultSettings are those of a key of a service that answers like Vault.
func vaultSettings(t *testing.T, service *kmstest.Service) []string {
	t.Helper()
	server := httptest.NewServer(service.Vault("defender", "hvs.sesame"))
	t.Cleanup(server.Close)
	return []string{"DEFENDERD_KEK=hashivault://defender?address=" + server.URL, "DEFENDERD_VAULT_TOKEN_FILE=" + write(t, "hvs.sesame\n")}
}

// TestAKeyServiceThatIsAway holds what goes on without it: the start, readiness and all reading; and what waits for it.
func TestAKeyServiceThatIsAway(t *testing.T) {
	t.Parallel()
	line := seal.NewKey().Reveal()
	environ, integration := connected(t, line)
	service := kmstest.New()
	environ = append(append(environ, "DEFENDERD_KEYRING="+line), vaultSettings(t, service)...)

	service.Fail(503)
	_, err := invoke(t, environ, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "DEFENDERD_KEK") || strings.Contains(err.Error(), "sesame") {
		t.Errorf("a key service that has never answered: %v", err)
	}
	service.Fail(0)
	must(t, environ, "keyring", "reseal")
	if out := must(t, environ, "keyring", "check"); !strings.Contains(out, "hashivault://transit/defender#v1") {
		t.Error(out)
	}

	release := service.Hold() // it may also answer nothing at all
	t.Cleanup(release)
	hung := start(t, environ, "--roles", "http")
	if !strings.Contains(hung.log.String(), "key service does not answer") {
		t.Error("the start does not tell of a key service that hangs")
	}
	release()

	service.Fail(503)
	s := start(t, environ, "--roles", "http")
	if !strings.Contains(s.log.String(), "key service does not answer") {
		t.Error("the start does not tell of it")
	}
	if status, _ := get(t, s.admin+"/readyz"); status != 200 {
		t.Errorf("not ready: %d", status)
	}
	admin := decode[keyView](t, must(t, environ, "api-key", "create", "--tenant", onlyTenant(t, environ), "--name", "b", "--role", "admin", "-o", "json"))
	client := api.New(s.api, admin.Key)
	if _, err := client.GetIntegration(t.Context(), integration); err != nil {
		t.Error(err)
	}
	if _, err := client.ValidateIntegration(t.Context(), integration); !api.HasCode(err, api.CodeKeyServiceUnavailable) {
		t.Errorf("validated without the key: %v", err)
	}
	i, err := client.GetIntegration(t.Context(), integration)
	if err != nil || i.State != api.IntegrationActive {
		t.Errorf("the integration is %s: %v", i.State, err)
	}
	if _, metrics := get(t, s.admin+"/metrics"); !strings.Contains(metrics, `key_service_calls_total{operation="unwrap",outcome="failed"} 2`) {
		t.Error("the failures are not counted")
	}
	service.Fail(0)
	for range 3 {
		if v, err := client.ValidateIntegration(t.Context(), integration); err != nil || !v.OK {
			t.Errorf("with the key service back: %+v, %v", v, err)
		}
	}
	if _, metrics := get(t, s.admin+"/metrics"); !strings.Contains(metrics, `key_service_calls_total{operation="unwrap",outcome="ok"} 1`) {
		t.Error("the key was unwrapped more than once")
	}
	if strings.Contains(s.log.String(), "sesame") {
		t.Error("the token is in the log")
	}
}

func TestShreddingNeedsAYes(t *testing.T) {
	t.Parallel()
	line := seal.NewKey().Reveal()
	environ, integration := connected(t, line)
	environ = append(environ, "DEFENDERD_KEYRING="+line)
	tenant := onlyTenant(t, environ)
	if _, err := invoke(t, environ, "keyring", "shred", "--tenant", tenant); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("without --yes: %v", err)
	}
	if out := must(t, environ, "keyring", "shred", "--tenant", tenant, "--yes"); !strings.Contains(out, "1 data keys") {
		t.Error(out)
	}
	s := start(t, environ, "--roles", "http")
	admin := decode[keyView](t, must(t, environ, "api-key", "create", "--tenant", tenant, "--name", "b", "--role", "admin", "-o", "json"))
	v, err := api.New(s.api, admin.Key).ValidateIntegration(t.Context(), integration)
	if err != nil || v.OK || len(v.Checks) != 1 || v.Checks[0].Code != string(api.CodeSecretUnreadable) {
		t.Errorf("after it: %+v, %v", v, err)
	}
}

// TestCommandsWithAnotherKeyringChangeNothing gives operators' commands a key that the service does not have, by the id of the
// service's and by another: what they sealed would break the chains for good.
func TestCommandsWithAnotherKeyringChangeNothing(t *testing.T) {
	t.Parallel()
	environ := environment(t)[:1]
	url := strings.TrimPrefix(environ[0], "DEFENDERD_DATABASE_URL=")
	with := func(lines ...string) []string {
		return append(environ[:1:1], "DEFENDERD_KEYRING="+strings.Join(lines, "\n"))
	}
	line, stranger := seal.NewKey().Reveal(), seal.NewKey().Reveal()
	id, _, _ := strings.Cut(line, ":")
	_, bytes, _ := strings.Cut(seal.NewKey().Reveal(), ":")
	made := decode[tenantView](t, must(t, with(line), "tenant", "create", "--name", "Contoso", "-o", "json")) // before the first start
	if err := start(t, with(line), "--roles", "http").stop(t); err != nil {
		t.Fatal(err)
	}
	before := everything(t, url)
	for name, ring := range map[string][]string{
		"other bytes": with(id + ":" + bytes), "other bytes below": with(stranger, id+":"+bytes), "unknown": with(stranger), "unknown above": with(stranger, line),
	} {
		for _, command := range []string{
			"tenant create --name Fabrikam", "tenant suspend " + made.ID, "tenant delete --yes " + made.ID,
			"api-key create --name a --role admin --tenant " + made.ID, "keyring shred --yes --tenant " + made.ID, "keyring reseal", "keyring reseal --new-data-keys",
		} {
			_, err := invoke(t, ring, strings.Fields(command)...)
			if err == nil || !strings.Contains(err.Error(), "DEFENDERD_KEYRING") || strings.Contains(err.Error(), bytes) {
				t.Errorf("%s: %s: %v", name, command, err)
			}
		}
	}
	if everything(t, url) != before {
		t.Error("something was written")
	}
	if err := start(t, with(line, stranger), "--roles", "http").stop(t); err != nil { // which makes it known
		t.Fatal(err)
	}
	must(t, with(stranger, line), "keyring", "reseal")
	must(t, with(stranger, line), "tenant", "suspend", made.ID)
	must(t, with(stranger, line), "audit", "verify", "--strict")
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir)
	}
	os.Exit(code)
}
