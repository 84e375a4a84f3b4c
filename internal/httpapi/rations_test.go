package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestBucketsAreBounded counts requests of more addresses than are remembered.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBuckets("address", 6)
	now := time.Now()
	for i := range 3 * maxBuckets {
		if _, ok := b.take(fmt.Sprint(i), now); !ok {
			t.Fatalf("the first request of %d was refused", i)
		}
	}
	if n := b.held.Len(); n != maxBuckets {
		t.Errorf("%d buckets are held, %d are the limit", n, maxBuckets)
	}
	if _, ok := b.take(fmt.Sprint(3*maxBuckets-1), now); ok {
		t.Error("who has just been counted was forgotten")
	}
}

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
