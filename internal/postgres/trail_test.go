package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

var trailKey = audit.Key{ID: "k1", Secret: []byte("a key that the database does not have")}

// trail is a store that seals, and the owner's view of its database.
type trail struct {
	t     *testing.T
	store *postgres.Store
	owner *sql.DB
	id    tenant.ID
}

func newTrail(t *testing.T) *trail {
	t.Helper()
	dsn := postgrestest.URL(t)
	owner, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Close() })
	o := postgres.ForWork()
	o.AuditKey = trailKey
	h := &trail{t: t, store: postgrestest.Open(t, dsn, o), owner: owner}
	h.id = h.tenant() // its creation is the first event
	return h
}

func (h *trail) tenant() tenant.ID {
	h.t.Helper()
	created, err := h.store.CreateTenant(h.t.Context(), "Contoso", "")
	if err != nil {
		h.t.Fatal(err)
	}
	return created.ID
}

// change makes n changes.
func (h *trail) change(n int) {
	h.t.Helper()
	for i := range n {
		if err := h.store.SetEntitlement(h.t.Context(), h.id, tenant.Entitlement{MaxAssets: i + 1}); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *trail) verify(id tenant.ID) (events int64, err error) {
	verdict, err := h.store.VerifyAudit(h.t.Context(), id, map[string]audit.Key{trailKey.ID: trailKey})
	return verdict.Events, err
}

func (h *trail) exec(statement string) {
	h.t.Helper()
	if _, err := h.owner.Exec(statement); err != nil {
		h.t.Fatalf("%s: %v", statement, err)
	}
}

func TestVerifyFindsWhatIsChangedInTheDatabase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tamper string
		at     int64
	}{
		"nothing":                         {"select 1", 0},
		"changed":                         {"update audit_event set actor_name = 'nobody' where tenant_id = %[1]d and sequence = 3", 3},
		"changes":                         {"update audit_event set changes = '[]' where tenant_id = %[1]d and sequence = 2", 2},
		"a member more":                   {`update audit_event set changes = jsonb_set(changes, '{0,extra}', '"x"') where tenant_id = %[1]d and sequence = 4`, 4},
		"a member's name in another case": {`update audit_event set changes = (replace(changes::text, '"field"', '"Field"'))::jsonb where tenant_id = %[1]d and sequence = 3`, 3},
		"an empty member less":            {`update audit_event set changes = changes #- '{0,before}' where tenant_id = %[1]d and sequence = 1 and changes -> 0 ->> 'before' = ''`, 1},
		"an empty member null":            {`update audit_event set changes = jsonb_set(changes, '{0,before}', 'null') where tenant_id = %[1]d and sequence = 1 and changes -> 0 ->> 'before' = ''`, 1},
		"a null":                          {`update audit_event set changes = '[null]' where tenant_id = %[1]d and sequence = 3`, 3},
		"no elements":                     {`update audit_event set changes = '[7]' where tenant_id = %[1]d and sequence = 3`, 3},
		"no list": {`alter table audit_event drop constraint audit_event_changes_check;
			update audit_event set changes = '{"a":1}' where tenant_id = %[1]d and sequence = 2`, 2},
		"no time": {"alter table audit_event alter at drop not null; update audit_event set at = null where tenant_id = %[1]d and sequence = 3", 3},
		"no name": {"alter table audit_event alter actor_name drop not null; update audit_event set actor_name = null where tenant_id = %[1]d and sequence = 3", 3},
		"no hash": {"alter table audit_event alter hash drop not null; update audit_event set hash = null where tenant_id = %[1]d and sequence = 5", 5},
		"last number": {`alter table audit_event drop constraint if exists audit_event_sequence_end_check;
			update audit_event set sequence = 9223372036854775807 where tenant_id = %[1]d and sequence = 5`, 5},
		"time":      {"update audit_event set at = at + interval '1 microsecond' where tenant_id = %[1]d and sequence = 4", 4},
		"deleted":   {"delete from audit_event where tenant_id = %[1]d and sequence = 2", 2},
		"first":     {"delete from audit_event where tenant_id = %[1]d and sequence = 1", 1},
		"truncated": {"delete from audit_event where tenant_id = %[1]d and sequence = 5", 5},
		"all":       {"delete from audit_event where tenant_id = %[1]d", 1},
		"swapped": {`update audit_event set sequence = 100 where tenant_id = %[1]d and sequence = 2;
			update audit_event set sequence = 2 where tenant_id = %[1]d and sequence = 3;
			update audit_event set sequence = 3 where tenant_id = %[1]d and sequence = 100`, 2},
		"appended": {`insert into audit_event select tenant_id, 6, gen_random_uuid(), at, actor_kind, actor_id, actor_name, action, resource_type,
			resource_id, outcome, request_id, address, changes, key_id, hash from audit_event where tenant_id = %[1]d and sequence = 5`, 6},
		"appended without a key": {`insert into audit_event select tenant_id, 6, gen_random_uuid(), at, actor_kind, actor_id, actor_name, action, resource_type,
			resource_id, outcome, request_id, address, changes, '', sha256('guess') from audit_event where tenant_id = %[1]d and sequence = 5;
			update audit_head set sequence = 6, hash = sha256('guess') where tenant_id = %[1]d`, 6},
		"head gone":          {"delete from audit_head where tenant_id = %[1]d", 1},
		"gone with its head": {"delete from audit_head where tenant_id = %[1]d; delete from audit_event where tenant_id = %[1]d", 1},
		"begun anew": {`delete from audit_head where tenant_id = %[1]d; delete from audit_event where tenant_id = %[1]d;
			insert into audit_event select %[1]d, 1, gen_random_uuid(), at, actor_kind, actor_id, actor_name, action, resource_type, resource_id, outcome,
			request_id, address, '[]', key_id, hash from audit_event where tenant_id = 0 and sequence = 1;
			insert into audit_head select tenant_id, sequence, hash from audit_event where tenant_id = %[1]d`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTrail(t)
			h.change(4)
			h.exec("alter table audit_event disable trigger all")
			if strings.Contains(c.tamper, "%") {
				c.tamper = fmt.Sprintf(c.tamper, h.id)
			}
			h.exec("alter table audit_event no force row level security; alter table audit_head no force row level security; " + c.tamper)
			_, err := h.verify(h.id)
			var broken *audit.BrokenError
			if errors.As(err, &broken); (broken == nil) != (c.at == 0) || broken != nil && broken.Sequence != c.at || broken == nil && err != nil {
				t.Errorf("%v, want event %d", err, c.at)
			}
		})
	}
}

