package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/seal"
)

// TestServeOnACopy starts on a database that takes no changes, as a standby does not: with a keyring that the primary knows it reads
// and refuses the rest, with another, or with imports to do, it says what is missing.
func TestServeOnACopy(t *testing.T) {
	t.Parallel()
	key := seal.NewKey().Reveal()
	environ, integration := connected(t, key)
	made := decode[keyView](t, must(t, append(environ[:len(environ):len(environ)], "DEFENDERD_KEYRING="+key), "api-key", "create", "--tenant", onlyTenant(t, environ), "--name", "b", "--role", "admin", "-o", "json"))
	reading := slices.Clone(environ)
	for i, setting := range reading {
		if strings.HasPrefix(setting, "DEFENDERD_DATABASE_URL=") {
			reading[i] += "&default_transaction_read_only=on"
		}
	}
	s := start(t, append(reading, "DEFENDERD_KEYRING="+key), "--roles", "http")
	client := api.New(s.api, made.Key)
	if i, err := client.GetIntegration(t.Context(), integration); err != nil || i.ID != integration {
		t.Errorf("reading: %v", err)
	}
	if _, err := client.StartRun(t.Context(), integration, api.StartRunRequest{}); !api.HasCode(err, api.CodeReadOnly) {
		t.Errorf("starting a run: %v", err)
	}
	if _, err := client.ValidateIntegration(t.Context(), integration); !api.HasCode(err, api.CodeReadOnly) {
		t.Errorf("validating: %v", err)
	}
	for path, want := range map[string]string{"/readyz": `"ready"`, "/metrics": "\ndefender_store_up 1\n"} {
		if status, body := get(t, s.admin+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s answers %d without %q", path, status, want)
		}
	}
	if err := s.stop(t); err != nil {
		t.Error(err)
	}
	for want, args := range map[string][]string{
		"--roles http": {"DEFENDERD_KEYRING=" + key, "http,work"},
		"primary":      {"DEFENDERD_KEYRING=" + key + "\n" + seal.NewKey().Reveal(), "http"},
	} {
		_, err := invoke(t, append(reading, args[0]), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--roles", args[1])
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "takes no changes") {
			t.Errorf("%v: %v", args[1], err)
		}
	}
}
