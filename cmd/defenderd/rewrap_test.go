package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/kms/kmstest"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
)

// rewrapTenants is how many tenants, and so data keys, the integrations are spread over.
const rewrapTenants = 10

// TestKeysAreReplacedUnderLoad moves every integration from the keyring to a key service and to new data keys, while
// requests and syncs go on, with a kill of the command in its middle. No request fails, nothing stays on an old key, and
// everything works once the old keys are gone. REWRAP_INTEGRATIONS sets how many there are.
func TestKeysAreReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	older, newer := seal.NewKey().Reveal(), seal.NewKey().Reveal()
	f := newFleet(t, older)
	f.serve("DEFENDERD_KEYRING=" + older)
	f.connect()
	f.stop()

	settings := append(vaultSettings(t, kmstest.New()), "DEFENDERD_KEYRING="+newer+"\n"+older)
	f.serve(settings...)
	stopLoad := f.load()
	f.killReseal(settings)
	for range 2 { // the second gives each tenant a third data key
		f.run(settings, "keyring", "reseal", "--new-data-keys")
	}
	requests, failed := stopLoad()
	if failed != nil || requests < len(f.links) {
		t.Errorf("%d requests, of which failed: %v", requests, failed)
	}
	f.stop()
	f.mustHold("data keys", rewrapTenants, `select count(*) from tenant_key where kek = 'hashivault://transit/defender#v1' and number = 3`)
	f.mustHold("other data keys", 0, `select count(*) from tenant_key where kek not like 'hashivault:%' or number <> 3`)
	f.mustHold("secrets on old keys", 0, `select count(*) from integration where substring(secret_box for 3) <> '\x020133'`)

	f.mustHold("API keys on the old key", 0, `select count(*) from api_key where position('`+idOf(newer)+`'::bytea in box) <> 3`)

	f.serve(append(settings[:2:2], "DEFENDERD_KEYRING="+newer)...)
	for _, l := range f.links {
		if v, err := l.client.ValidateIntegration(t.Context(), l.id); err != nil || !v.OK {
			t.Fatalf("%s without the old keys: %+v, %v", l.id, v, err)
		}
	}
	t.Logf("%d integrations, %d requests meanwhile", len(f.links), requests)
}

// fleet is the service as a process, with many integrations.
type fleet struct {
	t       *testing.T
	binary  string
	environ []string
	url     string
	owner   *sql.DB
	size    int
	process *exec.Cmd
	api     string
	clients []*api.Client
	keys    []string
	links   []link
}

type link struct {
	client *api.Client
	id     string
}

