package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/cmd/defenderbench/internal/report"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{"--sizes", "1M, 5000,100k,5000", "--skip", "fairness, copy"}, io.Discard)
	if err != nil || !slices.Equal(o.sizes, []int64{5000, 100_000, 1_000_000}) || o.wants(partFairness) || o.wants(partCopy) || !o.wants(partReads) {
		t.Errorf("%+v, %v", o, err)
	}
	if n := o.machines(10_000_000); n < 99_000 || n > 100_000 {
		t.Errorf("ten million findings need %d machines", n)
	}
	if o, err = parseOptions([]string{"--phases", "reads"}, io.Discard); err != nil || !o.wants(partFirst) || o.wants(partUnchanged) {
		t.Errorf("reading needs a first import: %+v, %v", o, err)
	}
	if o, err = parseOptions([]string{"--phases", "decode,fairness"}, io.Discard); err != nil || o.wants(partFirst) {
		t.Errorf("decoding needs no import: %+v, %v", o, err)
	}
	if o, err = parseOptions([]string{"--phases", "together", "--at-once", "4, 2,4"}, io.Discard); err != nil || o.wants(partFirst) || !slices.Equal(o.atOnce, []int{2, 4}) {
		t.Errorf("imports at once: %+v, %v", o, err)
	}
	for _, bad := range []string{"--sizes=", "--sizes=1G", "--sizes=0", "--sizes=20M", "--phases=all", "--skip=x", "--seconds=0", "--connections=0", "--at-once=", "--at-once=0", "--at-once=10", "extra"} {
		if _, err := parseOptions([]string{bad}, io.Discard); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestLedgersDoNotMindTheOrder(t *testing.T) {
	t.Parallel()
	fill := func(records ...string) ledger {
		l := ledger{}
		for _, r := range records {
			machine, _, _ := strings.Cut(r, " ")
			l.add(machine, []byte(r))
		}
		return l
	}
	want := fill("a 1", "a 2", "b 1")
	if err := differ("findings", want, fill("b 1", "a 2", "a 1")); err != nil {
		t.Error(err)
	}
	for name, got := range map[string]ledger{
		"missing": fill("a 1", "b 1"), "twice": fill("a 1", "a 2", "a 2", "b 1"), "changed": fill("a 1", "a 3", "b 1"), "swapped": fill("a 1", "a 1", "b 1"),
		"other machine": fill("a 1", "a 2", "c 1"), "none": fill(),
	} {
		if err := differ("findings", want, got); err == nil {
			t.Errorf("%s: no difference is seen", name)
		}
	}
}

func TestMachineOf(t *testing.T) {
	t.Parallel()
	if got, err := machineOf([]byte(`{"source_id":"0a1b","cve":"CVE-1"}`)); got != "0a1b" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{``, `{"cve":"CVE-1"}`, `{"source_id":"0a1b`} {
		if _, err := machineOf([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestFiguresTellEachDifference(t *testing.T) {
	t.Parallel()
	var f figures
	skipped := map[string]int{"vector_local": 2, "gone": 1}
	f.tally("rows", 10, 7, skipped, api.StageDiagnostics{Fetched: 10, Accepted: 6, Skipped: map[string]int64{"vector_local": 2, "new": 2}})
	if len(f) != 3 { // accepted, gone, new
		t.Errorf("%v", []error(f))
	}
}

func TestPgbenchScript(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	script, variables := pgbenchScript([]postgres.Statement{
		{Text: " select a::text from t where x = $1 and y > $2::timestamptz limit $10 ", Args: []any{int64(7), at}},
		{Text: "select $1", Args: []any{"{1,2}"}},
	})
	if script != "select a::text from t where x = :s1a1 and y > :s1a2::timestamptz limit :s1a10;\nselect :s2a1;\n" {
		t.Error(script)
	}
	want := []string{"--define=s1a1=7", "--define=s1a2=2026-01-02 02:04:05.000006+00", "--define=s2a1={1,2}"}
	if !slices.Equal(variables, want) {
		t.Error(variables)
	}
	once, anew := postgres.Statement{Scope: "set local app.tenant_id = '7'; set local a = 'off'; set local b = 'c_d'"}, postgres.Statement{Scope: "set local a = 'on'"}
	if settings := plannedAlike([]postgres.Statement{once, once}); !slices.Equal(settings, []string{"-c a=off", "-c b=c_d"}) {
		t.Error(settings)
	}
	if settings := plannedAlike([]postgres.Statement{once, anew}); settings != nil {
		t.Errorf("of two that differ: %v", settings)
	}
	if tps, err := parseTPS("latency average = 1.1 ms\ntps = 7123.456 (without initial connection time)\n"); tps != 7123.456 || err != nil {
		t.Errorf("%v, %v", tps, err)
	}
	if _, err := parseTPS("pgbench: error"); err == nil {
		t.Error("no rate is accepted")
	}
}

// TestPgbenchRunsAsTheServiceDoes has a script tell what it was called with.
func TestPgbenchRunsAsTheServiceDoes(t *testing.T) {
	t.Parallel()
	program, d := filepath.Join(t.TempDir(), "pgbench"), &database{url: "postgres://u@127.0.0.1/d"}
	const script = "#!/bin/sh\n[ \"$PGOPTIONS\" = '-c jit=off' ] || exit 1\nfor a; do case $a in --time=*) echo \"tps = ${a#--time=}\";; esac; done\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	for seconds, want := range map[float64]struct {
		turns int
		each  float64
	}{0.5: {1, 1}, 1: {1, 1}, 2.9: {1, 2}, 3: {3, 1}, 5: {3, 1}, 10: {3, 3}} {
		o := options{seconds: seconds, connections: 2}
		each, err := d.pgbench(t.Context(), pgPrograms{pgbench: program}, nil, o)
		if err != nil || each != want.each || o.turns() != want.turns {
			t.Errorf("%v seconds: %d turns of %v, %v", seconds, o.turns(), each, err)
		}
	}
}

func TestOneNoisyTurnDoesNotDecide(t *testing.T) {
	t.Parallel()
	got := middle([]report.Read{
		{Name: "n", Page: 1, Requests: 5, Rate: 100, P50: 1, P99: 9, Bytes: 7, TPS: 200}, {Name: "n", Page: 1, Requests: 1, Rate: 20, P50: 5, P99: 50, Bytes: 7, TPS: 210},
		{Name: "n", Page: 1, Requests: 4, Rate: 90, P50: 2, P99: 8, Bytes: 7, TPS: 10},
	})
	if want := (report.Read{Name: "n", Page: 1, Requests: 10, Rate: 90, P50: 2, P99: 9, Bytes: 7, TPS: 200}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestLibpqKeepsThePasswordOutOfArguments(t *testing.T) {
	t.Parallel()
	env, err := libpq("postgres://u:p%40ss@127.0.0.1:5433/d?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PGHOST=127.0.0.1", "PGPORT=5433", "PGUSER=u", "PGPASSWORD=p@ss", "PGDATABASE=d", "PGSSLMODE=disable", "PGOPTIONS=-c jit=off"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestWalkStopsAtAFullPage(t *testing.T) {
	t.Parallel()
	list := func(pages int) func(context.Context, string) (string, error) {
		return func(_ context.Context, cursor string) (string, error) {
			at := 1
			_, _ = fmt.Sscan(cursor, &at)
			if at == pages {
				return "", nil
			}
			return fmt.Sprint(at + 1), nil
		}
	}
	for _, c := range []struct {
		pages, page int
		cursor      string
	}{{1, 1, ""}, {2, 1, ""}, {3, 2, "2"}, {1000, 1000, "1000"}, {5000, 1000, "1000"}} {
		if page, cursor, err := walk(t.Context(), list(c.pages)); page != c.page || cursor != c.cursor || err != nil {
			t.Errorf("of %d pages: page %d at %q, %v", c.pages, page, cursor, err)
		}
	}
}

func TestRepeatCountsAnswers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer k" || r.URL.Query().Get("limit") != "50" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 5000))
	}))
	defer server.Close()
	l, err := repeat(t.Context(), server.URL+"/v1/findings?limit=50", "k", 2, 100*time.Millisecond)
	if err != nil || l.requests < 2 || l.rate <= 0 || l.size != 5000 || l.p50 > l.p99 {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := repeat(t.Context(), server.URL, "k", 2, 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a refusal: %v", err)
	}
}

func TestPercentilesAndMedian(t *testing.T) {
	t.Parallel()
	var list []time.Duration
	for i := range 200 {
		list = append(list, time.Duration(i+1))
	}
	if p50, p99 := percentile(list, 50), percentile(list, 99); p50 != 100 || p99 != 198 || percentile(list[:1], 99) != 1 {
		t.Errorf("%d, %d", p50, p99)
	}
	if median([]float64{3, 1, 2}) != 2 || median([]float64{4, 1, 3, 2}) != 2.5 {
		t.Error("median")
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g := grouped([]*api.Run{
		{CreatedAt: at.Add(time.Second), FinishedAt: at.Add(3 * time.Second)}, {CreatedAt: at, FinishedAt: at.Add(time.Second)},
	})
	if g.Median != 1.5 || g.Longest != 2 || g.Makespan != 3 {
		t.Errorf("%+v", g)
	}
}

// TestStatementsFitTheSchema plans what this program asks by itself, and reads a finding back as the simulator writes it.
func TestStatementsFitTheSchema(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("postgres", postgrestest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, statement := range []string{fmt.Sprintf("explain "+narrow, 1), fmt.Sprintf("explain "+joined, 1), narrowTable} {
		if _, err := db.Exec(statement); err != nil {
			t.Errorf("%v:\n%s", err, statement)
		}
	}
	if _, err := db.Exec(`
		insert into tenant (public_id, name) values (gen_random_uuid(), 'T');
		insert into integration (tenant_id, public_id, type, name, directory_id, client_id, settings, interval_hours, state)
		values (1, gen_random_uuid(), 'microsoft-defender', 'I', gen_random_uuid(), gen_random_uuid(), '{}', 6, 'active');
		insert into vulnerability (name) values ('CVE-2026-1');
		insert into software (vendor, product, version) values ('b', 'x', '1'), ('a&b', 'y', '2');
		insert into asset (tenant_id, public_id, integration_id, source_id, hostname, name_kind, primary_ip, os_family, state, content_hash)
		values (1, gen_random_uuid(), 1, 'm1', 'web', 'short', '10.0.0.1', 'linux', 'active', '');
		insert into finding (tenant_id, asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, state, first_seen_at, created_at, updated_at)
		values (1, 1, 1, '{1,2}', 4, 4, 1, 1, now(), now(), now())`); err != nil {
		t.Fatal(err)
	}
	d := &database{db: db}
	got, want := ledger{}, ledger{}
	if err := d.stored(1).findings(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	want.add("m1", []byte(`{"source_id":"m1","cve":"CVE-2026-1","severity":"critical","attack_vector":"network","software":["a\u0026b/y/2","b/x/1"]}`))
	if err := differ("findings", want, got); err != nil {
		t.Error(err)
	}
	assets, wanted := ledger{}, ledger{}
	if err := d.stored(1).assets(t.Context(), assets); err != nil {
		t.Fatal(err)
	}
	wanted.add("m1", []byte(`{"source_id":"m1","hostname":"web","primary_ip":"10.0.0.1","name_kind":"short","os_family":"linux"}`))
	if err := differ("assets", wanted, assets); err != nil {
		t.Error(err)
	}
	for _, change := range []string{"state = 2", "state = 3", "severity = 3", "software_ids = '{1}'"} {
		if _, err := db.Exec("update finding set state = 1, severity = 4, software_ids = '{1,2}'; update finding set " + change); err != nil {
			t.Fatal(err)
		}
		changed, stored := ledger{}, d.stored(1)
		if err := stored.findings(t.Context(), changed); err != nil {
			t.Fatal(err)
		}
		if differ("findings", want, changed) == nil || (stored.fixed == 1) != (change == "state = 2") {
			t.Errorf("%s is not seen, %d are fixed", change, stored.fixed)
		}
	}
}

// TestTheSimulatorsLinesAreUnderstood keeps the first member of its records the machine.
func TestTheSimulatorsLinesAreUnderstood(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cat := world.NewCatalogue(1, 200, time.Now())
		state := world.NewState(world.New(cat, world.Spec{Seed: 1, Domain: "example.com", Machines: 5, FindingsPerMachine: 4}))
		for f := range state.Findings() {
			_ = json.NewEncoder(w).Encode(f)
		}
	}))
	defer server.Close()
	s := &simulator{control: server.URL, main: newDirectory(0)}
	l := ledger{}
	if err := s.truthLines(t.Context(), s.main, "findings", l); err != nil || len(l) == 0 || l.records() < 5 {
		t.Errorf("%d machines, %d findings, %v", len(l), l.records(), err)
	}
}
