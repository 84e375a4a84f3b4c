//go:build soak

package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
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
	s.recover()
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
	tenant   string
	linked   string
}

// scene is what is different of a victim's settings and of its Microsoft.
type scene struct {
	env    []string
	files  int                 // that the report is exported to; 0 means as many as the simulator makes by itself
	page   int                 // most records of a page of a list; 0 means Microsoft's figures
	plain  bool                // without edge cases
	always []defendersim.Fault // of the whole life
}

// newVictim connects the directory and leaves its first sync in the queue.
func newVictim(t *testing.T, of ...scene) *victim {
	s, own := &victim{t: t, dsn: postgrestest.URL(t), spool: t.TempDir()}, scene{}
	if len(of) > 0 {
		own = of[0]
	}
	s.sim = defendersim.New(defendersim.Config{CatalogueSize: 2000, NoQuotas: true, Switches: defendersim.Switches{ListPage: own.page}})
	directory := defendersim.DirectorySpec{ID: killDirectory, Machines: 400, FindingsPerMachine: new(40), EdgeCases: new(!own.plain), Apps: []defendersim.App{{
		ClientID: killClient, Secret: killSecret, SecretExpiresAt: time.Now().AddDate(1, 0, 0),
		Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead},
	}}}
	if own.files > 0 {
		directory.ExportFiles = &own.files
	}
	if err := s.sim.AddDirectory(directory); err != nil {
		t.Fatal(err)
	}
	for _, f := range own.always {
		if _, err := s.sim.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	microsoft := httptest.NewServer(s.sim.Handler())
	t.Cleanup(microsoft.Close)
	s.binary = builtBinary(t)
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	address := freeAddress(t)
	s.url = "http://" + address
	s.env = append(os.Environ(), "DEFENDERD_DATABASE_URL="+s.dsn, "DEFENDERD_KEYRING=k:"+base64.StdEncoding.EncodeToString(key),
		"DEFENDERD_LISTEN="+address, "DEFENDERD_ADMIN_LISTEN=127.0.0.1:0", "DEFENDERD_LOGIN_URL="+microsoft.URL, "DEFENDERD_API_URL="+microsoft.URL,
		"DEFENDERD_UNSAFE_TEST_UPSTREAM=true", "DEFENDERD_UNSAFE_NO_CALL_LIMITS=true", "DEFENDERD_LEASE=5s", "DEFENDERD_HEARTBEAT=500ms", "DEFENDERD_POLL=200ms",
		"DEFENDERD_SPOOL_DIR="+s.spool, "DEFENDERD_CATALOGUE_MAX_AGE=1s", "DEFENDERD_ROWS_PAGE_SIZE=2000",
		"DEFENDERD_REMOVAL_MISSES=1", "DEFENDERD_RATE_TENANT=0", "DEFENDERD_RATE_CREDENTIAL=0", "DEFENDERD_RATE_ADDRESS=0", "DEFENDERD_VALIDATION_RATE=0")
	s.env = append(s.env, own.env...)
	s.tenant = field(s.command("tenant", "create", "--name", "Contoso", "--internal-assessments"), "tnt_")
	s.api = api.New(s.url, field(s.command("api-key", "create", "--tenant", s.tenant, "--name", "ops", "--role", "admin", "--expires", "1d"), "pgpd_"))
	whole := s.env
	s.env = append(slices.Clone(whole), "DEFENDERD_ROLES=http") // nobody begins the first sync before it is watched
	s.start()
	i, err := s.api.ConnectIntegration(t.Context(), api.ConnectRequest{Type: "microsoft-defender", Credentials: api.CredentialsInput{
		TenantID: killDirectory, ClientID: killClient, ClientSecret: api.Secret(killSecret),
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.linked = i.ID
	s.kill()
	s.env = whole
	return s
}

func (s *victim) command(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(s.binary, args...)
	cmd.Env = s.env
	out, err := cmd.Output()
	if err != nil {
		if exit, ended := errors.AsType[*exec.ExitError](err); ended {
			out = append(out, exit.Stderr...)
		}
		s.t.Fatalf("%v: %v\n%s", args, err, out)
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

func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}
