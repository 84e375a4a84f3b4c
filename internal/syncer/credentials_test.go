package syncer_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
)

// credentialKey is made once: it is slow.
var credentialKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, _ := rsa.GenerateKey(rand.Reader, 2048) // never fails with this size
	return key
})

// ways are credentials of each kind, and how Microsoft comes to take them, and nothing else.
type ways map[connector.Method]struct {
	creds connector.Credentials
	app   func(*defendersim.App)
}

// everyWay sets the house up for all methods of sign-in.
func everyWay(t *testing.T, h *house) ways {
	t.Helper()
	key := credentialKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "application"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(t, err)
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}

	const issuer, subject = "https://issuer.example/cluster-1", "system:serviceaccount:pgp:defenderd"
	token, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{Issuer: issuer, Subject: subject,
		Audience: jwt.ClaimStrings{"api://AzureADTokenExchange"}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}).SignedString(key)
	must(t, err)
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte(token), 0o600))
	h.wire(defender.Config{FederatedTokenFile: file})
	h.hunt.Certificate(text("PRIVATE KEY", private))
	h.hunt.Bearer(token)
	return ways{
		connector.MethodSecret: {connector.Credentials{Secret: seal.NewSecret(renewed)}, func(a *defendersim.App) { a.Secret = renewed }},
		connector.MethodCertificate: {connector.Credentials{Method: connector.MethodCertificate, Secret: seal.NewSecret(text("PRIVATE KEY", private) + text("CERTIFICATE", der))},
			func(a *defendersim.App) { a.Certificates = []string{text("CERTIFICATE", der)} }},
		connector.MethodFederated: {connector.Credentials{Method: connector.MethodFederated}, func(a *defendersim.App) {
			a.Federated = []defendersim.FederatedCredential{{Issuer: issuer, Subject: subject, PublicKey: text("PUBLIC KEY", public)}}
		}},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// takes makes Microsoft take what is given and nothing else.
func (h *house) takes(change func(*defendersim.App)) {
	h.t.Helper()
	app := spec(directory, 0, 0).Apps[0]
	app.Secret = ""
	change(&app)
	if err := h.sim.SetApp(directory, app); err != nil {
		h.t.Fatal(err)
	}
}

func old(a *defendersim.App) { a.Secret = secret }

// mustUse checks what is stored after a change of credentials.
func (h *house) mustUse(i connector.Integration, m connector.Method) connector.Integration {
	h.t.Helper()
	now := h.integration(i)
	if now.Method != m || len(now.Staged.Box) > 0 || (now.SecretHint == "") != (m == connector.MethodFederated) || now.SecretExpiresAt.IsZero() != (m != connector.MethodCertificate) {
		h.t.Errorf("stored: %s %q, expires %v, staged %v", now.Method, now.SecretHint, now.SecretExpiresAt, now.Staged)
	}
	return now
}

func TestEveryMethodConnectsAndRuns(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	for m, w := range everyWay(t, h) {
		h.takes(w.app)
		w.creds.DirectoryID, w.creds.ClientID = directory, client
		tenant := h.newTenant(string(m), true)
		i, _, err := h.links.Connect(t.Context(), tenant, connector.Draft{Kind: defender.Kind, Credentials: w.creds, Settings: inventory.DefaultSettings()})
		must(t, err)
		mustSucceed(t, h.work())
		h.mustUse(i, m)
		h.mustEqualTruth(tenant)
	}
}

func TestEveryMethodIsRotatedTo(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	for m, w := range everyWay(t, h) {
		h.takes(old)
		if _, _, err := h.links.RotateSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: w.creds}); !fault.Is(err, fault.CodeCredentialsInvalid) {
			t.Errorf("%s: taken although Microsoft does not: %v", m, err)
		}
		h.takes(w.app)
		_, _, err := h.links.RotateSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: w.creds})
		must(t, err)
		h.mustUse(i, m)
		mustSucceed(t, h.again(i, syncer.Incremental))
	}
}

