package defender

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/seal"
)

// TestNobodyIsToldOfASecretTheyDoNotHave meets refusals that know nothing of the way of signing in, by certificate and federated.
func TestNobodyIsToldOfASecretTheyDoNotHave(t *testing.T) {
	t.Parallel()
	now := time.Now()
	pasted := pkcs8(t, testKeys()[0]) + block("CERTIFICATE", testCertificate(t, testKeys()[0], now.Add(-time.Hour), now.AddDate(1, 0, 0)).Raw)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("e30.e30.AA"), 0o600); err != nil {
		t.Fatal(err)
	}
	answers := map[string]func(*upstream){"401 of the API": func(u *upstream) { u.onAPI = plain(http.StatusUnauthorized, "") }}
	for _, number := range []int{7000222, 7000215, 7000216, 7000218, 900144, 700025, 7999999} {
		answers[fmt.Sprint(number)] = func(u *upstream) { u.onToken = refuseToken(http.StatusUnauthorized, number, "invalid_client") }
	}
	for method, secret := range map[connector.Method]string{connector.MethodCertificate: pasted, connector.MethodFederated: ""} {
		for name, answer := range answers {
			t.Run(string(method)+" "+name, func(t *testing.T) {
				t.Parallel()
				u := newUpstream(t)
				answer(u)
				cfg := u.config()
				cfg.FederatedTokenFile = file
				creds := testCredentials()
				creds.Method, creds.Secret = method, seal.NewSecret(secret)
				got := firstFailure(mustNew(t, cfg).Open(creds).Check(context.Background(), both))
				told := strings.Join([]string{got.Title, got.Detail, got.Cause, got.Remedy}, " | ")
				if got.Code == "" || strings.Contains(told, "client secret") || strings.ContainsAny(told, "{}") || strings.HasSuffix(told, " .") {
					t.Errorf("%s: %s", got.Code, told)
				}
			})
		}
	}
}
