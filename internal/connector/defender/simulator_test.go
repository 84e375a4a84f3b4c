package defender_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/secrethunt"
)

const (
	simDirectory = "11111111-aaaa-4aaa-8aaa-111111111111"
	simClient    = "22222222-bbbb-4bbb-8bbb-222222222222"
	simSecretID  = "33333333-cccc-4ccc-8ccc-333333333333"
	simSecret    = "aB3~x+/=%&.y-_Z0123456789"
)

type simulation struct {
	*defendersim.Simulator
	connector *defender.Connector
	log       *secrethunt.Log
}

// simulate starts a simulated Microsoft on a real socket and a connector for it.
func simulate(t *testing.T, change func(*defendersim.DirectorySpec, *defendersim.App)) simulation {
	t.Helper()
	findings := 10
	app := defendersim.App{ClientID: simClient, Secret: simSecret, SecretID: simSecretID, SecretExpiresAt: time.Now().Add(time.Hour),
		Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead}}
	spec := defendersim.DirectorySpec{ID: simDirectory, Domain: "contoso.com", Machines: 60, FindingsPerMachine: &findings}
	if change != nil {
		change(&spec, &app)
	}
	spec.Apps = []defendersim.App{app}
	sim := defendersim.New(defendersim.Config{Seed: 7, CatalogueSize: 600, Directory: &spec, NoQuotas: true, Switches: defendersim.Switches{ExtraFields: true}})
	hunt, log := secrethunt.New(), &secrethunt.Log{}
	srv := httptest.NewServer(hunt.Issuer(sim.Handler()))
	t.Cleanup(func() { hunt.Check(t, "log", log.String()) })
	t.Cleanup(srv.Close)
	t.Cleanup(sim.ClearFaults)
	c, err := defender.New(defender.Config{LoginURL: srv.URL, APIURL: srv.URL, AllowInsecure: true, Budget: defender.Unlimited{}, Pages: defender.Pages{Rows: 200, Batch: 64},
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Sleep:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	return simulation{sim, c, log}
}

func (s simulation) open() connector.Source {
	return s.connector.Open(connector.Credentials{DirectoryID: simDirectory, ClientID: simClient, Secret: seal.NewSecret(simSecret)})
}

func TestConnectFailuresOfTheHelpArticle(t *testing.T) {
	t.Parallel()
	type spec = defendersim.DirectorySpec
	type app = defendersim.App
	other := "44444444-dddd-4ddd-8ddd-444444444444"
	cases := map[string]struct {
		sim    func(*spec, *app)
		fault  *defendersim.Fault
		change func(*connector.Credentials)
		code   string
		step   string
	}{
		"all is well": {},
		"write access is ok": {sim: func(_ *spec, a *app) {
			a.Roles = []string{defendersim.RoleMachineReadWrite, defendersim.RoleVulnerabilityRead}
		}},
		"wrong secret":          {change: func(c *connector.Credentials) { c.Secret = seal.NewSecret("some~other.secret_0123456789") }, code: fault.CodeCredentialsInvalid, step: "token"},
		"expired secret":        {sim: func(_ *spec, a *app) { a.SecretExpiresAt = time.Now().Add(-time.Hour) }, code: fault.CodeSecretExpired, step: "token"},
		"secret id":             {change: func(c *connector.Credentials) { c.Secret = seal.NewSecret(simSecretID) }, code: fault.CodeSecretIDPasted, step: "token"},
		"unknown application":   {change: func(c *connector.Credentials) { c.ClientID = other }, code: fault.CodeApplicationNotFound, step: "token"},
		"unknown directory":     {change: func(c *connector.Credentials) { c.DirectoryID = other }, code: fault.CodeDirectoryNotFound, step: "token"},
		"ids swapped":           {change: func(c *connector.Credentials) { c.DirectoryID, c.ClientID = c.ClientID, c.DirectoryID }, code: fault.CodeDirectoryNotFound, step: "token"},
		"no service principal":  {sim: func(_ *spec, a *app) { a.NoServicePrincipal = true }, code: fault.CodeConsentMissing, step: "token"},
		"application disabled":  {sim: func(_ *spec, a *app) { a.Disabled = true }, code: fault.CodeApplicationDisabled, step: "token"},
		"conditional access":    {sim: func(_ *spec, a *app) { a.ConditionalAccessBlocked = true }, code: fault.CodeAccessBlocked, step: "token"},
		"not provisioned":       {sim: func(s *spec, _ *app) { s.NotProvisioned = true }, code: fault.CodeServiceNotEnabled, step: "token"},
		"resource disabled":     {sim: func(s *spec, _ *app) { s.ResourceDisabled = true }, code: fault.CodeServiceNotEnabled, step: "token"},
		"no consent":            {sim: func(_ *spec, a *app) { a.Roles = nil }, code: fault.CodeConsentMissing, step: "permissions"},
		"no machine role":       {sim: func(_ *spec, a *app) { a.Roles = []string{defendersim.RoleVulnerabilityRead} }, code: fault.CodePermissionMissing, step: "permissions"},
		"no vulnerability role": {sim: func(_ *spec, a *app) { a.Roles = []string{defendersim.RoleMachineRead} }, code: fault.CodePermissionMissing, step: "permissions"},
		"machines only":         {sim: func(s *spec, _ *app) { s.Licence = defendersim.LicenceMachinesOnly }, code: fault.CodeLicenceMissing, step: "vulnerabilities"},
		"no licence":            {sim: func(s *spec, _ *app) { s.Licence = defendersim.LicenceInactive }, code: fault.CodeLicenceMissing, step: "machines"},
		"no machines":           {sim: func(s *spec, _ *app) { no := false; s.Machines, s.EdgeCases, s.EmptyAs404 = 0, &no, true }},
		"login down":            {fault: &defendersim.Fault{Route: "token", Status: 503, Body: "html"}, code: fault.CodeUpstreamUnavailable, step: "token"},
		"API down":              {fault: &defendersim.Fault{Route: "machines", Status: 502, Body: "html"}, code: fault.CodeUpstreamUnavailable, step: "machines"},
		"login throttles":       {fault: &defendersim.Fault{Route: "token", Status: 429, RetryAfter: "60"}, code: fault.CodeUpstreamThrottled, step: "token"},
		"API resets":            {fault: &defendersim.Fault{Route: "vulnerabilities", ResetAfter: 10}, code: fault.CodeUpstreamUnavailable, step: "vulnerabilities"},
		"API talks nonsense":    {fault: &defendersim.Fault{Route: "machines", Status: 200, Body: "garbage"}, code: fault.CodeUpstreamUnexpected, step: "machines"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, tc.sim)
			if tc.fault != nil {
				if _, err := s.AddFault(*tc.fault); err != nil {
					t.Fatal(err)
				}
			}
			credentials := connector.Credentials{DirectoryID: simDirectory, ClientID: simClient, Secret: seal.NewSecret(simSecret)}
			if tc.change != nil {
				tc.change(&credentials)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			checks := s.connector.Open(credentials).Check(ctx, connector.Probe{Assets: true, Vulnerabilities: true})
			failed := slices.IndexFunc(checks, func(c connector.Check) bool { return c.Code != "" })
			switch {
			case tc.code == "" && failed >= 0:
				t.Fatalf("failed: %+v", checks[failed])
			case tc.code == "":
				return
			case failed < 0:
				t.Fatalf("nothing failed: %+v", checks)
			}
			if got := checks[failed]; got.Code != tc.code || got.Name != tc.step {
				t.Fatalf("%s at %s (%s), want %s at %s", got.Code, got.Name, got.Detail, tc.code, tc.step)
			}
		})
	}
}

