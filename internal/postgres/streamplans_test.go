package postgres_test

import (
	"context"
	"strings"
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
)

const (
	smallBatch = 500
	// ahead is what a batch may read beyond its end: the rest of an asset, and what the server sorts together to begin with.
	ahead = 2*10 + 64
)

// TestAStreamReadsWhatIsBeforeItOnce looks at what the database does for each batch of streams whose findings an index names: each reads
// no more than it gives for everything that is named, whether at the beginning or at the end.
func TestAStreamReadsWhatIsBeforeItOnce(t *testing.T) {
	t.Parallel()
	f := newCrowdedInventory(t)
	f.store.StreamInBatchesOf(smallBatch)
	assets := f.ids(t, "select public_id from asset where tenant_id = $1 order by id desc limit 300", f.mine)
	cases := map[string]struct {
		filter inventory.FindingFilter
		named  int // which a batch reads each of
		want   int
	}{
		"a vulnerability that all have": {inventory.FindingFilter{Vulnerabilities: []string{"CVE-2025-000001"}}, 1, crowdedAssets},
		"vulnerabilities":               {inventory.FindingFilter{Vulnerabilities: []string{"CVE-2025-000001", "CVE-2025-000101", "CVE-2025-000201"}}, 3, 0},
		"a common product":              {inventory.FindingFilter{Vulnerabilities: []string{"CVE-2025-000001"}, Products: []string{"product"}}, 1, 0},
		"assets":                        {inventory.FindingFilter{Assets: assets}, 1, 10 * len(assets)},
	}
	check := func(where string) {
		for name, c := range cases {
			t.Run(name+where, func(t *testing.T) { f.checkStream(t, c.filter, c.named, c.want) })
		}
	}
	check("")
	f.ownPartition(t)
	check(" of an own partition")
}

func (f inventoryFixture) checkStream(t *testing.T, filter inventory.FindingFilter, named, want int) {
	t.Helper()
	found, batches := 0, 0
	var settings []postgres.Statement
	for _, s := range statements(t, func(ctx context.Context) error {
		return f.store.EachFinding(ctx, f.mine, filter, func(batch []inventory.Finding) error {
			found += len(batch)
			return nil
		})
	}) {
		switch {
		case strings.HasPrefix(s.Text, "select set_config("):
			settings = append(settings, s)
		case strings.Contains(s.Text, "f.attack_vector"):
			batches++
			if cost := f.measure(t, f.mine, s, settings...); cost.read > named*smallBatch+ahead || cost.whole != nil {
				t.Errorf("batch %d reads %d findings, all of %v:\n%s", batches, cost.read, cost.whole, cost.plan)
			}
		}
	}
	if want > 0 && found != want || batches < found/smallBatch || batches < 3 {
		t.Errorf("%d findings in %d batches, there are %d", found, batches, want)
	}
}
