package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"pgp.internal/defender/internal/seal"
)

func TestBadSetUps(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"DEFENDERD_DATABASE_URL": "postgres://u:hunter2@localhost/d?sslmode=disable", "DEFENDERD_KEYRING": seal.NewKey().Reveal(),
	}
	tests := []struct {
		name     string
		set      map[string]string // over the good ones; empty unsets
		settings string            // what the error must name, separated by blanks
	}{
		{"no database", map[string]string{"DEFENDERD_DATABASE_URL": ""}, "DEFENDERD_DATABASE_URL DEFENDERD_DATABASE_URL_FILE"},
		{"no keyring", map[string]string{"DEFENDERD_KEYRING": ""}, "DEFENDERD_KEYRING"},
		{"both forms of a secret", map[string]string{"DEFENDERD_KEYRING_FILE": "/nonexistent/sesame"}, "DEFENDERD_KEYRING_FILE"},
		{"unreadable file", map[string]string{"DEFENDERD_KEYRING": "", "DEFENDERD_KEYRING_FILE": "/nonexistent/sesame"}, "DEFENDERD_KEYRING_FILE"},
		{"weak key", map[string]string{"DEFENDERD_KEYRING": "k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "DEFENDERD_KEYRING"},
		{"database without sslmode", map[string]string{"DEFENDERD_DATABASE_URL": "postgres://u:sesame@localhost/d"}, "DEFENDERD_DATABASE_URL"},
		{"weak sslmode", map[string]string{"DEFENDERD_DATABASE_URL": "postgres://u:sesame@db.example/d?sslmode=require"}, "DEFENDERD_DATABASE_URL"},
		{"weak sslmode of one host", map[string]string{"DEFENDERD_DATABASE_URL": "postgres://u:sesame@localhost,db.example/d?sslmode=require"}, "DEFENDERD_DATABASE_URL"},
		{"nonsense database", map[string]string{"DEFENDERD_DATABASE_URL": "postgres://u:sesame@[/d"}, "DEFENDERD_DATABASE_URL"},
		{"unknown setting", map[string]string{"DEFENDERD_LISTN": "sesame"}, "DEFENDERD_LISTN DEFENDERD_LISTEN"},
		{"bad address", map[string]string{"DEFENDERD_LISTEN": "sesame"}, "DEFENDERD_LISTEN"},
		{"one address for both", map[string]string{"DEFENDERD_LISTEN": "127.0.0.1:7", "DEFENDERD_ADMIN_LISTEN": "127.0.0.1:7"}, "DEFENDERD_ADMIN_LISTEN DEFENDERD_LISTEN"},
		{"one among all addresses", map[string]string{"DEFENDERD_LISTEN": ":9090"}, "DEFENDERD_ADMIN_LISTEN DEFENDERD_LISTEN"},
		{"bad port", map[string]string{"DEFENDERD_ADMIN_LISTEN": "127.0.0.1:sesame"}, "DEFENDERD_ADMIN_LISTEN"},
		{"bad role", map[string]string{"DEFENDERD_ROLES": "http,sesame"}, "DEFENDERD_ROLES"},
		{"bad number", map[string]string{"DEFENDERD_WORKERS": "sesame"}, "DEFENDERD_WORKERS"},
		{"number out of range", map[string]string{"DEFENDERD_ROWS_PAGE_SIZE": "200001"}, "DEFENDERD_ROWS_PAGE_SIZE"},
		{"bad duration", map[string]string{"DEFENDERD_LEASE": "sesame"}, "DEFENDERD_LEASE"},
		{"heartbeat too slow", map[string]string{"DEFENDERD_LEASE": "10s", "DEFENDERD_HEARTBEAT": "4s"}, "DEFENDERD_HEARTBEAT"},
		{"too few connections", map[string]string{"DEFENDERD_WORKERS": "10", "DEFENDERD_WORK_MAX_CONNS": "10"}, "DEFENDERD_WORK_MAX_CONNS"},
		{"bad cloud", map[string]string{"DEFENDERD_CLOUD": "sesame"}, "DEFENDERD_CLOUD"},
		{"http upstream", map[string]string{"DEFENDERD_API_URL": "http://sesame.example"}, "DEFENDERD_API_URL DEFENDERD_UNSAFE_TEST_UPSTREAM"},
		{"upstream with a path", map[string]string{"DEFENDERD_LOGIN_URL": "https://sesame.example/login"}, "DEFENDERD_LOGIN_URL"},
		{"no limits towards Microsoft", map[string]string{"DEFENDERD_UNSAFE_NO_CALL_LIMITS": "true"}, "DEFENDERD_UNSAFE_NO_CALL_LIMITS DEFENDERD_UNSAFE_TEST_UPSTREAM"},
		{"bad yes or no", map[string]string{"DEFENDERD_UNSAFE_TEST_UPSTREAM": "sesame"}, "DEFENDERD_UNSAFE_TEST_UPSTREAM"},
		{"missing directory", map[string]string{"DEFENDERD_SPOOL_DIR": "/nonexistent/sesame"}, "DEFENDERD_SPOOL_DIR"},
		{"empty token of the platform", map[string]string{"DEFENDERD_FEDERATED_TOKEN_FILE": write(t, "\n")}, "DEFENDERD_FEDERATED_TOKEN_FILE"},
		{"no token of the platform", map[string]string{"DEFENDERD_FEDERATED_TOKEN_FILE": "/nonexistent/sesame"}, "DEFENDERD_FEDERATED_TOKEN_FILE"},
		{"tokens for any service", map[string]string{"DEFENDERD_TOKEN_ISSUER": "https://sesame.example"}, "DEFENDERD_TOKEN_AUDIENCE DEFENDERD_TOKEN_ISSUER"},
		{"an audience without issuer", map[string]string{"DEFENDERD_TOKEN_AUDIENCE": "sesame"}, "DEFENDERD_TOKEN_AUDIENCE DEFENDERD_TOKEN_ISSUER"},
		{"an issuer in the open", map[string]string{"DEFENDERD_TOKEN_ISSUER": "http://sesame.example", "DEFENDERD_TOKEN_AUDIENCE": "a"}, "DEFENDERD_TOKEN_ISSUER DEFENDERD_UNSAFE_TEST_UPSTREAM"},
		{"shared keys", map[string]string{"DEFENDERD_TOKEN_ALGORITHMS": "RS256,HS256"}, "DEFENDERD_TOKEN_ALGORITHMS"},
		{"no signature", map[string]string{"DEFENDERD_TOKEN_ALGORITHMS": "none"}, "DEFENDERD_TOKEN_ALGORITHMS"},
		{"tokens for ever", map[string]string{"DEFENDERD_TOKEN_MAX_LIFE": "8761h"}, "DEFENDERD_TOKEN_MAX_LIFE"},
		{"too much skew", map[string]string{"DEFENDERD_TOKEN_SKEW": "61s"}, "DEFENDERD_TOKEN_SKEW"},
		{"no keys in the file", map[string]string{"DEFENDERD_TOKEN_KEYS_FILE": write(t, "sesame"), "DEFENDERD_TOKEN_ISSUER": "https://a.example", "DEFENDERD_TOKEN_AUDIENCE": "a"}, "DEFENDERD_TOKEN_KEYS_FILE"},
		{"no certificates", map[string]string{"DEFENDERD_CA_FILE": write(t, "sesame")}, "DEFENDERD_CA_FILE"},
		{"a proxy that is no network", map[string]string{"DEFENDERD_TRUSTED_PROXIES": "10.0.0.0/8,sesame"}, "DEFENDERD_TRUSTED_PROXIES"},
		{"a proxy with bits beyond its network", map[string]string{"DEFENDERD_TRUSTED_PROXIES": "10.1.2.3/8"}, "DEFENDERD_TRUSTED_PROXIES"},
		{"no room for checks", map[string]string{"DEFENDERD_VALIDATIONS": "0"}, "DEFENDERD_VALIDATIONS"},
		{"bad level and format", map[string]string{"DEFENDERD_LOG_LEVEL": "sesame", "DEFENDERD_LOG_FORMAT": "sesame"}, "DEFENDERD_LOG_LEVEL DEFENDERD_LOG_FORMAT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := invoke(t, environOf(good, tt.set), "serve", "--check")
			if err == nil {
				t.Fatal("accepted")
			}
			for _, name := range strings.Fields(tt.settings) {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%s is not named: %v", name, err)
				}
			}
			for _, value := range []string{"sesame", "hunter2", "AAAA", "200001", good["DEFENDERD_KEYRING"]} {
				if strings.Contains(err.Error(), value) {
					t.Errorf("the error shows a value: %v", err)
				}
			}
		})
	}
}

