package defender

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestShortTokensLastThroughALongReading is about renewal: with tokens of 90 seconds, a reading of five minutes makes no call with one
// that has expired.
func TestShortTokensLastThroughALongReading(t *testing.T) {
	t.Parallel()
	const life, perPage, pages = 90 * time.Second, 20 * time.Second, 16
	u := newUpstream(t)
	var mu sync.Mutex
	var issued []time.Time
	u.onToken = func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		issued = append(issued, u.clock.now())
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":90,"access_token":"token.%d.x"}`, len(issued)-1)
	}
	expired, served := 0, 0
	u.onAPI = func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var number int
		if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer token.%d.x", &number); err != nil || number >= len(issued) {
			t.Errorf("a call with %d tokens issued carries another: %v", len(issued), err)
			return
		}
		if u.clock.now().Sub(issued[number]) >= life {
			expired++
		}
		_ = u.clock.sleep(context.Background(), perPage) // what the page takes
		next := ""
		if served++; served < pages {
			next = fmt.Sprintf("%s/api/machines?$skip=%d", u.URL, served)
		}
		page(listOf("id", served, served+1, next))(w, r)
	}
	ids, err := machineIDs(u.open())
	if err != nil || len(ids) != pages || !strings.HasPrefix(ids[0], "m") {
		t.Fatalf("%d machines, %v", len(ids), err)
	}
	if expired != 0 || len(issued) < 4 {
		t.Errorf("%d calls with an expired token, %d tokens in %v", expired, len(issued), pages*perPage)
	}
}
