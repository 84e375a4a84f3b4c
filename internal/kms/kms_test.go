package kms_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/kms"
	"pgp.internal/defender/internal/kms/kmstest"
	"pgp.internal/defender/internal/seal"
)

const (
	token = "hvs.token-of-the-test"
	arn   = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
)

// provider is a key service under test, with the address that names its key.
type provider struct {
	service *kmstest.Service
	key     envelope.KEK
	counted *counted
	token   string
}

type counted struct {
	mu   sync.Mutex
	ends map[string]int
}

func (c *counted) KeyServiceCall(operation kms.Operation, outcome kms.Outcome, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[string(operation)+" "+string(outcome)]++
}

func open(t *testing.T, handler func(*kmstest.Service) http.Handler, address string) *provider {
	t.Helper()
	p := &provider{service: kmstest.New(), counted: &counted{ends: map[string]int{}}, token: filepath.Join(t.TempDir(), "token")}
	server := httptest.NewServer(handler(p.service))
	t.Cleanup(server.Close)
	p.renewToken(t, token)
	var err error
	p.key, err = kms.Open(t.Context(), strings.ReplaceAll(address, "SERVER", server.URL), kms.Options{VaultTokenFile: p.token, Observer: p.counted})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *provider) renewToken(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(p.token, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func vaultKey(t *testing.T) *provider {
	t.Helper()
	return open(t, func(s *kmstest.Service) http.Handler { return s.Vault("defender", token) }, "hashivault://defender?address=SERVER")
}

// providers are all that there are. The settings of AWS come from the environment, so no test of them runs in parallel.
func providers(t *testing.T) map[string]*provider {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return map[string]*provider{
		"vault": vaultKey(t),
		"aws":   open(t, func(s *kmstest.Service) http.Handler { return s.AWS(arn) }, "awskms:///"+arn+"?endpoint=SERVER"),
	}
}

func TestWhatWasWrappedUnwrapsInItsPlaceOnly(t *testing.T) {
	for name, p := range providers(t) {
		secret := seal.NewDataKeySecret()
		by, wrapped, err := p.key.Wrap(t.Context(), secret, "tenant/1/data_key/1")
		if err != nil || !p.key.Opens(by) || strings.Contains(string(wrapped), secret.Reveal()) {
			t.Fatalf("%s: wrapped by %q, %v", name, by, err)
		}
		if got, err := p.key.Unwrap(t.Context(), by, wrapped, "tenant/1/data_key/1"); err != nil || !got.Equal(secret) {
			t.Errorf("%s: %v", name, err)
		}
		damaged := append([]byte{}, wrapped...)
		damaged[len(damaged)-3] ^= 1
		for where, attempt := range map[string]struct {
			wrapped []byte
			place   string
		}{"another place": {wrapped, "tenant/2/data_key/1"}, "damaged": {damaged, "tenant/1/data_key/1"}} {
			if got, err := p.key.Unwrap(t.Context(), by, attempt.wrapped, attempt.place); !errors.Is(err, seal.ErrUnreadable) || !got.IsZero() {
				t.Errorf("%s, %s: %v", name, where, err)
			}
		}
		if p.counted.ends["wrap ok"] != 1 || p.counted.ends["unwrap ok"] != 1 || p.counted.ends["unwrap unreadable"] != 2 {
			t.Errorf("%s: counted %v", name, p.counted.ends)
		}
		for _, foreign := range []string{"", "keyring:a", "hashivault://transit/other#v1", "awskms:///arn:aws:kms:eu-west-1:1:key/other"} {
			if p.key.Opens(foreign) {
				t.Errorf("%s takes %q for its own", name, foreign)
			}
		}
	}
}

// TestAServiceThatCannotBeAskedIsPassing holds that no failure of a service passes for a damaged secret.
func TestAServiceThatCannotBeAskedIsPassing(t *testing.T) {
	for name, p := range providers(t) {
		by, wrapped, err := p.key.Wrap(t.Context(), seal.NewDataKeySecret(), "x")
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, err error) {
			t.Helper()
			f := fault.As(err)
			if err == nil || f.Code != fault.CodeKeysUnavailable || f.Kind() != fault.Unavailable || f.RetryAfter <= 0 ||
				errors.Is(err, seal.ErrUnreadable) || strings.Contains(err.Error(), "127.0.0.1") && strings.Contains(err.Error(), "http") {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		for _, status := range []int{403, 404, 429, 500, 503} {
			if name == "aws" && status != 500 { // AWS tells by type, not by status
				continue
			}
			p.service.Fail(status)
			_, err := p.key.Unwrap(t.Context(), by, wrapped, "x")
			check(http.StatusText(status), err)
			_, _, err = p.key.Wrap(t.Context(), seal.NewSecret("y"), "x")
			check(http.StatusText(status), err)
		}
		p.service.Fail(0)
		release := p.service.Hold()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = p.key.Unwrap(ctx, by, wrapped, "x")
		check("slow", err)
		cancel()
		release()
		if _, err := p.key.Unwrap(t.Context(), by, wrapped, "x"); err != nil {
			t.Errorf("%s does not heal: %v", name, err)
		}
	}
}

func TestVaultVersionsAndTokens(t *testing.T) {
	t.Parallel()
	p := vaultKey(t)
	secret := seal.NewDataKeySecret()
	first, older, err := p.key.Wrap(t.Context(), secret, "x")
	if err != nil {
		t.Fatal(err)
	}
	p.service.Rotate()
	second, newer, err := p.key.Wrap(t.Context(), secret, "x")
	if err != nil || first == second || !p.key.Opens(first) || !p.key.Opens(second) {
		t.Errorf("%q, then %q: %v", first, second, err)
	}
	p.service.Withdraw(2)
	if _, err := p.key.Unwrap(t.Context(), first, older, "x"); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("a version that was withdrawn: %v", err)
	}
	p.renewToken(t, "hvs.expired")
	if _, err := p.key.Unwrap(t.Context(), second, newer, "x"); !fault.Is(err, fault.CodeKeysUnavailable) || strings.Contains(err.Error(), "hvs.") {
		t.Errorf("with a token that expired: %v", err)
	}
	p.renewToken(t, token) // what an agent does
	if got, err := p.key.Unwrap(t.Context(), second, newer, "x"); err != nil || !got.Equal(secret) {
		t.Errorf("with the token renewed: %v", err)
	}
}

func TestAddressesOfKeys(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"hashivault://defender?address=https://vault.example.com:8200", "hashivault://k?address=http://127.0.0.1:8200&mount=pgp/transit&namespace=team",
		"awskms:///" + arn, "awskms:///" + arn + "?endpoint=https://vpce.example.com",
	} {
		if err := kms.Check(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "vault", "hashivault://", "hashivault://k", "hashivault://a/b?address=https://v", "hashivault://k?address=http://vault.example.com", "hashivault://k?address=ftp://v",
		"hashivault://u:sesame@k?address=https://v", "hashivault://k?address=https://u:sesame@v", "hashivault://k?address=https://v&token=sesame", "awskms:///alias/sesame",
		"awskms:///arn:aws:s3:eu-west-1:1:key/sesame", "gcpkms://projects/sesame", "hashivault://k?address=https://v#sesame",
	} {
		if err := kms.Check(bad); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