func newFleet(t *testing.T, keyring string) *fleet {
	f := &fleet{t: t, binary: builtBinary(t), url: postgrestest.URL(t), size: 100}
	if text := os.Getenv("REWRAP_INTEGRATIONS"); text != "" {
		var err error
		if f.size, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	f.owner = ownerOf(t, f.url)
	none := 0
	sim := defendersim.New(defendersim.Config{CatalogueSize: 10, NoQuotas: true})
	for n := range f.size {
		if err := sim.AddDirectory(defendersim.DirectorySpec{ID: directoryOf(n), Machines: 1, FindingsPerMachine: &none, Apps: []defendersim.App{{
			ClientID: resealClient, Secret: resealSecret, Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead},
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	microsoft := httptest.NewServer(sim.Handler())
	t.Cleanup(microsoft.Close)
	f.environ = []string{
		"DEFENDERD_DATABASE_URL=" + f.url, "DEFENDERD_LOGIN_URL=" + microsoft.URL, "DEFENDERD_API_URL=" + microsoft.URL,
		"DEFENDERD_UNSAFE_TEST_UPSTREAM=true", "DEFENDERD_UNSAFE_NO_CALL_LIMITS=true", "DEFENDERD_LISTEN=127.0.0.1:0", "DEFENDERD_ADMIN_LISTEN=127.0.0.1:0",
		"DEFENDERD_SPOOL_DIR=" + t.TempDir(), "DEFENDERD_POLL=200ms",
		"DEFENDERD_RATE_TENANT=0", "DEFENDERD_RATE_CREDENTIAL=0", "DEFENDERD_RATE_ADDRESS=0", "DEFENDERD_VALIDATION_RATE=0",
	}
	operator := append(f.environ[:len(f.environ):len(f.environ)], "DEFENDERD_KEYRING="+keyring)
	for range rewrapTenants {
		made := decode[tenantView](t, must(t, operator, "tenant", "create", "--name", "Contoso", "--internal-assessments", "-o", "json"))
		f.keys = append(f.keys, decode[keyView](t, must(t, operator, "api-key", "create", "--tenant", made.ID, "--name", "a", "--role", "admin", "-o", "json")).Key)
	}
	return f
}

// idOf is the id of a key of a keyring.
func idOf(line string) string {
	id, _, _ := strings.Cut(line, ":")
	return id
}

func directoryOf(n int) string { return fmt.Sprintf("5a1e5b0c-0c8e-4d1c-9a52-%012x", n+1) }

func (f *fleet) serve(settings ...string) {
	f.t.Helper()
	out := &lines{serving: make(chan map[string]any, 1)}
	f.process = exec.Command(f.binary, "serve")
	f.process.Env, f.process.Stderr = append(f.environ[:len(f.environ):len(f.environ)], settings...), out
	if err := f.process.Start(); err != nil {
		f.t.Fatal(err)
	}
	process := f.process.Process
	f.t.Cleanup(func() { _ = process.Kill() })
	select {
	case entry := <-out.serving:
		f.api = "http://" + entry["api"].(string)
	case <-time.After(patience):
		f.t.Fatalf("the service did not start\n%s", out)
	}
	f.clients = nil
	for _, key := range f.keys {
		f.clients = append(f.clients, api.New(f.api, key))
	}
	for n := range f.links {
		f.links[n].client = f.clients[n%rewrapTenants]
	}
}

func (f *fleet) stop() {
	f.t.Helper()
	if err := errors.Join(f.process.Process.Signal(syscall.SIGTERM), f.process.Wait()); err != nil {
		f.t.Errorf("the service ended with %v", err)
	}
}

func (f *fleet) connect() {
	f.t.Helper()
	for n := range f.size {
		client := f.clients[n%rewrapTenants]
		i, err := client.ConnectIntegration(f.t.Context(), api.ConnectRequest{Type: api.TypeMicrosoftDefender, Credentials: api.CredentialsInput{
			TenantID: directoryOf(n), ClientID: resealClient, ClientSecret: resealSecret,
		}})
		if err != nil {
			f.t.Fatal(err)
		}
		f.links = append(f.links, link{client, i.ID})
	}
}

// load sends requests that read, check and replace secrets, and starts syncs, until it is told to stop. The last integration is
// left alone, for the test holds it.
func (f *fleet) load() (stop func() (requests int, failed error)) {
	ctx, cancel := context.WithCancel(f.t.Context())
	var done atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for worker := range errs {
		wg.Go(func() {
			for n := worker; ctx.Err() == nil && errs[worker] == nil; n += len(errs) {
				l := f.links[n%(len(f.links)-1)]
				if err := l.use(ctx, n/len(f.links)); err != nil && ctx.Err() == nil {
					errs[worker] = fmt.Errorf("request %d: %w", n, err)
				}
				done.Add(1)
			}
		})
	}
	return func() (int, error) {
		cancel()
		wg.Wait()
		return int(done.Load()), errors.Join(errs...)
	}
}

func (l link) use(ctx context.Context, turn int) error {
	switch turn % 4 {
	case 0:
		v, err := l.client.ValidateIntegration(ctx, l.id)
		if err == nil && !v.OK {
			err = fmt.Errorf("the credentials do not work: %+v", v.Checks)
		}
		return err
	case 1:
		_, err := l.client.RotateIntegrationSecret(ctx, l.id, api.RotateSecretRequest{ClientSecret: resealSecret})
		return err
	case 2:
		_, err := l.client.StartRun(ctx, l.id, api.StartRunRequest{})
		if api.HasCode(err, api.CodeRunInProgress) {
			return nil
		}
		return err
	}
	_, err := l.client.GetIntegration(ctx, l.id)
	return err
}

// killReseal ends the command with SIGKILL when it is at the last integration, which is locked for that.
func (f *fleet) killReseal(settings []string) {
	f.t.Helper()
	tx, err := f.owner.Begin()
	if err != nil {
		f.t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing is written
	if _, err := tx.Exec(`select from integration order by id desc limit 1 for update`); err != nil {
		f.t.Fatal(err)
	}
	cmd := f.command(settings, "keyring", "reseal", "--new-data-keys")
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	const left = `select count(*) from integration where substring(secret_box for 3) <> '\x020132'`
	look, deadline := time.NewTicker(10*time.Millisecond), time.Now().Add(2*time.Minute)
	defer look.Stop()
	for f.count(left) != 1 {
		if time.Now().After(deadline) {
			f.t.Fatal("the command did not come to the locked row")
		}
		<-look.C
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	f.mustHold("secrets left on old keys by the kill", 1, left)
}

func (f *fleet) command(settings []string, args ...string) *exec.Cmd {
	cmd := exec.Command(f.binary, args...)
	cmd.Env = append(f.environ[:len(f.environ):len(f.environ)], settings...)
	return cmd
}

func (f *fleet) run(settings []string, args ...string) {
	f.t.Helper()
	cmd := f.command(settings, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = io.Discard, &said
	if err := cmd.Run(); err != nil {
		f.t.Fatalf("%v: %v\n%s", args, err, said.String())
	}
}

func (f *fleet) count(query string) (n int) {
	f.t.Helper()
	if err := f.owner.QueryRow(query).Scan(&n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

func (f *fleet) mustHold(what string, want int, query string) {
	f.t.Helper()
	if got := f.count(query); got != want {
		f.t.Errorf("%s: %d, want %d", what, got, want)
	}
}
