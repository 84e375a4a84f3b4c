package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/syncer"
)

// TestWhatAReportNamesIsLookedUp asks for as much as a batch of rows names, of a catalogue of twenty thousand entries with their texts, and for
// software that was never seen beside some that was. Nothing may be read that was not asked for, and what is known is not written.
func TestWhatAReportNamesIsLookedUp(t *testing.T) {
	t.Parallel()
	const asked = 600
	url := postgrestest.URL(t)
	f := inventoryFixture{url: url, store: postgrestest.Open(t, url, postgres.ForWork()), owner: openOwner(t, url)}
	f.exec(t, `insert into vulnerability (name, title, description, severity) select 'CVE-2024-' || n, 'Mule overflow', repeat('A mule overflows. ', 40), 1 from generate_series(1, 20000) n;
		insert into software (vendor, product, version) select 'vendor', 'a product of some length', n::text from generate_series(1, 20000) n; analyze`)
	names, software := make([]string, asked), make([]syncer.Software, asked)
	for i := range asked {
		names[i] = fmt.Sprintf("CVE-2024-%d", i*31+1)
		software[i] = syncer.Software{Vendor: "vendor", Product: "a product of some length", Version: fmt.Sprint(i*31 + 1)}
	}
	read := func(ctx context.Context) error {
		found, err := f.store.KnownVulnerabilities(ctx, names)
		for i, v := range found {
			if v.Name != names[i] {
				return fmt.Errorf("%s instead of %s", v.Name, names[i])
			}
		}
		ids, err2 := f.store.SoftwareIDs(ctx, software)
		if err := errors.Join(err, err2); err != nil || len(found) != asked || len(ids) != asked {
			return fmt.Errorf("%d vulnerabilities and %d pieces of software: %w", len(found), len(ids), err)
		}
		return nil
	}
	sent := statements(t, read)
	for _, s := range sent {
		if strings.Contains(s.Text, "insert") {
			t.Errorf("all are known, yet they are written:\n%s", s.Text)
		}
		if cost := f.measure(t, 1, s); cost.read > asked {
			t.Errorf("reads %d rows for %d:\n%s\n%s", cost.read, asked, s.Text, cost.plan)
		}
	}
	if len(sent) != 2 {
		t.Errorf("%d statements instead of two", len(sent))
	}
	names[7], software[7].Version = "CVE-2026-7", "unseen"
	if err := read(t.Context()); err != nil {
		t.Error("with a new one among them: ", err)
	}
}