func TestEverythingTheDirectoryHoldsIsRead(t *testing.T) {
	t.Parallel()
	s := simulate(t, nil)
	state, _ := s.State(simDirectory)
	for _, fault := range []*defendersim.Fault{
		nil, {Times: 1, Status: 500, PathPrefix: "/api"}, {Route: "software_vulnerabilities", After: 2, Times: 2, ResetAfter: 70_000},
		{Route: "software_vulnerabilities", Times: 1, TruncateAfter: 100_000}, {Route: "machines", Times: 2, ResetAfter: 40_000}, {PathPrefix: "/api", Times: 3, Status: 429, RetryAfter: "date:3s"},
	} {
		s.ClearFaults()
		if fault != nil {
			if _, err := s.AddFault(*fault); err != nil {
				t.Fatal(err)
			}
		}
		source := s.open()
		if got, want := machinesOf(t, source), machinesIn(state); !maps.Equal(got, want) {
			for id := range want {
				if got[id] != want[id] {
					t.Errorf("%+v: %s is %q, want %q", fault, id, got[id], want[id])
				}
			}
			t.Errorf("%+v: %d machines, want %d", fault, len(got), len(want))
		}
		if got, want := rowsOf(t, source), rowsIn(t, state); !slices.Equal(got, want) {
			t.Errorf("%+v: %d rows, want %d", fault, len(got), len(want))
		}
	}
}

