package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/contract"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

// fort is the service with two tenants that have imported something, before a simulated Microsoft. A third one, the stranger, may
// change itself, and uses the Idempotency-Keys of the first.
type fort struct {
	*microsoft
	mint     *mint
	arsenal  *arsenal
	stranger neighbour
}

// arsenal is what the generator and the judge know about the fort. It is only read while requests are made.
type arsenal struct {
	own, foreign, unknown objects
	credentials           []credential
	directories           []string // of the simulator, connected or not
	etag                  string   // that the tenant's integration had
	cursors               map[string][2]string
	marks                 map[side][]string // what only this tenant may see
	secrets               []string
}

// side is whom a credential acts for.
type side int

const (
	noSide side = iota
	minesSide
	othersSide
	platformSide
)

// The directories of the simulator that tenants come to connect. Names in them never matter.
const spareDirectories = 60

func directoryNumber(n int) string { return fmt.Sprintf("5a1e5b0c-0c8e-4d1c-9a52-3f5c1d%06x", n) }

func newFort(t *testing.T) *fort {
	t.Helper()
	f := &fort{microsoft: newMicrosoft(t), mint: newMint(t)}
	f.mint.into(&f.deps)
	f.deps.Wake = func() {} // nobody counts how often, and the house's counter holds a hundred
	f.url = f.serve(f.deps)
	roles := []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead}
	f.arsenal = &arsenal{marks: map[side][]string{}, cursors: map[string][2]string{}, unknown: nobodys}
	few := 3
	for n := range spareDirectories {
		f.addDirectory(t, defendersim.DirectorySpec{ID: directoryNumber(n), Machines: 4, FindingsPerMachine: &few, EdgeCases: new(false)}, roles)
		f.arsenal.directories = append(f.arsenal.directories, directoryNumber(n))
	}
	f.arsenal.own = f.settle(t, f.mine, "zqminezq", directoryNumber(0))
	f.arsenal.foreign = f.settle(t, f.other, "zqotherzq", directoryNumber(1))
	f.stranger = f.neighbour()
	spare := f.neighbour()
	f.arsenal.own.tenant = f.publicID(spare)
	f.arsenal.marks[minesSide] = f.marksOf(f.arsenal.own, "zqminezq", f.publicID(f.mine))
	f.arsenal.marks[othersSide] = f.marksOf(f.arsenal.foreign, "zqotherzq", f.publicID(f.other))
	f.arsenal.credentials = f.issue()
	f.arsenal.secrets = append(f.tokens(), simSecret, canary, f.key.Reveal(), f.dataKey(t))
	for _, c := range f.arsenal.credentials {
		if c.text != "" && len(c.text) > 20 {
			f.arsenal.secrets = append(f.arsenal.secrets, c.text)
		}
	}
	f.takeCursors(t)
	return f
}

// settle lets a tenant import a directory and writes its mark into everything that has a name.
func (f *fort) settle(t *testing.T, n neighbour, mark, directory string) objects {
	t.Helper()
	request := entered(directory, simClient, simSecret)
	request.Name = new(mark + " integration")
	c, ctx := f.client(n, tenant.Admin), t.Context()
	i, err := c.ConnectIntegration(ctx, request)
	must(t, err)
	f.work(t)
	id := number(n.id)
	f.exec(`update tenant set name = '` + mark + ` Ltd', pgp_account = 'it@` + mark + `.example' where id = ` + id)
	f.exec(`update asset set hostname = '` + mark + `.' || hostname, hostname_raw = '` + mark + `.' || hostname_raw, group_name = '` + mark + ` group', tags = '{` + mark + `}' where tenant_id = ` + id)
	key, err := c.CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: mark + " key", Role: api.RoleReadonly})
	must(t, err)
	return f.found(t, n, objects{integration: i.ID, run: i.LastRun.ID, key: key.ID})
}

