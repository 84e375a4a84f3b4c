package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/contract"
)

const (
	integrationID = "int_019a9b6d10f27a3c9e4b5d6c7f8a9b01"
	runID         = "run_019a9b6d11027b5d8f1a2b3c4d5e6f70"
	assetID       = "ast_019a9b6e2f4d7c118a6b0e5d3c2f1a90"
	findingID     = "fnd_019a9b6e2f4d7c118a6b0e5d3c2f1a90_2f1c"
	keyID         = "key_019a8c7d6e5f7a4b8c9d0e1f2a3b4c5d"
	tenantID      = "tnt_019a1b2c3d4e7f508a9b0c1d2e3f4a5b"
	cve           = "CVE-2026-21412"
)

var (
	noon      = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	onePage   = api.PageOptions{Limit: 10, Cursor: "abc"}
	connect   = api.ConnectRequest{Type: api.TypeMicrosoftDefender, Credentials: secretOf("EXAMPLE-client-secret-value"), Settings: everySetting()}
	someRuns  = api.ListRunsOptions{IntegrationID: []string{integrationID}, State: []api.RunState{api.RunFailed, api.RunQueued}, Trigger: []api.RunTrigger{api.TriggerManual}, CreatedGTE: noon, CreatedLT: noon, PageOptions: onePage}
	someFinds = api.ListFindingsOptions{IntegrationID: []string{integrationID}, AssetID: []string{assetID}, State: []api.FindingState{api.FindingOpen}, Severity: []api.Severity{api.SeverityHigh}, VulnerabilityID: []string{cve}, Product: []string{"openssl"}, FixAvailable: new(true), FirstSeenGTE: noon, FirstSeenLT: noon, Sort: "-severity", PageOptions: onePage}
	someAsset = api.ListAssetsOptions{IntegrationID: []string{integrationID}, Hostname: []string{"web01"}, IP: []string{"10.0.0.1"}, OSFamily: []api.OSFamily{api.OSLinux}, State: []api.AssetState{api.AssetActive}, Surface: []api.Surface{api.SurfaceInternal}, Tag: []string{"PCI"}, DeviceGroup: []string{"Servers"}, LastSeenGTE: noon, LastSeenLT: noon, Severity: []api.Severity{api.SeverityLow}, Q: "we", Sort: "-hostname", PageOptions: onePage}
	someEvent = api.ListAuditEventsOptions{Actor: []string{keyID}, Action: []api.AuditAction{api.AuditRunStarted}, Resource: []string{runID}, Outcome: []api.AuditOutcome{api.AuditSucceeded}, AtGTE: noon, AtLT: noon, PageOptions: onePage}
	someVulns = api.ListVulnerabilitiesOptions{Severity: []api.Severity{api.SeverityHigh}, AttackVector: []api.AttackVector{api.VectorNetwork}, Exploit: new(false), EPSSGTE: new(0.5), PublishedGTE: noon, PublishedLT: noon, Q: "ssl", Sort: "epss", PageOptions: onePage}
)

func secretOf(value api.Secret) api.CredentialsInput {
	return api.CredentialsInput{ClientID: "5f0c7d1e-1b1a-4c55-9d3a-0f6c2f6f4b11", ClientSecret: value, TenantID: "0C8A6A52-8f0e-4b8c-9a55-3f6d2d4a9e10", SecretExpiresAt: &noon}
}

func everySetting() *api.SettingsInput {
	return &api.SettingsInput{
		ImportAssets: new(true), ImportVulnerabilities: new(false), MinSeverity: new(api.SeverityLow), AttackVectors: []api.AttackVector{api.VectorNetwork},
		UnknownVector: new(api.UnknownExclude), ExcludeUserInteraction: new(false), MaxAgeDays: new(30), RequireFQDN: new(false), AllowUnderscore: new(true),
		IncludeDiscovered: new(false), DeviceGroups: []string{}, TagsInclude: []string{"a"}, TagsExclude: []string{"b"}, IPDeny: []string{"10.0.0.0/8", "fd00::1"},
	}
}

