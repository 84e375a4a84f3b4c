package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgp.internal/defender/api"
)

// TestTokensCanBeTriedOut follows the operator's manual, where there is openssl.
func TestTokensCanBeTriedOut(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"openssl", "xxd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("scripts/token.sh needs it: %v", err)
		}
	}
	environ, directory := environment(t), filepath.Join(t.TempDir(), "issuer")
	made := decode[struct{ ID string }](t, must(t, environ, "tenant", "create", "--name", "Contoso", "-o", "json"))
	issued := func(role string, tenants ...string) string {
		out, err := exec.CommandContext(t.Context(), "../../scripts/token.sh", append([]string{directory, role}, tenants...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	token := issued("readonly", made.ID, "other@example.com")
	s := start(t, append(environ, "DEFENDERD_TOKEN_ISSUER=https://issuer.example", "DEFENDERD_TOKEN_AUDIENCE=defender", "DEFENDERD_TOKEN_KEYS_FILE="+filepath.Join(directory, "keys.json")))
	if got, err := api.New(s.api, token, api.WithAccount(made.ID)).GetTenant(t.Context()); err != nil || got.ID != made.ID {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := api.New(s.api, token, api.WithAccount(made.ID)).ListAPIKeys(t.Context(), api.PageOptions{}); !api.HasCode(err, api.CodeForbidden) {
		t.Errorf("with too low a role: %v", err)
	}
	if _, err := api.New(s.api, issued("admin", made.ID, "other@example.com"), api.WithAccount(made.ID)).ListAPIKeys(t.Context(), api.PageOptions{}); err != nil {
		t.Errorf("a second token of the same key: %v", err)
	}
	if got, err := api.New(s.api, issued("platform")).GetManagedTenant(t.Context(), made.ID); err != nil || got.ID != made.ID {
		t.Errorf("for the platform: %+v %v", got, err)
	}
	for _, wrong := range [][]string{{"platform", made.ID}, {"admin"}} {
		if err := exec.CommandContext(t.Context(), "../../scripts/token.sh", append([]string{directory}, wrong...)...).Run(); err == nil {
			t.Errorf("%v: a token", wrong)
		}
	}
}