// found completes what a tenant has by what was imported.
func (f *fort) found(t *testing.T, n neighbour, x objects) objects {
	t.Helper()
	findings, err := f.client(n, tenant.Admin).ListFindings(t.Context(), api.ListFindingsOptions{State: []api.FindingState{api.FindingOpen}})
	must(t, err)
	if len(findings.Items) == 0 {
		t.Fatal("nothing was imported")
	}
	x.finding, x.asset, x.vulnerability = findings.Items[0].ID, findings.Items[0].AssetID, findings.Items[0].VulnerabilityID
	return x
}

// marksOf is what shows that something belongs to a tenant.
func (f *fort) marksOf(x objects, mark, id string) []string {
	return []string{mark, x.integration, x.run, x.asset, x.finding, x.key, id}
}

// credential is something to put behind "Bearer", or in its place.
type credential struct {
	name, text string
	header     string // in the place of "Bearer " and the text, unless empty
	side       side
	role       tenant.Role
	account    string // that the credential cannot do without
}

func (c credential) known() bool { return c.side != noSide }

// issue makes credentials of all kinds. Those of the other tenant may only read, so that nothing of it ever has to change.
func (f *fort) issue() []credential {
	mine, other := "it@zqminezq.example", "it@zqotherzq.example"
	all := []credential{
		{name: "none", header: " "}, {name: "basic", header: "Basic YWRtaW46YWRtaW4="}, {name: "no text", header: "Bearer "},
		{name: "no scheme", header: f.mine.keys[tenant.Admin]}, {name: "two", header: "Bearer a Bearer b"},
		{name: "unknown key", text: "pgpd_" + strings.Repeat("A", 43)}, {name: "noise", text: "a.b.c"}, {name: "long", text: strings.Repeat("a", 7000)},
		{name: "expired token", text: f.mint.expired(tenant.Admin, mine)}, {name: "a stranger's token", text: newMint(f.t).token(tenant.Admin, mine)},
		{name: "cut token", text: strings.TrimSuffix(f.mint.token(tenant.Admin, mine), "A")[:200]},
		{name: "platform", text: f.mint.token(tenant.Platform), side: platformSide, role: tenant.Platform},
		{name: "other's key", text: f.other.keys[tenant.ReadOnly], side: othersSide, role: tenant.ReadOnly},
		{name: "other's token", text: f.mint.token(tenant.ReadOnly, other), side: othersSide, role: tenant.ReadOnly},
		{name: "token of two for the other", text: f.mint.token(tenant.ReadOnly, mine, other), side: othersSide, role: tenant.ReadOnly, account: other},
		{name: "token of two for mine", text: f.mint.token(tenant.Admin, mine, other), side: minesSide, role: tenant.Admin, account: mine},
	}
	for _, role := range []tenant.Role{tenant.ReadOnly, tenant.Analyst, tenant.Admin} {
		all = append(all,
			credential{name: "key " + string(role), text: f.mine.keys[role], side: minesSide, role: role},
			credential{name: "token " + string(role), text: f.mint.token(role, mine), side: minesSide, role: role})
	}
	return all
}

// takeCursors reads the first page of every list for both tenants.
func (f *fort) takeCursors(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/v1/assets", "/v1/findings", "/v1/vulnerabilities", "/v1/api-keys", "/v1/audit-events"} {
		var pair [2]string
		for n, key := range []string{f.mine.keys[tenant.Admin], f.other.keys[tenant.Admin]} {
			var page struct {
				Next string `json:"next_cursor"`
			}
			got := f.send(raw{method: http.MethodGet, path: path + "?limit=1", key: key})
			if err := json.Unmarshal([]byte(got.body), &page); err != nil || page.Next == "" {
				t.Fatalf("%s: no cursor: %v %s", path, err, got.body)
			}
			pair[n] = page.Next
		}
		f.arsenal.cursors[path] = pair
	}
}