// calls makes each operation once with every parameter set, and returns what the client made of the answer.
var calls = map[string]func(context.Context, *api.Client) (any, error){
	"listIntegrationTypes": func(ctx context.Context, c *api.Client) (any, error) {
		items, err := c.ListIntegrationTypes(ctx, api.ListIntegrationTypesOptions{Category: "x", Q: "de"})
		return map[string]any{"items": items}, err
	},
	"getIntegrationType": func(ctx context.Context, c *api.Client) (any, error) {
		return c.GetIntegrationType(ctx, api.TypeMicrosoftDefender)
	},
	"connectIntegration": func(ctx context.Context, c *api.Client) (any, error) { return c.PreviewIntegration(ctx, connect) },
	"listIntegrations": func(ctx context.Context, c *api.Client) (any, error) {
		return c.ListIntegrations(ctx, api.ListIntegrationsOptions{Type: []api.IntegrationTypeName{api.TypeMicrosoftDefender}, State: []api.IntegrationState{api.IntegrationPaused}, PageOptions: onePage})
	},
	"getIntegration": func(ctx context.Context, c *api.Client) (any, error) { return c.GetIntegration(ctx, integrationID) },
	"updateIntegration": func(ctx context.Context, c *api.Client) (any, error) {
		patch := api.IntegrationPatch{Name: new("Europe"), Settings: everySetting(), Schedule: &api.Schedule{IntervalHours: 6}}
		return c.UpdateIntegration(ctx, integrationID, patch, api.IfMatch(`"7.9f86d081884c7d65"`))
	},
	"disconnectIntegration": func(ctx context.Context, c *api.Client) (any, error) {
		return c.DisconnectIntegration(ctx, integrationID, api.DataPurge, api.IfMatch("*"))
	},
	"rotateIntegrationSecret": func(ctx context.Context, c *api.Client) (any, error) {
		in := secretOf("EXAMPLE-new-client-secret-value")
		return c.RotateIntegrationSecret(ctx, integrationID, api.RotateSecretRequest{ClientID: &in.ClientID, ClientSecret: in.ClientSecret, SecretExpiresAt: &noon})
	},
	"dropStagedSecret": func(ctx context.Context, c *api.Client) (any, error) {
		return nil, c.DropStagedSecret(ctx, integrationID)
	},
	"validateIntegration": func(ctx context.Context, c *api.Client) (any, error) {
		return c.ValidateIntegration(ctx, integrationID)
	},
	"pauseIntegration": func(ctx context.Context, c *api.Client) (any, error) {
		return c.PauseIntegration(ctx, integrationID, true)
	},
	"resumeIntegration": func(ctx context.Context, c *api.Client) (any, error) { return c.ResumeIntegration(ctx, integrationID) },
	"getFindingHistory": func(ctx context.Context, c *api.Client) (any, error) { return c.GetFindingHistory(ctx, findingID) },
	"listHeldChanges":   func(ctx context.Context, c *api.Client) (any, error) { return c.ListHeldChanges(ctx, integrationID) },
	"approveHeldChange": func(ctx context.Context, c *api.Client) (any, error) {
		return c.ApproveHeldChange(ctx, integrationID, api.ApproveHeldChangeRequest{Kind: api.HeldAssets, RunID: runID})
	},
	"startRun": func(ctx context.Context, c *api.Client) (any, error) {
		return c.StartRun(ctx, integrationID, api.StartRunRequest{Mode: new(api.ModeFull), DryRun: new(true), Settings: everySetting()})
	},
	"listIntegrationRuns": func(ctx context.Context, c *api.Client) (any, error) {
		return c.ListIntegrationRuns(ctx, integrationID, someRuns)
	},
	"listRuns":          func(ctx context.Context, c *api.Client) (any, error) { return c.ListRuns(ctx, someRuns) },
	"getRun":            func(ctx context.Context, c *api.Client) (any, error) { return c.GetRun(ctx, runID) },
	"getRunDiagnostics": func(ctx context.Context, c *api.Client) (any, error) { return c.GetRunDiagnostics(ctx, runID) },
	"getReconciliation": func(ctx context.Context, c *api.Client) (any, error) { return c.GetReconciliation(ctx, integrationID) },
	"listSkipped": func(ctx context.Context, c *api.Client) (any, error) {
		return c.ListSkipped(ctx, runID, api.ListSkippedOptions{Reason: []string{"platform_mobile", "ip_none"}, PageOptions: onePage})
	},
	"cancelRun":  func(ctx context.Context, c *api.Client) (any, error) { return c.CancelRun(ctx, runID) },
	"listAssets": func(ctx context.Context, c *api.Client) (any, error) { return c.ListAssets(ctx, someAsset) },
	"getAsset":   func(ctx context.Context, c *api.Client) (any, error) { return c.GetAsset(ctx, assetID) },
	"listAssetFindings": func(ctx context.Context, c *api.Client) (any, error) {
		return c.ListAssetFindings(ctx, assetID, someFinds)
	},
	"listVulnerabilities": func(ctx context.Context, c *api.Client) (any, error) { return c.ListVulnerabilities(ctx, someVulns) },
	"getVulnerability":    func(ctx context.Context, c *api.Client) (any, error) { return c.GetVulnerability(ctx, cve) },
	"listVulnerabilityAssets": func(ctx context.Context, c *api.Client) (any, error) {
		return c.ListVulnerabilityAssets(ctx, cve, api.ListVulnerabilityAssetsOptions{IntegrationID: []string{integrationID}, Sort: "hostname", PageOptions: onePage})
	},
	"listFindings":    func(ctx context.Context, c *api.Client) (any, error) { return c.ListFindings(ctx, someFinds) },
	"getFinding":      func(ctx context.Context, c *api.Client) (any, error) { return c.GetFinding(ctx, findingID) },
	"getSummary":      func(ctx context.Context, c *api.Client) (any, error) { return c.GetSummary(ctx) },
	"getEntitlements": func(ctx context.Context, c *api.Client) (any, error) { return c.GetEntitlements(ctx) },
	"getTenant":       func(ctx context.Context, c *api.Client) (any, error) { return c.GetTenant(ctx) },
	"listAPIKeys":     func(ctx context.Context, c *api.Client) (any, error) { return c.ListAPIKeys(ctx, onePage) },
	"createAPIKey": func(ctx context.Context, c *api.Client) (any, error) {
		return c.CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: "SIEM", Role: api.RoleReadonly, ExpiresAt: &noon})
	},
	"listTenants": func(ctx context.Context, c *api.Client) (any, error) {
		return c.ListTenants(ctx, api.ListTenantsOptions{State: []api.TenantState{api.TenantActive}, Name: "contoso", PageOptions: onePage})
	},
	"createTenant": func(ctx context.Context, c *api.Client) (any, error) {
		return c.CreateTenant(ctx, api.CreateTenantRequest{Name: "Contoso Ltd", PGPAccount: new("it@contoso.example")})
	},
	"getManagedTenant": func(ctx context.Context, c *api.Client) (any, error) { return c.GetManagedTenant(ctx, tenantID) },
	"updateTenant": func(ctx context.Context, c *api.Client) (any, error) {
		patch := api.TenantPatch{Name: new("Contoso Group"), PGPAccount: new("it@contoso.example"), State: new(api.TenantSuspended), Limits: &api.TenantLimits{MaxIntegrations: new(int64(5))}}
		return c.UpdateTenant(ctx, tenantID, patch, api.IfMatch(`"3.9f86d081884c7d65"`))
	},
	"deleteTenant": func(ctx context.Context, c *api.Client) (any, error) {
		return c.DeleteTenant(ctx, tenantID, api.IfMatch("*"))
	},
	"getTenantEntitlements": func(ctx context.Context, c *api.Client) (any, error) {
		return c.GetTenantEntitlements(ctx, tenantID)
	},
	"setEntitlements": func(ctx context.Context, c *api.Client) (any, error) {
		return c.SetEntitlements(ctx, tenantID, api.EntitlementsInput{InternalAssessments: new(true), MaxAssets: new(int64(5000)), ValidFrom: new("2026-10-01"), ValidUntil: new("2027-09-30")})
	},
	"listPlatformAuditEvents": func(ctx context.Context, c *api.Client) (any, error) {
		return c.ListPlatformAuditEvents(ctx, someEvent)
	},
	"listAuditEvents": func(ctx context.Context, c *api.Client) (any, error) {
		return c.ListAuditEvents(ctx, someEvent)
	},
	"deleteAPIKey": func(ctx context.Context, c *api.Client) (any, error) { return nil, c.DeleteAPIKey(ctx, keyID) },
	"getVersion":   func(ctx context.Context, c *api.Client) (any, error) { return c.GetVersion(ctx) },
	"getOpenAPI":   func(ctx context.Context, c *api.Client) (any, error) { return rawJSON(c.GetOpenAPI(ctx)) },
	"getDocs": func(ctx context.Context, c *api.Client) (any, error) {
		page, err := c.GetDocs(ctx)
		return string(page), err
	},
	"listProblemTypes": func(ctx context.Context, c *api.Client) (any, error) {
		items, err := c.ListProblemTypes(ctx)
		return map[string]any{"items": items}, err
	},
	"getProblemType": func(ctx context.Context, c *api.Client) (any, error) { return c.GetProblemType(ctx, "secret_expired") },
}