// TestWhatIsStagedTakesOverOnceItWorks stages each kind while only the old secret works, and then lets Microsoft take the new
// one: a validation finds out, or a run.
func TestWhatIsStagedTakesOverOnceItWorks(t *testing.T) {
	t.Parallel()
	for m := range (ways{connector.MethodSecret: {}, connector.MethodCertificate: {}, connector.MethodFederated: {}}) {
		for _, by := range []string{"validate", "run"} {
			t.Run(string(m)+" by "+by, func(t *testing.T) {
				t.Parallel()
				h := newPlainHouse(t, 3, 2)
				w := everyWay(t, h)[m]
				i := h.connect(h.tenant, nil)
				mustSucceed(t, h.work())
				before := h.integration(i)
				staged, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: w.creds})
				must(t, err)
				if staged.Staged.Method != m || staged.Method != connector.MethodSecret || staged.SecretHint != before.SecretHint || !staged.Staged.CheckedAt.IsZero() {
					t.Errorf("staged: %+v", staged.Staged)
				}
				mustSucceed(t, h.again(i, syncer.Incremental))
				checks, err := h.links.Validate(t.Context(), h.tenant, i.PublicID)
				must(t, err)
				must(t, connector.Refusal(checks))
				waiting := h.integration(i)
				if waiting.Method != connector.MethodSecret || waiting.Staged.Problem.Code != fault.CodeCredentialsInvalid || waiting.Staged.CheckedAt.IsZero() || waiting.Version != staged.Version {
					t.Fatalf("tried before its time: %+v, version %d and %d", waiting.Staged, staged.Version, waiting.Version)
				}
				h.takes(w.app)
				if by == "validate" {
					checks, err := h.links.Validate(t.Context(), h.tenant, i.PublicID)
					must(t, err)
					must(t, connector.Refusal(checks))
				} else {
					mustSucceed(t, h.again(i, syncer.Incremental))
				}
				if now := h.mustUse(i, m); now.State != connector.StateActive || now.StateReason != "" {
					t.Errorf("%s %s", now.State, now.StateReason)
				}
				mustSucceed(t, h.again(i, syncer.Incremental))
				h.mustEqualTruth(h.tenant)
			})
		}
	}
}

// TestARunWithoutAWorkingCredentialSaysSo has neither the old nor the staged one accepted.
func TestARunWithoutAWorkingCredentialSaysSo(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	_, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}})
	must(t, err)
	h.takes(func(a *defendersim.App) { a.Secret = "ghi8Q~K3yB8nW2vG6hR1jM5cP9xZ4dF7qTsUe-abcd" })
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeCredentialsInvalid)
	now := h.integration(i)
	if now.State != connector.StateActionRequired || now.Staged.Problem.Code != fault.CodeCredentialsInvalid || len(now.Staged.Box) == 0 {
		t.Errorf("%s, staged %+v", now.State, now.Staged)
	}
}

func TestStagedSecretsAreDroppedAndDestroyed(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	stage := func() {
		_, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}})
		must(t, err)
	}
	gone := func(by string) {
		t.Helper()
		if n := h.number(`select count(*) from integration where staged_box is not null or staged_hint <> '' or staged_at is not null`); n != 0 {
			t.Errorf("%s leaves what was staged", by)
		}
	}
	stage()
	must(t, h.links.DropStaged(t.Context(), h.tenant, i.PublicID, 0))
	gone("dropping")
	if err := h.links.DropStaged(t.Context(), h.tenant, i.PublicID, 0); !fault.Is(err, fault.CodeNotFound) {
		t.Errorf("dropping nothing: %v", err)
	}
	stage()
	_, _, err := h.rotate(i, secret)
	must(t, err)
	gone("a rotation")
	stage()
	_, err = h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false)
	must(t, err)
	gone("disconnecting")
	if _, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}}); !fault.Is(err, fault.CodeConflict) {
		t.Errorf("staging for a disconnected one: %v", err)
	}
}

// TestASwapLosesAgainstWhoeverWasFaster rotates, drops or stages anew while the staged credential is being tried.
func TestASwapLosesAgainstWhoeverWasFaster(t *testing.T) {
	t.Parallel()
	const tried, third = "def8Q~Y7mC4tX1kN8pS5zA2wD9bH6gV3rJqLo-tuvw", "ghi8Q~E6sT3nQ9fL1uR8yK5aM2vX7cZ4wBpGh-wxyz"
	for name, c := range map[string]struct {
		faster func(*testing.T, *house, connector.Integration)
		hint   string // of what is in use afterwards
	}{
		"dropped": {func(t *testing.T, h *house, i connector.Integration) {
			must(t, h.links.DropStaged(t.Context(), h.tenant, i.PublicID, 0))
		}, "…" + secret[len(secret)-3:]},
		"staged anew": {func(t *testing.T, h *house, i connector.Integration) {
			_, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(third)}})
			must(t, err)
		}, "…" + secret[len(secret)-3:]},
		"disconnected": {func(t *testing.T, h *house, i connector.Integration) {
			_, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false)
			must(t, err)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 3, 2)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			_, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(tried)}})
			must(t, err)
			h.rotateAtMicrosoft(tried)
			h.now = h.now.Add(time.Second)
			id := h.fault(defendersim.Fault{Route: "token", Hold: true})
			done := make(chan error, 1)
			go func() {
				_, err := h.links.Validate(t.Context(), h.tenant, i.PublicID)
				done <- err
			}()
			must(t, h.sim.AwaitFault(t.Context(), id))
			c.faster(t, h, i)
			h.sim.ReleaseFault(id)
			must(t, <-done)
			if now := h.integration(i); now.SecretHint != c.hint {
				t.Errorf("in use is %q, want %q", now.SecretHint, c.hint)
			}
		})
	}
}
