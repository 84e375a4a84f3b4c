//go:build soak

package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

const (
	killDirectory = "5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7a01"
	killClient    = "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a01"
	killSecret    = "abc8Q~simulatedSecretValue0123456789abcd"
	killPatience  = time.Minute // for whatever should happen next
)

// TestKilledAnywhere kills the service with SIGKILL at random moments of its syncs while the directory changes, and then
// lets one sync end. The tables must equal what an undisturbed import holds, and no run may be left behind.
// KILLS sets how often (default 25), KILL_SEED the moments.
func TestKilledAnywhere(t *testing.T) {
	kills, seed := setting("KILLS", 25), uint64(setting("KILL_SEED", 1))
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	s := newVictim(t)
	for kill := range kills {
		s.start()
		s.changeWorld(random, kill)
		s.requestRun()
		moment := time.Duration(random.IntN(7500)) * time.Millisecond
		time.Sleep(moment) // the moment of death is the point of this test
		s.kill()
		t.Logf("kill %d after %v", kill+1, moment)
	}
	s.start()
	s.awaitIdle()
	s.requestRun()
	s.awaitIdle()
	s.mustEqualTruth()
	s.stop()
}

// victim is the service as a process, with a simulator and a database that outlive it.
type victim struct {
	t        *testing.T
	binary   string
	env      []string
	dsn, url string
	spool    string
	sim      *defendersim.Simulator
	api      *api.Client
	process  *exec.Cmd
	linked   string
}