// restock gives the tenant what the last assault may have used up: an integration in use with a run, and a key to revoke.
func (f *fort) restock(t *testing.T) {
	t.Helper()
	c, ctx, a := f.admin(), t.Context(), f.arsenal
	i, err := c.GetIntegration(ctx, a.own.integration)
	must(t, err)
	if i.State == api.IntegrationDisconnected || i.State == api.IntegrationDisconnecting {
		i = f.connectNext(t)
		f.work(t)
	}
	a.own.integration, a.etag = i.ID, i.ETag
	runs, err := c.ListIntegrationRuns(ctx, i.ID, api.ListRunsOptions{})
	must(t, err)
	if len(runs.Items) > 0 {
		a.own.run = runs.Items[0].ID
	}
	key, err := c.CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: "to be revoked", Role: api.RoleReadonly})
	must(t, err)
	a.own.key = key.ID
	a.own = f.found(t, f.mine, a.own)
	f.exec(`update tenant set state = 'active' where public_id = '` + plainID(a.own.tenant) + `'`)
	a.marks[minesSide] = append(a.marks[minesSide], i.ID, a.own.run, key.ID)
}

// connectNext connects a directory that is not connected yet, or again.
func (f *fort) connectNext(t *testing.T) *api.Integration {
	t.Helper()
	for _, directory := range slices.Backward(f.arsenal.directories) {
		i, err := f.admin().ConnectIntegration(t.Context(), entered(directory, simClient, simSecret))
		if err == nil {
			return i
		}
		if !api.HasCode(err, api.CodeAlreadyConnected) {
			t.Fatal(err)
		}
	}
	t.Fatal("every directory is connected")
	return nil
}

// work carries out what is queued.
func (f *fort) work(t *testing.T) {
	t.Helper()
	for range 50 {
		jobs, err := f.store.Claim(t.Context(), job.Room{Holder: "attack", Jobs: 4, PerTenant: 100}, 5*time.Minute)
		must(t, err)
		if len(jobs) == 0 {
			return
		}
		for _, j := range jobs {
			must(t, f.store.Finish(t.Context(), j, f.syncer.Handle(t.Context(), j)))
		}
	}
}

// fire sends a request; what the contract says about the exchange comes with the answer.
func (f *fort) fire(a attempt) (answered, []string) {
	req, err := http.NewRequest(a.method, f.url+a.uri, strings.NewReader(a.body))
	if err != nil {
		return answered{}, []string{"the request cannot be sent: " + err.Error()}
	}
	req.Header = a.header.Clone()
	var breaches breachList
	client := http.Client{Transport: contract.New(&breaches, contract.RecordIn(f.seen)).Transport(wire), Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return answered{}, []string{"no answer: " + err.Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answered{}, []string{"half an answer: " + err.Error()}
	}
	if a.offContract {
		breaches.found = nil
	}
	return answered{resp.StatusCode, resp.Header, string(body)}, breaches.found
}

// searchLog wants every line of the log to be JSON, and no secret in it.
func (f *fort) searchLog(t *testing.T) {
	t.Helper()
	text := f.log.String()
	for line := range strings.Lines(text) {
		if !json.Valid(bytes.TrimSpace([]byte(line))) {
			t.Fatalf("a line of the log is no JSON: %s", short(line))
		}
	}
	for _, secret := range f.arsenal.secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds a secret that ends with %q", secret[len(secret)-4:])
		}
	}
}

var labelled = regexp.MustCompile(`^[A-Z]+ (unmatched|(/v1)?(/[a-z0-9.-]+|/\{[a-z]+\})+) [0-9]{3}$`)

// searchLabels wants the labels of the counters to come from the service alone.
func (f *fort) searchLabels(t *testing.T) {
	t.Helper()
	f.meter.mu.Lock()
	defer f.meter.mu.Unlock()
	for label := range f.meter.counts {
		if !labelled.MatchString(label) {
			t.Errorf("counted under %q", label)
		}
	}
	if n := len(f.meter.counts); n > 1000 {
		t.Errorf("%d series", n)
	}
}
