package httpapi

import (
	"net/http"
	"net/http/httptest"
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
	const times = 500
	began := time.Now()
	for range times {
		if code := refuse(); code != http.StatusTooManyRequests {
			t.Fatalf("%d", code)
		}
	}
	if each := time.Since(began) / times; each > time.Millisecond {
		t.Errorf("a refusal takes %v", each)
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