// TestChainsThatAreGoneWholeAreFound takes chains and their heads away, also together with the tenant, and of the platform's chain the
// whole and the end.
func TestChainsThatAreGoneWholeAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tamper string
		broken []int // which of the platform's chain and the two tenants' are broken
	}{
		"none":     {"select 1", nil},
		"a tenant": {"delete from audit_event where tenant_id = %[1]d; delete from audit_head where tenant_id = %[1]d", []int{1}},
		"a tenant and its row": {"delete from audit_event where tenant_id = %[1]d; delete from audit_head where tenant_id = %[1]d; " +
			"set app.system = 'on'; delete from tenant where id = %[1]d; reset app.system", []int{1}},
		"a tenant, its row, and the names by which the platform's tells of it": {`delete from audit_event where tenant_id = %[1]d; delete from audit_head where tenant_id = %[1]d;
			update audit_event set changes = (replace(changes::text, '"field"', '"Field"'))::jsonb where tenant_id = 0;
			set app.system = 'on'; delete from tenant where id = %[1]d; reset app.system`, []int{0}},
		"the platform": {"delete from audit_event where tenant_id = 0; delete from audit_head where tenant_id = 0", []int{0}},
		"the end of the platform's": {`delete from audit_event where tenant_id = 0 and sequence = 2;
			update audit_head set (sequence, hash) = (select sequence, hash from audit_event where tenant_id = 0) where tenant_id = 0`, []int{0}},
		"all": {"delete from audit_event; delete from audit_head", []int{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTrail(t)
			h.change(2)
			other := h.tenant()
			h.exec("alter table audit_event disable trigger all; alter table audit_event no force row level security; alter table audit_head no force row level security")
			if strings.Contains(c.tamper, "%") {
				c.tamper = fmt.Sprintf(c.tamper, h.id)
			}
			h.exec(c.tamper)
			chains, err := h.store.AuditChains(t.Context())
			want := []tenant.ID{audit.Platform, h.id, other}
			if strings.Contains(c.tamper, "Field") {
				want = []tenant.ID{audit.Platform, other} // nothing tells of it but the platform's, which is broken
			}
			if err != nil || !slices.Equal(chains, want) {
				t.Fatalf("chains %v, %v; want %v", chains, err, want)
			}
			for i, chain := range chains {
				_, err := h.verify(chain)
				var broken *audit.BrokenError
				if errors.As(err, &broken) != slices.Contains(c.broken, i) || broken == nil && err != nil {
					t.Errorf("chain %d: %v", i, err)
				}
			}
		})
	}
}

func TestParallelChangesMakeAChainWithoutGaps(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			text := tenant.NewKey()
			k := tenant.APIKey{Name: fmt.Sprint("key ", i), Role: tenant.ReadOnly, ExpiresAt: time.Now().Add(time.Hour)}
			if _, err := h.store.CreateAPIKey(context.Background(), h.id, k, text); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if events, err := h.verify(h.id); err != nil || events != 50+1 {
		t.Errorf("%d events, %v; want 51", events, err)
	}
}

func TestTenantsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	other := h.tenant()
	h.change(1)
	tx, err := h.owner.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec(fmt.Sprintf("set local app.tenant_id = '%[1]d'; select * from audit_head where tenant_id = %[1]d for update", h.id)); err != nil {
		t.Fatal(err)
	}
	if err := h.store.SetTenantState(t.Context(), other, tenant.Suspended); err != nil {
		t.Errorf("another tenant's change: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := h.store.SetTenantState(short, h.id, tenant.Suspended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the tenant's own change did not wait for the head: %v", err)
	}
}

func TestTheChainOutlivesItsTenant(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	h.change(3)
	h.exec(fmt.Sprintf("set app.system = 'on'; delete from tenant where id = %d; reset app.system", h.id))
	if events, err := h.verify(h.id); err != nil || events != 3+1 {
		t.Errorf("%d events, %v; want 4", events, err)
	}
	late := audit.WithActor(t.Context(), audit.Actor{Kind: audit.System, ID: "late"})
	if err := h.store.RecordDenial(late, h.id, "listAssets", tenant.RefusedRole, 1); !fault.Is(err, fault.CodeUnauthenticated) {
		t.Errorf("an event of a tenant that is gone: %v", err)
	}
	if events, err := h.verify(h.id); err != nil || events != 3+1 {
		t.Errorf("%d events then, %v; want 4", events, err)
	}
	chains, err := h.store.AuditChains(t.Context())
	if err != nil || len(chains) != 2 || chains[0] != audit.Platform || chains[1] != h.id {
		t.Errorf("chains %v, %v", chains, err)
	}
	if events, err := h.verify(audit.Platform); err != nil || events != 1 {
		t.Errorf("platform: %d events, %v; want the tenant's creation", events, err)
	}
}

func TestEventsAreListedForTheirTenantOnly(t *testing.T) {
	t.Parallel()
	h := newTrail(t)
	other := h.tenant()
	h.change(3)
	if err := h.store.SetTenantState(t.Context(), h.id, tenant.Suspended); err != nil {
		t.Fatal(err)
	}
	list := func(f audit.Filter) func(inventory.PageRequest) ([]audit.Event, inventory.Position, error) {
		return func(p inventory.PageRequest) ([]audit.Event, inventory.Position, error) {
			return h.store.ListAuditEvents(t.Context(), h.id, f, p)
		}
	}
	small := inventory.PageRequest{Limit: 2}
	all := walk(t, small, list(audit.Filter{}))
	if len(all) != 5 || all[0].Sequence != 5 || all[0].Action != audit.TenantStateChanged || all[0].Actor != postgrestest.Actor {
		t.Fatalf("%+v", all)
	}
	for name, c := range map[string]struct {
		filter audit.Filter
		want   int
	}{
		"action": {audit.Filter{Actions: []audit.Action{audit.EntitlementSet}}, 3}, "kind": {audit.Filter{Actors: []string{"key_1", "system"}}, 5}, "actor": {audit.Filter{Actors: []string{"key_1"}}, 0},
		"resource": {audit.Filter{Resources: []string{all[0].Resource.ID}}, 5}, "outcome": {audit.Filter{Outcomes: []audit.Outcome{audit.Refused}}, 0}, "outcomes": {audit.Filter{Outcomes: []audit.Outcome{audit.Refused, audit.Succeeded}}, 5},
		"from": {audit.Filter{From: all[1].At}, 2}, "before": {audit.Filter{Before: all[1].At}, 3},
	} {
		if got := walk(t, small, list(c.filter)); len(got) != c.want {
			t.Errorf("%s: %d events, want %d", name, len(got), c.want)
		}
	}
	if got, _, err := h.store.ListAuditEvents(t.Context(), other, audit.Filter{}, small); err != nil || len(got) != 1 || got[0].Tenant != other {
		t.Errorf("another tenant sees %d events, %v", len(got), err)
	}
}

func TestAChangeWithoutAnActorIsRefused(t *testing.T) {
	t.Parallel()
	store := postgrestest.OpenUnnamed(t, postgrestest.URL(t), postgres.ForWork())
	if _, err := store.CreateTenant(t.Context(), "Contoso", ""); !errors.Is(err, audit.ErrNoActor) {
		t.Errorf("%v", err)
	}
	if tenants, err := store.ListTenants(t.Context(), tenant.Filter{}); err != nil || len(tenants) != 0 {
		t.Errorf("%d tenants, %v: the change was made", len(tenants), err)
	}
}