func rawJSON(data []byte, err error) (any, error) { return json.RawMessage(data), err }

func TestClientHasEveryOperation(t *testing.T) {
	t.Parallel()
	operations, err := contract.Operations()
	if err != nil {
		t.Fatal(err)
	}
	if tested := slices.Sorted(maps.Keys(calls)); !slices.Equal(tested, operations) {
		t.Errorf("tested %v, documented %v", tested, operations)
	}
	client := reflect.TypeFor[*api.Client]()
	for _, id := range operations {
		method := strings.ToUpper(id[:1]) + id[1:]
		if _, ok := client.MethodByName(method); !ok {
			t.Errorf("Client has no method %s for operation %s", method, id)
		}
	}
}

// Each call must reach its own operation with a request that the document allows and all parameters it names, and must bring
// back the example without losing a member.
func TestClientCallsAgreeWithTheDocument(t *testing.T) {
	t.Parallel()
	server, url := startExampleServer(t)
	seen := contract.NewCoverage()
	client := checked(t, url.URL, contract.RecordIn(seen))
	for id, call := range calls {
		before := len(seenOperations(t, seen))
		got, err := call(t.Context(), client)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if operations := seenOperations(t, seen); len(operations) != before+1 || !slices.Contains(operations, id) {
			t.Errorf("%s: another operation was called", id)
		}
		checkParameters(t, server, id)
		checkNothingLost(t, server, id, got)
	}
}