func environOf(maps ...map[string]string) []string {
	var environ []string
	for _, m := range maps {
		for name, value := range m {
			environ = append(environ, name+"="+value)
		}
	}
	return environ
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := invoke(t, []string{"DEFENDERD_LISTEN=x", "DEFENDERD_POLL=x", "DEFENDERD_FOO=x"}, "serve", "--workers", "x", "--check")
	for _, name := range []string{"DATABASE_URL", "KEYRING", "LISTEN", "POLL", "WORKERS", "FOO"} {
		if err == nil || !strings.Contains(err.Error(), "\n  DEFENDERD_"+name+": ") {
			t.Errorf("%s has no line of its own: %v", name, err)
		}
	}
}

func TestAnUnreadableFileIsOneProblem(t *testing.T) {
	t.Parallel()
	for name, line := range map[string][]string{
		"missing": {"keyring", "check", "--keyring-file", "/nonexistent/keyring"},
		"empty":   {"keyring", "check", "--file", write(t, "")},
	} {
		if _, err := invoke(t, nil, line...); err == nil || !strings.Contains(err.Error(), "has a problem:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKeyringForEverybodyIsWarnedOf(t *testing.T) {
	t.Parallel()
	name := write(t, seal.NewKey().Reveal())
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o604: true} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		line := []string{"defenderd", "serve", "--check", "--keyring-file", name}
		if err := run(t.Context(), line, []string{"DEFENDERD_DATABASE_URL=host=/run/postgresql sslmode=disable"}, io.Discard, &told); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(told.String(), "DEFENDERD_KEYRING_FILE") != warned {
			t.Errorf("%v: told %q", mode, told.String())
		}
	}
}

