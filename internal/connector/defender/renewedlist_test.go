package defender

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
)

// TestAListThatCannotBeRenewedIsNoFailureOfAFile has the address of one file of four refused, and the list that would have a new one not given:
// whoever reads it again later has all files, and sets none aside.
func TestAListThatCannotBeRenewedIsNoFailureOfAFile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		code   string
		after  time.Duration // at least
		lists  int           // that are asked for: the first, and the new one as often as any call
	}{
		"throttled for long": {plain(http.StatusTooManyRequests, "", "Retry-After", "3000"), fault.CodeUpstreamThrottled, 3000 * time.Second, 2},
		"unavailable":        {plain(http.StatusServiceUnavailable, ""), fault.CodeUpstreamUnavailable, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDepot(t, numbered(4)...)
			lists := 0
			d.onAPI = func(w http.ResponseWriter, r *http.Request) {
				d.mu.Lock()
				listed := r.URL.Path == pathExportFiles
				if listed {
					lists++
				}
				renewed, expired := listed && lists > 1, strings.HasSuffix(r.URL.Path, "/f2")
				d.mu.Unlock()
				switch {
				case renewed:
					tc.answer(w, r)
				case expired:
					plain(http.StatusForbidden, "")(w, r)
				default:
					d.give(w, r)
				}
			}
			root := t.TempDir()
			_, used, err := d.read(t, root, d.shared(t))
			d.mu.Lock()
			asked := lists
			d.mu.Unlock()
			if !fault.Is(err, tc.code) || fault.As(err).RetryAfter < tc.after || used.Lost != 0 || asked != tc.lists {
				t.Errorf("%v, %d files were set aside, %d lists", err, used.Lost, asked)
			}
			d.answer(d.give)
			_ = d.clock.sleep(t.Context(), time.Hour)
			if rows, used, err := d.read(t, root); err != nil || used.Lost != 0 || len(rows) != 4 {
				t.Errorf("afterwards: %v, %v, %+v", err, rows, used)
			}
		})
	}
}
