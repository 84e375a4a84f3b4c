package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
)

func TestServe(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	s := start(t, environ)
	for path, want := range map[string]string{
		"/healthz": `"ok"`, "/readyz": `"ready"`,
		"/metrics": "\ndefender_store_up 1\n",
	} {
		if status, body := get(t, s.admin+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s answers %d without %q", path, status, want)
		}
	}
	_, body := get(t, s.admin+"/metrics")
	for _, want := range []string{`go_sql_open_connections{db_name="work"}`, `route="/v1/assets/{id}"`, `defender_queue_jobs{state="dead"} 0`} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if _, err := api.New(s.api, "").GetVersion(t.Context()); err != nil {
		t.Error(err)
	}
	if err := alive(t.Context(), strings.TrimPrefix(s.admin, "http://")); err != nil {
		t.Errorf("healthcheck: %v", err)
	}
	if err := s.stop(t); err != nil {
		t.Errorf("stop: %v", err)
	}
	if status, _ := get(t, s.admin+"/healthz"); status != 0 {
		t.Error("the admin listener still answers after the stop")
	}
}

// TestAListenerWithoutTrustedProxiesIsToldOf looks at the log of a start and at what --check tells.
func TestAListenerWithoutTrustedProxiesIsToldOf(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	for args, want := range map[string]int{
		"--listen 0.0.0.0:8080": 1, "--listen :8080": 1, "--listen [::]:8080": 1, "--listen 10.1.2.3:8080": 1, "--listen 127.0.0.1:8080": 0, "--listen [::1]:8080": 0,
		"--listen localhost:8080": 0, "--listen :8080 --trusted-proxies 10.0.0.0/8": 0, "--listen :8080 --roles work": 0, "": 0,
	} {
		var told bytes.Buffer
		line := append([]string{"defenderd", "serve", "--check"}, strings.Fields(args)...)
		if err := run(t.Context(), line, environ, io.Discard, &told); err != nil || strings.Count(told.String(), "DEFENDERD_TRUSTED_PROXIES") != want {
			t.Errorf("%s: %v, told %q", args, err, told.String())
		}
	}
	s := start(t, environ, "--listen", "0.0.0.0:0")
	if n := strings.Count(s.log.String(), "DEFENDERD_TRUSTED_PROXIES"); n != 1 {
		t.Errorf("the log of the start tells it %d times:\n%s", n, s.log)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	if s := start(t, environ, "--roles", "work"); s.api != "" {
		t.Error("a worker opens the API")
	}
	s := start(t, environ, "--roles", "http")
	if _, err := api.New(s.api, "").GetVersion(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	s := start(t, environment(t), "--drain-delay", "2s")
	s.cancel()
	// Readiness turns at once while the API still answers, until the delay is over.
	seen := false
	for status := http.StatusOK; status != 0; status, _ = get(t, s.admin+"/readyz") {
		if status != http.StatusServiceUnavailable {
			continue
		}
		if _, err := api.New(s.api, "").GetVersion(t.Context()); err == nil {
			seen = true
			break
		}
	}
	if !seen {
		t.Error("not seen: readiness 503 while the API answers")
	}
	if err := s.stop(t); err != nil {
		t.Error(err)
	}
}

func TestServeRefusesASchemaThatIsBehind(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	if _, err := postgres.MigrateDown(t.Context(), url, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := invoke(t, environ, "serve"); err == nil || !strings.Contains(err.Error(), "defenderd migrate") {
		t.Errorf("started, or did not say what to do: %v", err)
	}
	if err := start(t, environ, "--migrate").stop(t); err != nil {
		t.Error(err)
	}
}

func TestServeRefusesAnotherKeyring(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	first := seal.NewKey().Reveal()
	id, key, _ := strings.Cut(first, ":")
	_, other, _ := strings.Cut(seal.NewKey().Reveal(), ":")
	with := func(keyring string) []string {
		return []string{"DEFENDERD_DATABASE_URL=" + url, "DEFENDERD_KEYRING=" + keyring}
	}
	must(t, with(first), "tenant", "create", "--name", "Contoso") // before the first start, and known by it
	_, err := invoke(t, with(id+":"+other), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "DEFENDERD_KEYRING") || !strings.Contains(err.Error(), id) {
		t.Errorf("another key by the same id: %v", err)
	}
	if err != nil && (strings.Contains(err.Error(), key) || strings.Contains(err.Error(), other)) {
		t.Error("the error shows a key")
	}
	if err := start(t, with(first)).stop(t); err != nil {
		t.Fatal(err)
	}
	// A key that still seals a secret must be there; one that seals nothing may go.
	if err := start(t, with(seal.NewKey().Reveal())).stop(t); err != nil {
		t.Errorf("a new keyring although nothing is sealed: %v", err)
	}
	seedSealed(t, url, first)
	_, err = invoke(t, with(seal.NewKey().Reveal()), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "missing") || !strings.Contains(err.Error(), id) {
		t.Errorf("a keyring without the key in use: %v", err)
	}
	if err := start(t, with(seal.NewKey().Reveal()+"\n"+first)).stop(t); err != nil {
		t.Errorf("a new primary above the old key: %v", err)
	}
}

func TestServeReportsATakenPort(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	s := start(t, environ)
	_, err := invoke(t, environ, "serve", "--listen", strings.TrimPrefix(s.api, "http://"), "--admin-listen", "127.0.0.1:0")
	if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "listen for api") {
		t.Errorf("%v", err)
	}
}