func TestGoodSetUps(t *testing.T) {
	t.Parallel()
	keyring := "DEFENDERD_KEYRING=" + seal.NewKey().Reveal()
	for name, environ := range map[string][]string{
		"local":          {"DEFENDERD_DATABASE_URL=postgres://u@127.0.0.1/d?sslmode=disable"},
		"socket":         {"DEFENDERD_DATABASE_URL=host=/run/postgresql dbname=d sslmode=disable"},
		"verified":       {"DEFENDERD_DATABASE_URL=postgres://u@db.example/d?sslmode=verify-full"},
		"permitted":      {"DEFENDERD_DATABASE_URL=postgres://u@db.example/d?sslmode=disable", "DEFENDERD_UNSAFE_DATABASE_TLS=true"},
		"from a file":    {"DEFENDERD_DATABASE_URL_FILE=" + write(t, "postgres://u@localhost/d?sslmode=disable\n")},
		"two free ports": {"DEFENDERD_DATABASE_URL=postgres://u@localhost/d?sslmode=disable", "DEFENDERD_LISTEN=:0", "DEFENDERD_ADMIN_LISTEN=:0"},
		"a worker":       {"DEFENDERD_DATABASE_URL=postgres://u@localhost/d?sslmode=disable", "DEFENDERD_LISTEN=:9090", "DEFENDERD_ROLES=work"},
		"empty is unset": {"DEFENDERD_DATABASE_URL=postgres://u@localhost/d?sslmode=disable", "DEFENDERD_LISTEN=", "DEFENDERD_SPOOL_DIR="},
	} {
		if _, err := invoke(t, append(environ, keyring), "serve", "--check"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFlagWinsAndSecretsAreMasked(t *testing.T) {
	t.Parallel()
	out := must(t, []string{"DEFENDERD_DATABASE_URL=postgres://u:hunter2@h/d", "DEFENDERD_WORKERS=7", "DEFENDERD_LEASE=20s"}, "serve", "--print-config", "--workers", "9")
	fields := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		fields[name] = strings.TrimSpace(value)
	}
	for name, want := range map[string]string{
		"DEFENDERD_WORKERS": "9", "DEFENDERD_LEASE": "20s", "DEFENDERD_POLL": "1s  (default)", "DEFENDERD_DATABASE_URL": "(set)", "DEFENDERD_KEYRING": "(not set)",
	} {
		if fields[name] != want {
			t.Errorf("%s is shown as %q, want %q", name, fields[name], want)
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Error("a secret is printed")
	}
}
