package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"pgp.internal/defender/cmd/defenderbench/internal/report"
)

// narrow makes the accepted rows of what was last imported: a line for each piece of software of a finding.
const narrow = `select f.tenant_id, f.asset_id, s, f.vulnerability_id, f.severity, f.state, f.first_seen_at
	from finding f cross join unnest(f.software_ids) s where f.tenant_id = %d and f.state = 1`

const narrowTable = `create table bench_narrow (tenant_id int, asset_id bigint, software_id int, vulnerability_id int, severity smallint, state smallint,
	first_seen_at timestamptz)`

// copyLimit loads the accepted rows the fastest way there is. It is measured after each import, because the machine's speed
// drifts within minutes; the median counts.
func (z *sizeRun) copyLimit(ctx context.Context) (err error) {
	programs, err := findPrograms(ctx, z.db.db)
	if err != nil {
		return err
	}
	// Absolute, because it stands in a command for psql.
	name, err := filepath.Abs(filepath.Join(z.o.work, "narrow.csv"))
	if err != nil {
		return err
	}
	defer os.Remove(name) //nolint:errcheck // it may not be there
	if _, _, err := z.db.copied(ctx, programs, fmt.Sprintf(`\copy (`+narrow+`) to '%s' csv`, z.customer.number, name)); err != nil {
		return err
	}
	file, err := os.Stat(name)
	if err != nil {
		return err
	}
	if _, err := z.db.db.ExecContext(ctx, "drop table if exists bench_narrow; "+narrowTable+"; checkpoint"); err != nil {
		return err
	}
	before, err := z.db.wal(ctx)
	if err != nil {
		return err
	}
	_, took, err := z.db.copied(ctx, programs, fmt.Sprintf(`\copy bench_narrow from '%s' csv`, name))
	if err != nil {
		return err
	}
	c := z.result.Copy
	if c == nil {
		c = &report.Copy{}
		z.result.Copy = c
	}
	c.Bytes, c.Each = file.Size(), append(c.Each, took.Seconds())
	c.Seconds = median(c.Each)
	after, err := z.db.wal(ctx)
	if err != nil {
		return err
	}
	c.WAL = after - before
	if err := z.db.db.QueryRowContext(ctx, "select count(*) from bench_narrow").Scan(&c.Rows); err != nil {
		return err
	}
	z.say("limit of imports: %s rows in %.2f s, %s rows/s", report.Count(c.Rows), took.Seconds(), report.Count(int64(float64(c.Rows)/took.Seconds())))
	_, err = z.db.db.ExecContext(ctx, "drop table bench_narrow")
	return err
}
