package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// next is another secret than canary, and as secret.
const next = "CANARY~8Q.Rv5nB2vG7hR4jM9cP1xZ6dF3q-4321"

func TestAStagedSecretIsShownTriedAndSwappedIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, ctx := h.admin(), context.Background()
	i := h.connect(h.mine)
	expires := h.clock.now().AddDate(0, 6, 0).UTC().Truncate(time.Second)
	staged, err := c.RotateIntegrationSecret(ctx, i.ID, api.RotateSecretRequest{ClientSecret: next, SecretExpiresAt: &expires, Stage: new(true)})
	must(t, err)
	s := staged.Credentials.Staged
	if s == nil || s.Hint != "…321" || s.Method != api.SignInClientSecret || !s.ExpiresAt.Equal(expires) || !s.LastCheckedAt.IsZero() || s.LastProblem != nil ||
		staged.Validation != nil || staged.Credentials.SecretHint != i.Credentials.SecretHint {
		t.Fatalf("staged: %+v %+v", staged.Credentials, s)
	}
	refuseOnly(h, next)
	v, err := c.ValidateIntegration(ctx, i.ID)
	must(t, err)
	waiting, err := c.GetIntegration(ctx, i.ID)
	must(t, err)
	if s = waiting.Credentials.Staged; !v.OK || s.LastProblem == nil || s.LastProblem.Code != api.CodeCredentialsInvalid || s.LastProblem.Remedy == "" || s.LastCheckedAt.IsZero() {
		t.Errorf("tried in vain: %+v, %+v", v, s)
	}
	if strings.SplitN(waiting.ETag, ".", 2)[0] != strings.SplitN(staged.ETag, ".", 2)[0] {
		t.Error("a trial makes everybody's If-Match fail")
	}
	refuseOnly(h, canary)
	v, err = c.ValidateIntegration(ctx, i.ID)
	must(t, err)
	swapped, err := c.GetIntegration(ctx, i.ID)
	must(t, err)
	if got := swapped.Credentials; !v.OK || got.Staged != nil || got.SecretHint != "…321" || !got.SecretExpiresAt.Equal(expires) || swapped.State != api.IntegrationActive {
		t.Errorf("swapped: %+v %+v", v, got)
	}
	if strings.Contains(h.log.String(), next) {
		t.Error("the log holds a secret")
	}
}

// refuseOnly makes Microsoft refuse one secret.
func refuseOnly(h *house, secret string) {
	h.cloud.answers(func(c connector.Credentials) []connector.Check {
		if c.Secret.Reveal() == secret {
			return []connector.Check{{Name: "token", Code: fault.CodeCredentialsInvalid}}
		}
		return []connector.Check{{Name: "token", OK: true}}
	})
}

func TestAStagedSecretMustHaveItsForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	i := h.connect(h.mine)
	err := second(h.admin().RotateIntegrationSecret(t.Context(), i.ID, api.RotateSecretRequest{ClientSecret: "3f2504e0-4f89-41d3-9a0c-0305e82c3301", Stage: new(true)}))
	if !api.HasCode(err, api.CodeSecretIDPasted) {
		t.Errorf("%v", err)
	}
}

func TestAnExpiringSecretIsWarnedOf(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.admin()
	f := form(uuid.New())
	f.Credentials.SecretExpiresAt = new(h.clock.now().Add(31 * 24 * time.Hour))
	i, err := c.ConnectIntegration(t.Context(), f)
	must(t, err)
	if i.Warnings == nil || len(i.Warnings) > 0 {
		t.Errorf("a month before: %+v", i.Warnings)
	}
	for _, w := range []struct {
		later time.Duration
		code  string
		left  int
	}{{36 * time.Hour, "secret_expiring", 30}, {28 * 24 * time.Hour, "secret_expiring", 2}, {2 * 24 * time.Hour, "secret_expired", 0}} {
		h.clock.move(w.later)
		i, err := c.GetIntegration(t.Context(), i.ID)
		must(t, err)
		if len(i.Warnings) != 1 || i.Warnings[0].Code != w.code || i.Warnings[0].DaysLeft == nil || *i.Warnings[0].DaysLeft != w.left || i.Warnings[0].Remedy == "" {
			t.Errorf("%+v, want %+v", i.Warnings, w)
		}
	}
}

