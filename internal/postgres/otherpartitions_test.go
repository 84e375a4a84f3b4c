package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

// TestFindingsAreReadWithoutLockingPartitionsOfOthers holds the partitions of all other tenants, and reads on one connection more often than
// it takes PostgreSQL to think of a plan that is good for any tenant: a read that locks a partition of another tenant fails.
func TestFindingsAreReadWithoutLockingPartitionsOfOthers(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	placing := postgrestest.Open(t, f.url, postgres.ForWork())
	for _, id := range []tenant.ID{f.mine, f.other} {
		if _, err := placing.Place(t.Context(), id, true); err != nil {
			t.Fatal(err)
		}
	}
	reading := oneConnection(t, f.url)
	others, err := f.owner.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = others.Rollback() }()
	if _, err := others.Exec(fmt.Sprintf("lock table finding_t%d, finding_shared in access exclusive mode", f.other)); err != nil {
		t.Fatal(err)
	}
	for name, read := range f.readsOfFindings(reading) {
		for n := range 8 {
			if err := read(t.Context()); err != nil {
				t.Errorf("%s, time %d: %v", name, n+1, err)
				break
			}
		}
	}
}

// readsOfFindings are all ways in which a request reads findings of the main tenant.
func (f inventoryFixture) readsOfFindings(s *postgres.Store) map[string]func(context.Context) error {
	reads := map[string]func(context.Context) error{
		"one": func(ctx context.Context) error {
			_, err := s.Finding(ctx, f.mine, assetID(f.mine, 1), 1)
			return err
		},
		"history": func(ctx context.Context) error {
			_, err := s.FindingHistory(ctx, f.mine, assetID(f.mine, 1), 1)
			return err
		},
		"assets of a vulnerability": func(ctx context.Context) error {
			_, _, err := s.ListAssets(ctx, f.mine, inventory.AssetFilter{VulnID: 1}, everything)
			return err
		},
	}
	for name, filter := range map[string]inventory.FindingFilter{
		"all":                {},
		"by severity":        {Severities: []inventory.Severity{inventory.SeverityHigh}},
		"by product":         {Products: []string{"google/chrome"}},
		"of a vulnerability": {Vulnerabilities: []string{"CVE-2024-0001"}},
		"by state":           {States: []inventory.FindingState{inventory.FindingFixed}},
		"since":              {FirstSeenFrom: day(2)},
	} {
		for _, key := range inventory.FindingSorts {
			reads[name+" by "+key] = func(ctx context.Context) error {
				_, _, err := s.ListFindings(ctx, f.mine, filter, inventory.PageRequest{Limit: 2, Sort: inventory.Sort{Key: key}})
				return err
			}
		}
		reads[name+" as a stream"] = func(ctx context.Context) error {
			return s.EachFinding(ctx, f.mine, filter, func([]inventory.Finding) error { return nil })
		}
	}
	return reads
}
