package postgres_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
)

// TestArgumentsOfAQueryAloneArriveAsTheyAre sends each both in the text of a call and apart from it, as a transaction does.
func TestArgumentsOfAQueryAloneArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	for sqlType, values := range map[string][]any{
		"text":             {"", "it's", `\`, `'; drop table asset; --`, `\'; drop table asset; --`, "$1 ? :x", "line\nfeed\r\t", "Zoë 🔐", `E'\x00'`, strings.Repeat("'", 5000)},
		"bytea":            {[]byte{}, []byte{0, 1, '\'', '\\', 255}},
		"bigint":           {int64(0), int64(-1), int64(math.MaxInt64), int64(math.MinInt64)},
		"smallint":         {int64(-4)},
		"double precision": {0.1, -1e300, 5e-324},
		"boolean":          {true, false},
		"timestamptz":      {time.Date(2026, 2, 3, 4, 5, 6, 789_000, time.UTC), time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("", 5400)), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)},
		"text[]":           {pq.StringArray{}, pq.StringArray{`a"b`, `c\d`, "e'f", "{g,h}", "NULL"}},
		"bigint[]":         {pq.Int64Array{1, -2}},
		"int":              {nil},
	} {
		for _, value := range values {
			query := "select coalesce(md5($1::" + sqlType + "::text), 'null') || current_setting('app.tenant_id')"
			var want string
			err := f.store.InTenant(t.Context(), f.mine, func(tx *sqlx.Tx) error { return tx.GetContext(t.Context(), &want, query, value) })
			if err != nil {
				t.Fatal(err)
			}
			if got, err := f.store.Alone(t.Context(), f.mine, query, value); err != nil || got != want {
				t.Errorf("%s %.40v: %q instead of %q, %v", sqlType, value, got, want, err)
			}
		}
	}
	if _, err := f.store.Alone(t.Context(), f.mine, "select $1::text", "a\x00'; drop table asset; --"); err == nil || !strings.Contains(err.Error(), "character 0") {
		t.Errorf("a text that would end the message: %v", err)
	}
}

// TestAQueryAloneLeavesNothingOnItsConnection has one connection serve two tenants, a query that fails and one whose plan grows stale.
func TestAQueryAloneLeavesNothingOnItsConnection(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	store := oneConnection(t, f.url)
	const whose = "select coalesce(string_agg(distinct a.tenant_id::text, ','), '') from asset a where $1"
	ask := func(what string, wanted string) {
		t.Helper()
		if got, err := store.Alone(t.Context(), f.mine, whose, true); err != nil || got != wanted {
			t.Errorf("%s: sees the assets of %q instead of %q, %v", what, got, wanted, err)
		}
	}
	ask("at first", fmt.Sprint(int(f.mine)))
	var left string
	if err := store.DB().QueryRow("select current_setting('app.tenant_id', true)").Scan(&left); err != nil || left != "" {
		t.Errorf("the tenant %q is left behind, %v", left, err)
	}
	if got, err := store.Alone(t.Context(), f.other, whose, true); err != nil || got != fmt.Sprint(int(f.other)) {
		t.Errorf("the other tenant sees the assets of %q, %v", got, err)
	}
	if got, err := store.Alone(t.Context(), f.mine, "select (1 / ($1::int - 1))::text", 1); err == nil {
		t.Errorf("a division by zero gives %q", got)
	}
	ask("after a failure", fmt.Sprint(int(f.mine)))
	if _, err := f.owner.Exec("create table fickle as select 'a'::text as t; grant select on fickle to public"); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Alone(t.Context(), f.mine, "select * from fickle"); err != nil || got != "a" {
		t.Fatal(got, err)
	}
	if _, err := f.owner.Exec("alter table fickle alter t type varchar"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Alone(t.Context(), f.mine, "select * from fickle"); err == nil {
		t.Error("the plan did not grow stale, so the test shows nothing")
	}
	if got, err := store.Alone(t.Context(), f.mine, "select * from fickle"); err != nil || got != "a" {
		t.Errorf("once the plan was dropped: %q, %v", got, err)
	}
}

// TestPagesArePlannedAsTheyAreMarked reads more often than PostgreSQL tries out plans.
func TestPagesArePlannedAsTheyAreMarked(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	store := oneConnection(t, f.url)
	const often = 12
	first := inventory.PageRequest{Limit: 50}
	for range often {
		_, _, err := store.ListAssets(t.Context(), f.mine, inventory.AssetFilter{}, first)
		_, _, err2 := store.ListVulnerabilities(t.Context(), f.mine, inventory.VulnerabilityFilter{}, first)
		_, _, err3 := store.ListFindings(t.Context(), f.mine, inventory.FindingFilter{}, first)
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
	}
	for table, want := range map[string]struct{ once, eachTime int }{`asset a where a.tenant_id = \$1 order`: {once: often}, "exposure e": {once: often}, "finding f": {eachTime: often}} {
		var once, eachTime int
		err := store.DB().QueryRow(`select coalesce(sum(generic_plans), 0), coalesce(sum(custom_plans), 0) from pg_prepared_statements
			where statement ~ ('from ' || $1) and statement ~ 'sort_key'`, table).Scan(&once, &eachTime)
		if err != nil || once != want.once || eachTime != want.eachTime {
			t.Errorf("%s: %d by the plan for any arguments, %d planned anew, %v", table, once, eachTime, err)
		}
	}
}