// TestTheMethodSaysWhatGoesWithIt mixes methods with what they do not take.
func TestTheMethodSaysWhatGoesWithIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	i := h.connect(h.mine)
	for body, want := range map[string]string{
		`{}`:                       "400 /client_secret required",
		`{"method":"certificate"}`: "400 /certificate required",
		`{"method":"certificate","client_secret":"` + canary + `"}`:                     "400 /certificate required,/client_secret not_allowed",
		`{"method":"client_secret","client_secret":"` + canary + `","certificate":"x"}`: "400 /certificate not_allowed",
		`{"method":"federated","client_secret":"` + canary + `"}`:                       "400 /client_secret not_allowed",
		`{"method":"federated"}`: "422 /method not_available",
		`{"method":"certificate","certificate":"-----BEGIN NONSENSE-----\n"}`: "422 /certificate invalid_format",
		`{"method":"password","client_secret":"` + canary + `"}`:              "400 /method not_allowed",
	} {
		p := h.post("/v1/integrations/"+i.ID+"/rotate-secret", body).problem(t)
		var got []string
		for _, e := range p.Errors {
			got = append(got, e.Pointer+" "+e.Code)
		}
		slices.Sort(got)
		if told := itoa(p.Status) + " " + strings.Join(got, ","); told != want {
			t.Errorf("%s: %s, want %s", body, told, want)
		}
	}
	var p *api.Problem
	f := form(uuid.New())
	f.Credentials.Method, f.Credentials.ClientSecret = new(api.SignInFederated), ""
	if err := second(h.admin().ConnectIntegration(t.Context(), f)); !errors.As(err, &p) || p.Code != api.CodeMethodUnavailable || len(p.Errors) != 1 || p.Errors[0].Pointer != "/credentials/method" {
		t.Errorf("%v", err)
	}
}

// TestFederatedSignInThroughTheForm shows what to trust, and connects without anything secret.
func TestFederatedSignInThroughTheForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer: "https://issuer.example", Subject: "pgp", Audience: jwt.ClaimStrings{"api://AzureADTokenExchange"},
	}).SignedString([]byte("nobody checks it here"))
	must(t, err)
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte(token), 0o600))
	h.cloud.Connector, err = defender.New(defender.Config{Budget: defender.Unlimited{}, FederatedTokenFile: file})
	must(t, err)
	c := h.admin()
	entry, err := c.GetIntegrationType(t.Context(), api.TypeMicrosoftDefender)
	must(t, err)
	if f := entry.Federation; f == nil || *f != (api.Federation{Issuer: "https://issuer.example", Subject: "pgp", Audience: "api://AzureADTokenExchange"}) {
		t.Errorf("to be trusted: %+v", f)
	}
	for _, f := range entry.Form.Fields {
		switch f.Name {
		case "method":
			if !slices.Equal(f.Options, []string{"client_secret", "certificate", "federated"}) || f.Input != api.InputSelect {
				t.Errorf("%+v", f)
			}
		case "certificate":
			if f.Input != api.InputTextarea || !f.Secret || f.When == nil || *f.When != (api.FieldCondition{Pointer: "/credentials/method", Equals: "certificate"}) {
				t.Errorf("%+v", f)
			}
		}
	}
	f := form(uuid.New())
	f.Credentials.Method, f.Credentials.ClientSecret = new(api.SignInFederated), ""
	expires := h.clock.now().Add(24 * time.Hour)
	f.Credentials.SecretExpiresAt = &expires
	mustRefuseExpiry(t, "/credentials/secret_expires_at", second(c.ConnectIntegration(t.Context(), f)))
	f.Credentials.SecretExpiresAt = nil
	i, err := c.ConnectIntegration(t.Context(), f)
	must(t, err)
	for _, stage := range []bool{false, true} {
		mustRefuseExpiry(t, "/secret_expires_at", second(c.RotateIntegrationSecret(t.Context(), i.ID, api.RotateSecretRequest{
			Method: new(api.SignInFederated), SecretExpiresAt: &expires, Stage: &stage,
		})))
	}
	if i.Credentials.Method != api.SignInFederated || i.Credentials.SecretHint != "" {
		t.Errorf("%+v", i.Credentials)
	}
	if v, err := c.ValidateIntegration(t.Context(), i.ID); err != nil || !v.OK {
		t.Errorf("%+v %v", v, err)
	}
	if strings.Contains(h.log.String(), token) {
		t.Error("the log holds the platform's token")
	}
}

