package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// traitColumns are what rules ask for of a vulnerability k.
const traitColumns = `k.id, k.name, k.severity_word, k.score, k.vector, k.public_exploit, k.exploit_verified, k.exploit_in_kit, k.exploit_types, k.partial`

type traitRow struct {
	ID              int32           `db:"id"`
	Name            string          `db:"name"`
	SeverityWord    string          `db:"severity_word"`
	Score           sql.NullFloat64 `db:"score"`
	Vector          string          `db:"vector"`
	PublicExploit   bool            `db:"public_exploit"`
	ExploitVerified bool            `db:"exploit_verified"`
	ExploitInKit    bool            `db:"exploit_in_kit"`
	ExploitTypes    pq.StringArray  `db:"exploit_types"`
	Partial         bool            `db:"partial"`
}

func (r traitRow) vulnerability() inventory.Vulnerability {
	v := inventory.Vulnerability{
		ID: r.ID, Name: r.Name, SeverityWord: r.SeverityWord, Score: -1, EPSS: -1, Vector: r.Vector, PublicExploit: r.PublicExploit,
		ExploitVerified: r.ExploitVerified, ExploitInKit: r.ExploitInKit, ExploitTypes: r.ExploitTypes, Partial: r.Partial,
	}
	if r.Score.Valid {
		v.Score = r.Score.Float64
	}
	return v
}

// KnownVulnerabilities finds vulnerabilities by name, adding unknown ones as partial, in the order of the argument. Only
// the fields that rules ask for are filled.
func (s *Store) KnownVulnerabilities(ctx context.Context, names []string) ([]inventory.Vulnerability, error) {
	rows, err := foundOrAdded(ctx, s, len(names),
		func(tx *sqlx.Tx) ([]traitRow, error) { return vulnerabilitiesNamed(ctx, tx, names) },
		func(tx *sqlx.Tx) error { return addNamed(ctx, tx, names) })
	return each(rows, traitRow.vulnerability), err
}

// vulnerabilitiesNamed looks each name up by the index. Left the choice, the planner reads the whole catalogue, texts and all, as soon as a few
// hundred are asked for: 40 ms instead of 4 for 600 of 20,000, a dozen times in the import of a small directory.
func vulnerabilitiesNamed(ctx context.Context, tx *sqlx.Tx, names []string) (rows []traitRow, err error) {
	err = tx.SelectContext(ctx, &rows, `
		select f.* from unnest($1::text[]) with ordinality as w(name, n)
		cross join lateral (select `+traitColumns+` from vulnerability k where k.name = w.name offset 0) f -- "offset 0" keeps it from being joined
		order by w.n`, pq.Array(names))
	return rows, err
}

// addNamed adds those that nobody knows yet.
func addNamed(ctx context.Context, tx *sqlx.Tx, names []string) error {
	_, err := tx.ExecContext(ctx, `
		with created as (
		  insert into vulnerability (name, partial, rules_at)
		  select distinct n, true, '-infinity'::timestamptz from unnest($1::text[]) as n
		  where not exists (select from vulnerability k where k.name = n) order by 1
		  on conflict do nothing returning id, name
		)
		insert into vulnerability_words (vulnerability_id, words)
		select distinct c.id, t.words::tsvector from created c join unnest($1::text[], $2::text[]) as t (name, words) using (name)
		on conflict do nothing`, pq.Array(names), pq.Array(each(names, func(name string) string { return wordVector(name) })))
	return err
}

// RulesAt is the newest of the moments that [Store.RuledAnew] goes by; zero without any. They rise with every write, of which there is one at
// a time, whatever the clocks say.
func (s *Store) RulesAt(ctx context.Context) (at time.Time, err error) {
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &at, `select rules_at from vulnerability where isfinite(rules_at) order by rules_at desc limit 1`)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return at.UTC(), err
}

// RuledAnew counts the vulnerabilities that the rules may see otherwise since a moment, of those that the tenant has findings of, open or
// out of scope, and the others that are given by number.
func (s *Store) RuledAnew(ctx context.Context, t tenant.ID, since time.Time, others []int32) (n int64, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &n, `
			select count(*) from vulnerability v where v.rules_at > $2 and (v.id = any($3) or exists (
			  select from exposure e where e.tenant_id = $1 and e.vulnerability_id = v.id and (e.open_assets > 0 or e.out_of_scope_assets > 0)))`,
			t, since, pq.Array(others))
	})
	return n, err
}

// KeptVulnerabilities gives those that the tenant has findings of, open or out of scope.
func (s *Store) KeptVulnerabilities(ctx context.Context, t tenant.ID) ([]syncer.KeptVulnerability, error) {
	var rows []struct {
		traitRow
		Open bool `db:"open"`
	}
	err := s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `
			select `+traitColumns+`, e.open_assets > 0 as open from exposure e join vulnerability k on k.id = e.vulnerability_id
			where e.tenant_id = $1 and (e.open_assets > 0 or e.out_of_scope_assets > 0)`, t)
	})
	kept := make([]syncer.KeptVulnerability, len(rows))
	for i, r := range rows {
		kept[i] = syncer.KeptVulnerability{Vulnerability: r.vulnerability(), Open: r.Open}
	}
	return kept, err
}
