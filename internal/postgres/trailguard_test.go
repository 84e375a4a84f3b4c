package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lib/pq"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// oddTimes are those that PostgreSQL stores and no event has: its page "Date/Time Types" names the range.
var oddTimes = []string{"infinity", "-infinity", "10000-01-01 00:00:00+00", "294276-12-31 00:00:00+00", "0044-03-15 00:00:00+00 BC", "4713-01-01 00:00:00+00 BC"}

func TestEventsWithOddTimesHideNoOther(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	h.change(4)
	h.exec(`alter table audit_event disable trigger all; alter table audit_event no force row level security;
		alter table audit_event drop constraint if exists audit_event_at_check`)
	for _, at := range oddTimes {
		h.exec(fmt.Sprintf("update audit_event set at = '%s' where tenant_id = %d and sequence = 3", at, h.id))
		_, err := h.verify(h.id)
		var broken *audit.BrokenError
		if !errors.As(err, &broken) || broken.Sequence != 3 {
			t.Errorf("%s: %v, want event 3", at, err)
		}
		list, _, err := h.store.ListAuditEvents(t.Context(), h.id, audit.Filter{}, inventory.PageRequest{Limit: 10})
		if err != nil || len(list) != 5 {
			t.Errorf("%s: %d events, %v", at, len(list), err)
			continue
		}
		for _, e := range list {
			if e.Unreadable != (e.Sequence == 3) || e.At.IsZero() != e.Unreadable {
				t.Errorf("%s: %+v", at, e)
			}
		}
	}
	if events, err := h.verify(audit.Platform); err != nil || events != 1 {
		t.Errorf("platform: %d events, %v", events, err)
	}
}

func TestNobodyChangesAnEvent(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	h.change(1)
	for _, statement := range []string{
		"update audit_event set actor_name = 'x'", "delete from audit_event", "truncate audit_event", "delete from audit_head", "truncate audit_head",
	} {
		for _, as := range []string{"set local role defender_app; set local app.system = 'on'; ", "set local app.system = 'on'; "} {
			if strings.HasSuffix(statement, "audit_head") && !strings.Contains(as, "role") {
				continue // the owner may: the chain then no longer holds
			}
			_, err := h.owner.Exec("begin; " + as + statement + "; commit")
			_, _ = h.owner.Exec("rollback")
			var told *pq.Error
			if !errors.As(err, &told) || told.Code != "42501" {
				t.Errorf("%s%s: %v, want permission denied", as, statement, err)
			}
		}
	}
}

// TestNobodyInsertsAnEventThatCannotBeRead tries it as the role of the service.
func TestNobodyInsertsAnEventThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	insert := func(sequence, at string) string {
		return fmt.Sprintf(`begin; set local role defender_app; set local app.system = 'on';
			insert into audit_event select tenant_id, %s, gen_random_uuid(), %s, actor_kind, actor_id, actor_name, action, resource_type, resource_id, outcome,
			request_id, address, changes, key_id, hash from audit_event where tenant_id = %d and sequence = 1; rollback`, sequence, at, h.id)
	}
	h.exec(insert("2", "at")) // so that the others fail for what they are about
	odd := []string{insert("9223372036854775807", "at")}
	for _, at := range oddTimes {
		odd = append(odd, insert("2", "timestamptz '"+at+"'"))
	}
	for _, statement := range odd {
		_, err := h.owner.Exec(statement)
		_, _ = h.owner.Exec("rollback")
		var told *pq.Error
		if !errors.As(err, &told) || told.Code != "23514" {
			t.Errorf("%s: %v, want check violation", statement, err)
		}
	}
}

// TestAProofThatCannotBeReadStopsNoOther has the role of the service tell of a deletion without saying where the chain ended.
func TestAProofThatCannotBeReadStopsNoOther(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	h.exec(fmt.Sprintf(`begin; set local role defender_app; set local app.system = 'on';
		insert into audit_event select tenant_id, 2, gen_random_uuid(), at, actor_kind, actor_id, actor_name, 'tenant.deleted', resource_type, resource_id,
		outcome, request_id, address, jsonb_build_array(jsonb_build_object('field', 'chain.number', 'before', '', 'after', '%d')), key_id, hash
		from audit_event where tenant_id = 0 and sequence = 1; commit`, h.id))
	for _, chain := range []tenant.ID{audit.Platform, h.id} {
		_, err := h.verify(chain)
		var broken *audit.BrokenError
		if !errors.As(err, &broken) || broken.Sequence != 2 {
			t.Errorf("chain %d: %v, want event 2", chain, err)
		}
	}
}
