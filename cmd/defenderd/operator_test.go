package main

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
	"pgp.internal/defender/migrations"
)

// seedSealed stores an integration whose secret is sealed with the key.
func seedSealed(t *testing.T, url, key string) {
	t.Helper()
	ring, err := seal.ParseRing(key)
	if err != nil {
		t.Fatal(err)
	}
	box, err := ring.Seal(seal.NewSecret("s"), "anywhere")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close() //nolint:errcheck // a test's own connection
	_, err = owner.Exec(`
		with t as (insert into tenant (public_id, name) values (gen_random_uuid(), 'a') returning id)
		insert into integration (tenant_id, public_id, type, name, directory_id, client_id, secret_box, settings, interval_hours, state)
		select id, gen_random_uuid(), 'microsoft-defender', 'x', gen_random_uuid(), gen_random_uuid(), $1, '{}', 24, 'paused' from t`, []byte(box))
	if err != nil {
		t.Fatal(err)
	}
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestTenantAndKeyFromNothingToRevoked(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	s := start(t, environ, "--roles", "http")
	made := decode[tenantView](t, must(t, environ, "tenant", "create", "--name", "Contoso", "--valid-until", "2031-12-31", "-o", "json"))
	if made.InternalAssessments || made.ValidUntil != "2031-12-31" || made.State != "active" {
		t.Errorf("made: %+v", made)
	}
	entitled := decode[tenantView](t, must(t, environ, "tenant", "entitle", "-o", "json", "--internal-assessments", "--max-assets", "7", made.ID))
	if !entitled.InternalAssessments || entitled.MaxAssets != 7 || entitled.ValidUntil != "2031-12-31" {
		t.Errorf("entitled: %+v", entitled)
	}
	key := decode[keyView](t, must(t, environ, "api-key", "create", "--tenant", made.ID, "--name", "ops", "--role", "readonly", "--expires", "90d", "-o", "json"))
	year := decode[keyView](t, must(t, environ, "api-key", "create", "--tenant", made.ID, "--name", "year", "--role", "readonly", "-o", "json"))
	if life := time.Until(year.ExpiresAt); life > tenant.MaxKeyLife || life < tenant.MaxKeyLife-patience {
		t.Errorf("a key lives %v", life)
	}
	must(t, environ, "api-key", "revoke", "--tenant", made.ID, year.ID)
	client := api.New(s.api, key.Key)
	got, err := client.GetTenant(t.Context())
	if err != nil || got.ID != made.ID || got.Name != "Contoso" {
		t.Fatalf("the key opens %+v, %v", got, err)
	}
	if list := must(t, environ, "api-key", "list", "--tenant", made.ID); strings.Contains(list, key.Key) || !strings.Contains(list, key.ID) {
		t.Errorf("the list shows the key itself, or not its id:\n%s", list)
	}
	for _, to := range []string{"apart", "shared"} {
		placed := decode[[]placementView](t, must(t, environ, "tenant", "placement", made.ID, "--move", to, "-o", "json"))
		if len(placed) != 1 || placed[0].ID != made.ID || placed[0].Shared != (to == "shared") {
			t.Errorf("moved %s: %+v", to, placed)
		}
	}
	if table := must(t, environ, "tenant", "placement"); !strings.Contains(table, made.ID) || !strings.Contains(table, "finding_shared") {
		t.Errorf("placements:\n%s", table)
	}
	if differences := decode[[]differenceView](t, must(t, environ, "tenant", "audit", made.ID, "-o", "json")); len(differences) != 0 {
		t.Errorf("audit: %+v", differences)
	}
	must(t, environ, "tenant", "suspend", made.ID)
	if _, err := client.GetTenant(t.Context()); err == nil {
		t.Error("a suspended tenant is served")
	}
	must(t, environ, "tenant", "resume", made.ID)
	if _, err := client.GetTenant(t.Context()); err != nil {
		t.Errorf("after resume: %v", err)
	}
	must(t, environ, "api-key", "revoke", "--tenant", made.ID, key.ID)
	if _, err := client.GetTenant(t.Context()); !api.HasCode(err, api.CodeUnauthenticated) {
		t.Errorf("a revoked key: %v", err)
	}
	if keys := decode[[]keyView](t, must(t, environ, "api-key", "list", "--tenant", made.ID, "-o", "json")); len(keys) != 0 {
		t.Errorf("%d keys are left", len(keys))
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	none := "tnt_0123456789abcdef0123456789abcdef"
	for _, line := range []string{
		"srve", "help nonsense", "help tenant nonsense", "tenant creat", "serve extra", "serve --lese 1m", "tenant create --name=", "tenant create --name a\u200bb", "api-key create --role admin --tenant " + none + " --name \u202ea", "tenant create --name a --valid-until soon",
		"tenant create --name a --valid-from 2027-01-02 --valid-until 2027-01-01", "tenant entitle", "tenant entitle x", "tenant suspend a b",
		"tenant update " + none + " --name=", "tenant update " + none + " --max-integrations=-1", "tenant update " + none + " --account a\u00e4", "tenant delete", "tenant list --state gone", "tenant placement --move apart", "tenant placement " + none + " --move away", "tenant audit",
		"api-key create --tenant " + none + " --name a --role root", "api-key create --tenant " + none + " --name a --role admin --expires 366d",
		"api-key create --tenant " + none + " --name a --role admin --expires 99999999999999999999d",
		"api-key revoke --tenant " + none + " nonsense", "migrate sideways", "migrate down", "migrate down 0", "migrate force", "migrate force x", "migrate force 1 2", "keyring new --id UPPER",
		"audit list extra", "audit list --limit 0", "audit list --action made", "audit list --outcome well", "audit list --from yesterday", "audit list --tenant x", "demo --machines 0", "version -o yaml",
	} {
		_, err := invoke(t, nil, strings.Fields(line)...)
		if err == nil {
			t.Errorf("%s: accepted", line)
			continue
		}
		if out := err.Error(); strings.Contains(out, "\n") || strings.Contains(out, "No help topic") {
			t.Errorf("%s: more than a line: %s", line, out)
		}
	}
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "keyring")
	must(t, nil, "keyring", "new", "--id", "2027-01", "--out", name)
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := invoke(t, nil, "keyring", "new", "--out", name); err == nil {
		t.Error("an existing keyring was replaced")
	}
	if out := must(t, nil, "keyring", "check", "--file", name); !strings.Contains(out, "2027-01") {
		t.Error(out)
	}
	environ := environment(t)
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	line, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	seedSealed(t, url, string(line))
	if out := must(t, environ, "keyring", "check", "--file", name, "-o", "json"); !strings.Contains(out, `"secrets": 1`) {
		t.Errorf("the stored secret does not count: %s", out)
	}
	if _, err := invoke(t, environ, "keyring", "check"); err == nil || !strings.Contains(err.Error(), "2027-01") {
		t.Errorf("a keyring without the key in use: %v", err)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	status := func() (s struct {
		Version, Latest uint
		State           string
	}) {
		return decode[struct {
			Version, Latest uint
			State           string
		}](t, must(t, environ, "migrate", "status", "-o", "json"))
	}
	latest := status().Latest
	if s := status(); s.Version != latest || s.State != "current" {
		t.Errorf("%+v", s)
	}
	out, err := invoke(t, environ, "migrate", "down", "1")
	if err == nil || !strings.Contains(out, losses[latest]) || status().Version != latest {
		t.Errorf("without --yes: %v\n%s", err, out)
	}
	must(t, environ, "migrate", "down", "1", "--yes")
	if s := status(); s.Version != latest-1 {
		t.Errorf("%+v", s)
	}
	must(t, environ, "migrate")
	must(t, environ, "migrate", "up")
	if s := status(); s.Version != latest {
		t.Errorf("%+v", s)
	}
	if _, err := invoke(t, environ, "migrate", "down", "99", "--yes"); err == nil {
		t.Error("went back further than there are versions")
	}
}

func TestEachMigrationTellsItsLoss(t *testing.T) {
	t.Parallel()
	environ := environment(t)
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	status, err := postgres.SchemaStatus(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	files, err := migrations.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		number, _, _ := strings.Cut(file.Name(), "_")
		v, err := strconv.ParseUint(number, 10, 0)
		if err != nil || uint(v) > status.Latest {
			t.Errorf("%s: version %d of %d, %v", file.Name(), v, status.Latest, err)
		}
		if losses[uint(v)] == "" {
			t.Errorf("\"migrate down\" cannot tell what going back from version %d loses", v)
		}
	}
}