func seenOperations(t *testing.T, c *contract.Coverage) []string {
	t.Helper()
	report, err := c.Report()
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(report.Seen))
	for i, k := range report.Seen {
		ids[i] = k.Operation
	}
	return ids
}

// checkParameters compares the query that was sent with the parameters that are documented.
func checkParameters(t *testing.T, s *exampleServer, id string) {
	t.Helper()
	documented := map[string]bool{}
	for _, item := range s.doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.OperationID != id {
				continue
			}
			for _, p := range op.Parameters {
				if p.Value.In == "query" {
					documented[p.Value.Name] = true
				}
			}
		}
	}
	sent := map[string]bool{}
	for name := range s.lastRequest().URL.Query() {
		sent[name] = true
	}
	if !maps.Equal(documented, sent) {
		t.Errorf("%s: sent %v, documented %v", id, slices.Sorted(maps.Keys(sent)), slices.Sorted(maps.Keys(documented)))
	}
}

func checkNothingLost(t *testing.T, s *exampleServer, id string, got any) {
	t.Helper()
	for _, item := range s.doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.OperationID != id {
				continue
			}
			first := slices.Min(slices.Collect(maps.Keys(op.Responses.Map())))
			for mediaType, media := range op.Responses.Value(first).Value.Content {
				if mediaType == linesType {
					continue
				}
				if want, have := canonical(t, exampleOf(media)), canonical(t, got); want != have {
					t.Errorf("%s: the example is\n%s\nthe client has\n%s", id, want, have)
				}
			}
		}
	}
}

// canonical encodes with sorted members, so that two values can be compared.
func canonical(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	data, err = json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
