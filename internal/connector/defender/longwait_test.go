package defender

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// waiting is a budget that lets something happen while leave for a call is waited for, and remembers what was taken and how it ended.
type waiting struct {
	Unlimited
	meanwhile func(taken int, f Family)

	mu    sync.Mutex
	taken []Family
	ended []Ending
}

func (w *waiting) Take(_ context.Context, key BudgetKey, _ Caller) (Permit, error) {
	w.mu.Lock()
	w.taken = append(w.taken, key.Family)
	n := len(w.taken)
	w.mu.Unlock()
	w.meanwhile(n, key.Family)
	return Permit{}, nil
}

func (w *waiting) End(_ context.Context, _ BudgetKey, _ Caller, _ Permit, how Ending) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, how)
	return false, nil
}

// TestNoCallIsMadeWithATokenThatExpiredInTheWait has the wait for a call outlast the token; the second time to have another one takes so
// long that the call would come late, and it is taken anew.
func TestNoCallIsMadeWithATokenThatExpiredInTheWait(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		takes time.Duration // of a token request
		taken []Family
		ended []Ending
	}{
		"at once": {0, []Family{FamilyToken, FamilyMachines, FamilyToken}, []Ending{TokenGranted, TokenGranted, Answered}},
		"late": {3 * time.Second, []Family{FamilyToken, FamilyMachines, FamilyToken, FamilyMachines},
			[]Ending{TokenGranted, TokenGranted, Undecided, Answered}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t)
			issued := 0
			u.onToken = func(w http.ResponseWriter, _ *http.Request) {
				_ = u.clock.sleep(context.Background(), tc.takes)
				issued++
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3599,"access_token":"token.%d.x"}`, issued)
			}
			bearer := ""
			u.onAPI = func(w http.ResponseWriter, r *http.Request) {
				bearer = r.Header.Get("Authorization")
				page(listOf("id", 0, 1, ""))(w, r)
			}
			b := &waiting{meanwhile: func(taken int, _ Family) {
				if taken == 2 {
					_ = u.clock.sleep(context.Background(), 59*time.Minute)
				}
			}}
			s := u.open(func(c *Config) { c.Budget = b })
			if _, err := machineIDs(s); err != nil || bearer != "Bearer token.2.x" {
				t.Errorf("called with %q, %v", bearer, err)
			}
			if !slices.Equal(b.taken, tc.taken) || !slices.Equal(b.ended, tc.ended) {
				t.Errorf("taken %v, ended %v", b.taken, b.ended)
			}
			if n := s.Usage().Calls; n != 3 {
				t.Errorf("%d calls are counted", n)
			}
		})
	}
}

// TestWhatProvesTheApplicationIsMadeAfterTheWait has the platform renew its token, and take it away, while leave for a token request is
// waited for.
func TestWhatProvesTheApplicationIsMadeAfterTheWait(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	renew := func(subject string) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{Issuer: "https://issuer.example", Subject: subject,
			Audience: jwt.ClaimStrings{"api://AzureADTokenExchange"}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}).SignedString(TestKeys()[0])
		if err == nil {
			err = os.WriteFile(file, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	u := newUpstream(t)
	renew("old")
	fresh, sent := "", ""
	grant := u.onToken
	u.onToken = func(w http.ResponseWriter, r *http.Request) { sent = r.PostFormValue("client_assertion"); grant(w, r) }
	b := &waiting{meanwhile: func(_ int, f Family) {
		if f == FamilyToken {
			fresh = renew("new")
		}
	}}
	cfg := u.config()
	cfg.Budget, cfg.FederatedTokenFile = b, file
	credentials := testCredentials()
	credentials.Method = connector.MethodFederated
	open := func() connector.Source { return mustNew(t, cfg).Open(credentials) }
	if _, err := machineIDs(open()); err != nil || sent != fresh || strings.TrimSpace(sent) == "" {
		t.Errorf("a token of before the wait was sent, %v", err)
	}

	b.taken, b.ended = nil, nil
	b.meanwhile = func(int, Family) { _ = os.Remove(file) }
	s := open()
	if _, err := machineIDs(s); !fault.Is(err, fault.CodeFederatedToken) {
		t.Errorf("without a token: %v", err)
	}
	if !slices.Equal(b.ended, []Ending{Undecided}) || s.Usage().Calls != 0 {
		t.Errorf("taken %v, ended %v, %d calls are counted", b.taken, b.ended, s.Usage().Calls)
	}
}
