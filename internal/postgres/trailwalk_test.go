package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

const (
	longTrail   = 20_000 // events
	trailEvents = 1_000  // that a page passes over at most
)

// seedTrail gives a tenant (first argument) so many more events (second), one a minute. Every thousandth is different in all respects.
const seedTrail = `
insert into audit_event (tenant_id, sequence, public_id, at, actor_kind, actor_id, actor_name, action, resource_type, resource_id, outcome,
    request_id, address, changes, key_id, hash)
select %[1]d, n, gen_random_uuid(), timestamptz '2026-01-01Z' + n * interval '1 minute', case when n %% 1000 = 7 then 'cli' else 'api_key' end,
       case when n %% 1000 = 7 then 'rare' else 'key_1' end, 'name', case when n %% 1000 = 7 then 'run.cancelled' else 'run.started' end, 'run',
       case when n %% 1000 = 7 then 'run_rare' else 'run_' || n end, case when n %% 1000 = 7 then 'failed' else 'succeeded' end,
       '', '', '[]', '', decode(repeat('00', 32), 'hex')
from generate_series(2, %[2]d + 1) n`

// seedPlanted gives it one that is far behind the end and has a wrong time.
const seedPlanted = `
insert into audit_event select (jsonb_populate_record(e, '{"sequence": 9000000000000000000, "at": "2001-01-01Z"}')).*
from audit_event e where tenant_id = %d and sequence = 1007`

// TestALongTrailIsReadInStretches finds what is rare in it: no page passes over more events than it may, and together they lose and repeat
// none. An event that somebody has planted is no reason to go astray.
func TestALongTrailIsReadInStretches(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	f := inventoryFixture{url: url, store: postgrestest.Open(t, url, postgres.ForRequests()), owner: openOwner(t, url)}
	created, err := f.store.CreateTenant(t.Context(), "Busy", "")
	if err != nil {
		t.Fatal(err)
	}
	f.mine = created.ID
	for _, statement := range []string{
		fmt.Sprintf(seedTrail, f.mine, longTrail),
		fmt.Sprintf(seedPlanted, f.mine),
		"vacuum analyze audit_event",
	} {
		if _, err := f.owner.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	f.store.WalkAtMost(trailEvents)
	from, to := time.Date(2026, 1, 1, 0, 1007, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 1008, 0, 0, time.UTC)
	const rare = longTrail/1000 + 1
	for name, c := range map[string]struct {
		filter audit.Filter
		want   int
	}{
		"actor":    {audit.Filter{Actors: []string{"rare"}}, rare},
		"kind":     {audit.Filter{Actors: []string{string(audit.CLI)}}, rare},
		"action":   {audit.Filter{Actions: []audit.Action{audit.RunCancelled}}, rare},
		"resource": {audit.Filter{Resources: []string{"run_rare"}}, rare},
		"outcome":  {audit.Filter{Outcomes: []audit.Outcome{audit.Failed}}, rare},
		"time":     {audit.Filter{From: from, Before: to}, 1},
		"nobody":   {audit.Filter{Actors: []string{"nobody"}}, 0},
		"common":   {audit.Filter{Outcomes: []audit.Outcome{audit.Succeeded}}, longTrail + 2 - rare},
		"all":      {audit.Filter{}, longTrail + 2},
	} {
		t.Run(name, func(t *testing.T) {
			list := func(ctx context.Context, page inventory.PageRequest) ([]audit.Event, inventory.Position, error) {
				return f.store.ListAuditEvents(ctx, f.mine, c.filter, page)
			}
			if got := f.stretches(t, list); len(got) != c.want {
				t.Errorf("%d events instead of %d", len(got), c.want)
			}
		})
	}
}

// stretches reads all pages of a list, and demands of each that its statements read no more than a page may.
func (f inventoryFixture) stretches(t *testing.T, list func(context.Context, inventory.PageRequest) ([]audit.Event, inventory.Position, error)) (sequences []int64) {
	t.Helper()
	page := inventory.PageRequest{Limit: trailEvents / 2}
	for range 3 * longTrail / trailEvents {
		var events []audit.Event
		var end inventory.Position
		for _, s := range statements(t, func(ctx context.Context) (err error) { events, end, err = list(ctx, page); return err }) {
			if cost := f.measure(t, f.mine, s); cost.read > trailEvents+rounding {
				t.Fatalf("a page reads %d events:\n%s", cost.read, cost.plan)
			}
		}
		for i := range events {
			sequences = append(sequences, events[i].Sequence)
		}
		if page.After = end; end == nil {
			if !slices.IsSortedFunc(sequences, func(a, b int64) int { return int(max(-1, min(1, b-a))) }) || len(slices.Compact(slices.Clone(sequences))) != len(sequences) {
				t.Errorf("out of order or repeated: %v", sequences)
			}
			return sequences
		}
	}
	t.Fatal("the list does not end")
	return nil
}
