package httpapi

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestARefusalIsQuick refuses many requests in a row.
func TestARefusalIsQuick(t *testing.T) {
	t.Parallel()
	d := bare().Deps
	d.Limits = Limits{Address: 1}
	h := New(d)
	r := httptest.NewRequest(http.MethodGet, "/v1/assets", nil)
	r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 8000))
	refuse := func() int {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec.Code
	}
	refuse()
	took := make([]time.Duration, 500)
	for i := range took {
		began := time.Now()
		if code := refuse(); code != http.StatusTooManyRequests {
			t.Fatalf("%d", code)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took) // what others do on the machine lengthens some
	if half := took[len(took)/2]; half > time.Millisecond {
		t.Errorf("half of the refusals take %v or more", half)
	}
}

func TestNetworksCountAsOneAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "pipe": "pipe",
	} {
		if got := network(address); got != want {
			t.Errorf("%s counts as %s, want %s", address, got, want)
		}
	}
}

// TestACredentialIsOneHoweverItIsSpelt: scheme and account are compared without case.
func TestACredentialIsOneHoweverItIsSpelt(t *testing.T) {
	t.Parallel()
	of := func(authorization, account string) [32]byte {
		r := httptest.NewRequest(http.MethodGet, "/v1/assets", nil)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Account", account)
		return presented(r)
	}
	if of("Bearer abc", "it@example.com") != of("bEaReR abc", "IT@Example.com") {
		t.Error("one credential counts as two")
	}
	if of("Bearer abc", "a") == of("Bearer abd", "a") || of("Bearer abc", "a") == of("Bearer abc", "b") || of("Basic abc", "a") == of("Bearer abc", "a") {
		t.Error("two credentials count as one")
	}
}
