package postgres_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/lib/pq"
)

// TestTimesThatWouldTakeAListDownAreRefused writes, as the application's role, times that the program cannot read or show into each column
// that whole lists, or the queue, are read with.
func TestTimesThatWouldTakeAListDownAreRefused(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	if err := h.connect(); err != nil { // with a run and its job
		t.Fatal(err)
	}
	h.exec(fmt.Sprintf(`insert into api_key (tenant_id, public_id, name, role, hash, box, hint, expires_at)
		values (%d, gen_random_uuid(), 'x', 'admin', decode(repeat('00', 32), 'hex'), '', '', now())`, h.id))
	for table, columns := range map[string][]string{
		"tenant":      {"created_at", "updated_at"},
		"entitlement": {"valid_from", "valid_until"},
		"api_key":     {"expires_at", "last_used_at", "revoked_at", "created_at"},
		"integration": {
			"secret_updated_at", "secret_expires_at", "secret_expired_at", "staged_expires_at", "staged_at", "staged_checked_at", "next_run_at", "recheck_at",
			"last_success_at", "purge_at", "created_at", "updated_at",
		},
		"run": {"created_at", "started_at", "finished_at", "updated_at"},
		"job": {"run_at", "lease_until", "created_at"},
	} {
		for _, column := range columns {
			for _, at := range oddTimes {
				_, err := h.owner.Exec(fmt.Sprintf("begin; set local role defender_app; set local app.system = 'on'; update %s set %s = '%s'; commit", table, column, at))
				_, _ = h.owner.Exec("rollback")
				var refused *pq.Error
				if !errors.As(err, &refused) || refused.Code != "23514" {
					t.Errorf("%s.%s = %s: %v", table, column, at, err)
				}
			}
		}
	}
}