func machinesOf(t *testing.T, s connector.Source) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err := s.Machines(context.Background(), time.Time{}, func(batch []inventory.Machine) error {
		for _, m := range batch {
			got[m.SourceID] = m.DNSName + "|" + m.Platform + "|" + m.LastIP + "|" + m.Health
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	return got
}

func machinesIn(state *world.State) map[string]string {
	want := map[string]string{}
	for m := range state.Machines(0) {
		// The simulator marks what it writes as null; null and absent read as empty.
		want[m.ID] = strings.ReplaceAll(m.DNSName+"|"+m.Platform+"|"+m.LastIP+"|"+m.Health, world.Null, "")
	}
	return want
}

// rowsOf reads the report as sorted texts, so that a lost row and a doubled one both show.
func rowsOf(t *testing.T, s connector.Source) []string {
	t.Helper()
	var got []string
	if err := s.Rows(context.Background(), connector.ViaPages, func(batch []inventory.Row) error {
		for _, r := range batch {
			got = append(got, strings.Join([]string{r.MachineID, r.CVE, r.Vendor, r.Product, r.Version, strings.Join(r.DiskPaths, ";")}, "|"))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	slices.Sort(got)
	return got
}

func rowsIn(t *testing.T, state *world.State) []string {
	t.Helper()
	text := []byte("[")
	if _, more, err := state.ExportRows(world.Cursor{}, 1<<30, func(b []byte) error { text = append(text, b...); return nil }); more || err != nil {
		t.Fatal(more, err)
	}
	var rows []struct {
		DeviceID, SoftwareVendor, SoftwareName, SoftwareVersion, CveID string
		DiskPaths                                                      []string
	}
	if err := json.Unmarshal(append(text, ']'), &rows); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range rows {
		want = append(want, strings.Join([]string{r.DeviceID, r.CveID, r.SoftwareVendor, r.SoftwareName, r.SoftwareVersion, strings.Join(r.DiskPaths, ";")}, "|"))
	}
	slices.Sort(want)
	if len(want) < 400 {
		t.Fatalf("only %d rows: too few to be cut into pages", len(want))
	}
	return want
}

func TestTheCatalogueIsReadWholeAndByChange(t *testing.T) {
	t.Parallel()
	s := simulate(t, nil)
	read := func(since time.Time) map[string]time.Time {
		got := map[string]time.Time{}
		if err := s.open().Catalogue(context.Background(), since, func(batch []inventory.Vulnerability) error {
			for _, v := range batch {
				got[v.Name] = v.UpdatedAt
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		return got
	}
	all := read(time.Time{})
	if len(all) < 600 {
		t.Fatalf("%d vulnerabilities", len(all))
	}
	since := time.Now().AddDate(-1, 0, 0)
	want := 0
	for _, at := range all {
		if !at.Before(since.Truncate(time.Second)) {
			want++
		}
	}
	changed := read(since)
	if len(changed) < want || len(changed) >= len(all) || want == 0 {
		t.Fatalf("%d changed of %d, at least %d wanted", len(changed), len(all), want)
	}
}

// TestWithoutATokenTheSimulatorRefuses guards the tests above: without the bearer token the API refuses, so they
// did authenticate.
func TestWithoutATokenTheSimulatorRefuses(t *testing.T) {
	t.Parallel()
	sim := defendersim.New(defendersim.Config{})
	srv := httptest.NewServer(sim.Handler())
	defer srv.Close()
	res, err := http.Get(srv.URL + "/api/machines")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read-only
	if _, _ = io.Copy(io.Discard, res.Body); res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("status %d", res.StatusCode)
	}
}