// TestAWrongExpiryIsCorrected changes what was said of a secret, without the secret; and of sign-ins that need nobody to say it.
func TestAWrongExpiryIsCorrected(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.admin()
	i := h.connect(h.mine)
	expires := h.clock.now().AddDate(0, 8, 0).UTC().Truncate(time.Second)
	patch := api.IntegrationPatch{Credentials: &api.CredentialsPatch{SecretExpiresAt: &expires}}
	changed, err := c.UpdateIntegration(t.Context(), i.ID, patch, api.IfMatch(i.ETag))
	must(t, err)
	if got := changed.Credentials; !got.SecretExpiresAt.Equal(expires) || got.SecretHint != i.Credentials.SecretHint || !got.SecretUpdatedAt.Equal(i.Credentials.SecretUpdatedAt) || changed.ETag == i.ETag {
		t.Errorf("corrected: %+v", got)
	}
	same, err := c.UpdateIntegration(t.Context(), i.ID, patch)
	must(t, err)
	if same.ETag != changed.ETag {
		t.Error("what changes nothing moves the version")
	}
	var p *api.Problem
	past := h.clock.now().Add(-time.Hour)
	err = second(c.UpdateIntegration(t.Context(), i.ID, api.IntegrationPatch{Credentials: &api.CredentialsPatch{SecretExpiresAt: &past}}))
	if !errors.As(err, &p) || p.Code != api.CodeInvalidExpiry || p.Errors[0].Code != "too_small" || p.Errors[0].Pointer != "/credentials/secret_expires_at" {
		t.Errorf("in the past: %v", err)
	}
	for _, method := range []string{"certificate", "federated"} {
		h.exec(`update integration set secret_method = '` + method + `'`)
		mustRefuseExpiry(t, "/credentials/secret_expires_at", second(c.UpdateIntegration(t.Context(), i.ID, patch)))
	}
	for body, code := range map[string]string{
		`{"credentials":{"client_secret":"` + canary + `"}}`: "unknown_field", `{"credentials":{"secret_expires_at":null}}`: "not_allowed",
	} {
		got := h.send(raw{method: http.MethodPatch, path: "/v1/integrations/" + i.ID, key: h.mine.keys[tenant.Admin],
			header: map[string]string{"Content-Type": "application/merge-patch+json"}, body: body})
		if p := got.problem(t); got.status != http.StatusBadRequest || len(p.Errors) != 1 || p.Errors[0].Code != code {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
}

// mustRefuseExpiry wants an expiry refused for where it was told, and not for when it is.
func mustRefuseExpiry(t *testing.T, pointer string, err error) {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity || p.Code != api.CodeInvalidExpiry || len(p.Errors) != 1 || p.Errors[0].Pointer != pointer || p.Errors[0].Code != "not_allowed" {
		t.Errorf("%+v, want invalid_expiry at %s", err, pointer)
	}
}

// TestAnExpiryBeyondTheLastYearIsRefused gives a time that RFC 3339 can write only with an offset. Stored, it could never be told.
func TestAnExpiryBeyondTheLastYearIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	i := h.connect(h.mine)
	for text, status := range map[string]int{"9999-12-31T23:59:59-14:00": http.StatusUnprocessableEntity, "9999-12-31T23:59:59Z": http.StatusOK} {
		got := h.send(raw{
			method: http.MethodPost, path: "/v1/integrations/" + i.ID + "/rotate-secret", key: h.mine.keys[tenant.Admin], client: h.checked(),
			header: map[string]string{"Content-Type": "application/json"}, body: `{"client_secret":"` + canary + `","secret_expires_at":"` + text + `"}`,
		})
		if got.status != status {
			t.Errorf("%s: %d %s", text, got.status, got.body)
		}
		if now, err := h.admin().GetIntegration(t.Context(), i.ID); err != nil {
			t.Errorf("after %s: %+v %v", text, now, err)
		}
	}
}

// TestAnExpiryIsToldInUTC gives it with an offset to a preview, which tells it before a database has seen it.
func TestAnExpiryIsToldInUTC(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	request := form(uuid.New())
	request.Credentials.SecretExpiresAt = new(time.Now().Add(time.Hour).In(time.FixedZone("", -11*3600)))
	if _, err := h.admin().PreviewIntegration(t.Context(), request); err != nil { // held against the contract on its way
		t.Error(err)
	}
}