func newVictim(t *testing.T) *victim {
	s := &victim{t: t, dsn: postgrestest.URL(t), spool: t.TempDir()}
	s.sim = defendersim.New(defendersim.Config{CatalogueSize: 2000, NoQuotas: true})
	findings := 40
	if err := s.sim.AddDirectory(defendersim.DirectorySpec{ID: killDirectory, Machines: 400, FindingsPerMachine: &findings, Apps: []defendersim.App{{
		ClientID: killClient, Secret: killSecret, SecretExpiresAt: time.Now().AddDate(1, 0, 0),
		Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead},
	}}}); err != nil {
		t.Fatal(err)
	}
	microsoft := httptest.NewServer(s.sim.Handler())
	t.Cleanup(microsoft.Close)
	dir := t.TempDir()
	s.binary = filepath.Join(dir, "defenderd")
	if out, err := exec.Command("go", "build", "-o", s.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	address := freeAddress(t)
	s.url = "http://" + address
	s.env = append(os.Environ(), "DEFENDERD_DATABASE_URL="+s.dsn, "DEFENDERD_KEYRING=k:"+base64.StdEncoding.EncodeToString(key),
		"DEFENDERD_LISTEN="+address, "DEFENDERD_ADMIN_LISTEN=127.0.0.1:0", "DEFENDERD_LOGIN_URL="+microsoft.URL, "DEFENDERD_API_URL="+microsoft.URL,
		"DEFENDERD_UNSAFE_TEST_UPSTREAM=true", "DEFENDERD_UNSAFE_NO_CALL_LIMITS=true", "DEFENDERD_LEASE=5s", "DEFENDERD_HEARTBEAT=500ms", "DEFENDERD_POLL=200ms",
		"DEFENDERD_SPOOL_DIR="+s.spool, "DEFENDERD_CATALOGUE_MAX_AGE=1s", "DEFENDERD_ROWS_PAGE_SIZE=2000",
		"DEFENDERD_REMOVAL_MISSES=1", "DEFENDERD_RATE_TENANT=0", "DEFENDERD_RATE_CREDENTIAL=0", "DEFENDERD_RATE_ADDRESS=0", "DEFENDERD_VALIDATION_RATE=0")
	tenant := field(s.command("tenant", "create", "--name", "Contoso", "--internal-assessments"), "tnt_")
	s.api = api.New(s.url, field(s.command("api-key", "create", "--tenant", tenant, "--name", "ops", "--role", "admin", "--expires", "1d"), "pgpd_"))
	s.start()
	i, err := s.api.ConnectIntegration(t.Context(), api.ConnectRequest{Type: "microsoft-defender", Credentials: api.CredentialsInput{
		TenantID: killDirectory, ClientID: killClient, ClientSecret: api.Secret(killSecret),
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.linked = i.ID
	s.kill()
	return s
}

func (s *victim) command(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(s.binary, args...)
	cmd.Env = s.env
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		_ = errors.As(err, &exit)
		s.t.Fatalf("%v: %v\n%s", args, err, exit.Stderr)
	}
	return string(out)
}

func field(text, prefix string) string {
	for _, word := range strings.Fields(text) {
		if strings.HasPrefix(word, prefix) {
			return word
		}
	}
	return ""
}

func (s *victim) start() {
	s.t.Helper()
	s.launch()
	s.until("the API answers", func() bool { _, err := s.api.GetTenant(s.t.Context()); return err == nil })
}

// launch starts the service and does not wait for it.
func (s *victim) launch() {
	s.t.Helper()
	s.process = exec.Command(s.binary, "serve")
	s.process.Env = s.env
	s.process.Stderr = os.Stderr
	if os.Getenv("KILL_QUIET") != "" {
		s.process.Stderr = nil
	}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *victim) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

func (s *victim) stop() {
	_ = s.process.Process.Signal(os.Interrupt)
	if err := s.process.Wait(); err != nil {
		s.t.Errorf("the last process ended with %v", err)
	}
}

func (s *victim) until(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(killPatience); !done(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("gave up waiting: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// requestRun asks for a run unless one is active.
func (s *victim) requestRun() {
	s.t.Helper()
	if _, err := s.api.StartRun(s.t.Context(), s.linked, api.StartRunRequest{}); err != nil && !api.HasCode(err, api.CodeRunInProgress) {
		s.t.Fatal(err)
	}
}

func (s *victim) awaitIdle() {
	s.t.Helper()
	s.until("no run is active", func() bool {
		runs, err := s.api.ListRuns(s.t.Context(), api.ListRunsOptions{State: []api.RunState{api.RunQueued, api.RunRunning, api.RunCancelling}})
		return err == nil && len(runs.Items) == 0
	})
}

func (s *victim) changeWorld(random *mathrand.Rand, turn int) {
	s.t.Helper()
	from := random.IntN(380)
	machine := random.IntN(380)
	changes := []world.Change{
		{Op: "remove_machines", From: from, To: from + random.IntN(15)}, {Op: "restore_machines", From: from, To: 400},
		{Op: "exclude_machine", Machine: &machine}, {Op: "include_machine", Machine: &machine},
		{Op: "remove_findings", Machine: &machine}, {Op: "restore_findings", Machine: &machine},
		{Op: "rename_machine", Machine: &machine, Hostname: fmt.Sprintf("renamed-%d.example.com", turn)},
	}
	if err := s.sim.Change(killDirectory, changes[random.IntN(len(changes))]); err != nil {
		s.t.Logf("the world stays as it is: %v", err)
	}
}

// mustEqualTruth compares the tables with the simulator row by row, and the counters with a recount.
func (s *victim) mustEqualTruth() {
	s.t.Helper()
	db := s.database()
	defer db.Close()
	state, _ := s.sim.State(killDirectory)
	var assets, findings []string
	for a := range state.Assets() {
		assets = append(assets, a.SourceID+" "+a.Hostname+" "+a.PrimaryIP)
	}
	for f := range state.Findings() {
		findings = append(findings, f.SourceID+" "+f.CVE+" "+f.Severity)
	}
	same(s.t, "assets", texts(s.t, db, `select source_id || ' ' || hostname || ' ' || host(primary_ip) from asset where state in ('active', 'inactive')`), assets)
	same(s.t, "findings", texts(s.t, db, `
		select a.source_id || ' ' || v.name || ' ' || (array['unknown', 'low', 'medium', 'high', 'critical'])[f.severity + 1]
		from finding f join asset a on a.tenant_id = f.tenant_id and a.id = f.asset_id join vulnerability v on v.id = f.vulnerability_id
		where f.state = 1`), findings)
	for what, query := range map[string]string{
		"runs without an end":         `select public_id::text from run where state in ('queued', 'running', 'cancelling')`,
		"jobs":                        `select id::text from job where state <> 'dead'`,
		"counters of assets":          `select a.id::text from asset a where open_critical + open_high + open_medium + open_low + open_unknown <> (select count(*) from finding f where f.tenant_id = a.tenant_id and f.asset_id = a.id and f.state = 1)`,
		"counters of vulnerabilities": `select e.vulnerability_id::text from exposure e where open_assets <> (select count(*) from finding f where f.tenant_id = e.tenant_id and f.vulnerability_id = e.vulnerability_id and f.state = 1)`,
		"assets nobody finds":         `select a.id::text from asset a where not exists (select from asset_word w where w.tenant_id = a.tenant_id and w.asset_id = a.id and w.word = regexp_replace(host(a.primary_ip), '[.:]+', ' ', 'g') || ' ')`,
		"words of no asset":           `select w::text from asset_word w where not exists (select from asset a where a.tenant_id = w.tenant_id and a.id = w.asset_id)`,
		"twins":                       `select source_id from asset group by tenant_id, integration_id, source_id having count(*) > 1`,
		"reservations":                `select source from catalogue_read where lease_until is not null`,
	} {
		if left := texts(s.t, db, query); len(left) > 0 {
			s.t.Errorf("%s: %v", what, left[:min(5, len(left))])
		}
	}
}

func texts(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if slices.Equal(got, want) {
		t.Logf("%d %s, all as they should be", len(got), what)
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: %d, want %d; the first difference is %q, want %q", what, len(got), len(want), got[i], want[i])
			return
		}
	}
	t.Errorf("%s: %d, want %d", what, len(got), len(want))
}

func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}
