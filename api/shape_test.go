package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	defender "pgp.internal/defender"
)

// components lists, for every schema of the document, the type that stands for it.
var components = map[string]reflect.Type{
	"Problem": typ[Problem](), "FieldError": typ[FieldError](), "ProblemType": typ[ProblemType](), "ProblemTypeList": typ[list[ProblemType]](),
	"Check": typ[Check](), "Validation": typ[Validation](), "Explanation": typ[Explanation](), "Actor": typ[Actor](), "Access": typ[Access](),

	"IntegrationType": typ[IntegrationType](), "IntegrationTypeList": typ[list[IntegrationType]](), "Permission": typ[Permission](),
	"SetupStep": typ[SetupStep](), "Form": typ[Form](), "FormField": typ[FormField](), "FormInput": typ[FormInput](),
	"Capability": typ[Capability](), "CapabilityParameter": typ[CapabilityParameter](),

	"ConnectRequest": typ[ConnectRequest](), "CredentialsInput": typ[CredentialsInput](), "RotateSecretRequest": typ[RotateSecretRequest](),
	"SettingsInput": typ[SettingsInput](), "Schedule": typ[Schedule](), "IntegrationPatch": typ[IntegrationPatch](), "CredentialsPatch": typ[CredentialsPatch](),
	"DisplayName": typ[string](), "Label": typ[string](),
	"Settings": typ[Settings](), "EffectiveSettings": typ[EffectiveSettings](), "Credentials": typ[Credentials](),
	"PGPIntegration": typ[PGPIntegration](), "IntegrationCounts": typ[IntegrationCounts](), "Integration": typ[Integration](),
	"IntegrationPreview": typ[IntegrationPreview](), "IntegrationPage": typ[Page[Integration]](), "IntegrationTypeName": typ[IntegrationTypeName](),
	"IntegrationState": typ[IntegrationState](), "UnknownVectorRule": typ[UnknownVectorRule](),

	"StartRunRequest": typ[StartRunRequest](), "Progress": typ[Progress](), "RunStage": typ[RunStage](), "RunError": typ[RunError](),
	"RunWarning": typ[RunWarning](), "Run": typ[Run](), "RunRef": typ[RunRef](), "RunPage": typ[Page[Run]](),
	"IntegrationWarning": typ[IntegrationWarning](), "StagedCredentials": typ[StagedCredentials](), "SignInMethod": typ[SignInMethod](), "FieldCondition": typ[FieldCondition](), "Federation": typ[Federation](),
	"RunState": typ[RunState](), "RunTrigger": typ[RunTrigger](), "RunMode": typ[RunMode](), "RunStageName": typ[RunStageName](),
	"RunStageState": typ[RunStageState](), "PGPJobStatus": typ[PGPJobStatus](),
	"Diagnostics": typ[Diagnostics](), "StageDiagnostics": typ[StageDiagnostics](), "FunnelStep": typ[FunnelStep](), "SkipSample": typ[SkipSample](),
	"SkippedRecord": typ[SkippedRecord](), "SkippedPage": typ[Page[SkippedRecord]](),
	"Reconciliation": typ[Reconciliation](), "MachineReconciliation": typ[MachineReconciliation](), "VulnerabilityReconciliation": typ[VulnerabilityReconciliation](),
	"Difference":    typ[Difference](),
	"ReportReading": typ[ReportReading](), "ReadingKind": typ[ReadingKind](),
	"FindingHistory": typ[FindingHistory](), "FindingEvent": typ[FindingEvent](), "FindingChange": typ[FindingChange](),
	"HeldChanges": typ[HeldChanges](), "HeldChange": typ[HeldChange](), "HeldReading": typ[HeldReading](), "HeldKind": typ[HeldKind](), "ApproveHeldChangeRequest": typ[ApproveHeldChangeRequest](),

	"Address": typ[Address](), "OperatingSystem": typ[OperatingSystem](), "CloudInstance": typ[CloudInstance](), "SeverityCounts": typ[SeverityCounts](), "VulnerabilitySummary": typ[VulnerabilitySummary](),
	"PGPAsset": typ[PGPAsset](), "Asset": typ[Asset](), "AssetPage": typ[Page[Asset]](), "ListEnd": typ[ListEnd](), "AssetState": typ[AssetState](),
	"AssetImportState": typ[AssetImportState](), "OSFamily": typ[OSFamily](), "Surface": typ[Surface](), "NameKind": typ[NameKind](),
	"AddressScope": typ[AddressScope](), "PGPAssetStatus": typ[PGPAssetStatus](),

	"CVSS": typ[CVSS](), "Exploit": typ[Exploit](), "Definition": typ[Definition](), "Vulnerability": typ[Vulnerability](),
	"VulnerabilityPage": typ[Page[Vulnerability]](), "AttackVector": typ[AttackVector](), "DetailLevel": typ[DetailLevel](),

	"SecurityUpdate": typ[SecurityUpdate](), "Instance": typ[Instance](), "PGPRisk": typ[PGPRisk](), "Finding": typ[Finding](),
	"FindingPage": typ[Page[Finding]](), "FindingState": typ[FindingState](), "Severity": typ[Severity](), "SeveritySource": typ[SeveritySource](),

	"Summary": typ[Summary](), "AssetSummary": typ[AssetSummary](), "AssetStateCounts": typ[AssetStateCounts](), "OSFamilyCounts": typ[OSFamilyCounts](),
	"FindingSummary": typ[FindingSummary](), "FindingStateCounts": typ[FindingStateCounts](), "Freshness": typ[Freshness](),

	"Tenant": typ[Tenant](), "TenantState": typ[TenantState](), "Entitlements": typ[Entitlements](), "Role": typ[Role](), "APIKey": typ[APIKey](),
	"AuditEvent": typ[AuditEvent](), "AuditActor": typ[AuditActor](), "AuditResource": typ[AuditResource](), "AuditChange": typ[AuditChange](),
	"AuditEventPage": typ[Page[AuditEvent]](), "AuditAction": typ[AuditAction](), "AuditOutcome": typ[AuditOutcome](), "AuditActorKind": typ[AuditActorKind](),
	"ManagedTenant": typ[ManagedTenant](), "ManagedTenantPage": typ[Page[ManagedTenant]](), "CreateTenantRequest": typ[CreateTenantRequest](), "TenantPatch": typ[TenantPatch](), "TenantLimits": typ[TenantLimits](), "EntitlementsInput": typ[EntitlementsInput](),
	"APIKeyPage": typ[Page[APIKey]](), "CreateAPIKeyRequest": typ[CreateAPIKeyRequest](), "CreatedAPIKey": typ[CreatedAPIKey](), "Version": typ[Version](),
}

func typ[T any]() reflect.Type { return reflect.TypeFor[T]() }

// requests are the schemas that clients send. Their optional members must tell absence from every value.
var requests = []string{"ConnectRequest", "CredentialsInput", "RotateSecretRequest", "SettingsInput", "IntegrationPatch", "CredentialsPatch", "StartRunRequest", "CreateAPIKeyRequest", "ApproveHeldChangeRequest", "CreateTenantRequest", "TenantPatch", "TenantLimits", "EntitlementsInput"}

func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(defender.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTypesHaveTheShapeOfTheirComponents(t *testing.T) {
	t.Parallel()
	schemas := document(t).Components.Schemas
	for name := range components {
		if schemas[name] == nil {
			t.Errorf("%s: the document has no such component", name)
		}
	}
	for name, ref := range schemas {
		goType := components[name]
		if goType == nil {
			t.Errorf("%s: no type stands for this component", name)
			continue
		}
		for _, breach := range shape(name, goType, ref.Value) {
			t.Error(breach)
		}
	}
}

// shape compares a type with an object schema; anything else is compared by value.
func shape(name string, goType reflect.Type, schema *openapi3.Schema) []string {
	if len(schema.Properties) == 0 {
		return value(name, goType, schema.NewRef())
	}
	if goType.Kind() != reflect.Struct {
		return []string{fmt.Sprintf("%s: an object needs a struct, not %v", name, goType)}
	}
	var breaches []string
	fields := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(goType) {
		member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if member == "-" {
			continue
		}
		fields[member] = f
		if schema.Properties[member] == nil {
			breaches = append(breaches, fmt.Sprintf("%s.%s: the document has no such member", name, member))
		}
	}
	for member, ref := range schema.Properties {
		f, ok := fields[member]
		if !ok {
			breaches = append(breaches, fmt.Sprintf("%s.%s: the type has no such field", name, member))
			continue
		}
		at := name + "." + member
		breaches = append(breaches, presence(at, f, slices.Contains(schema.Required, member), slices.Contains(requests, name))...)
		breaches = append(breaches, value(at, f.Type, ref)...)
	}
	return breaches
}

// presence checks that exactly the optional members can be left out, and that leaving out is not confused with a value.
func presence(at string, f reflect.StructField, required, inRequest bool) []string {
	_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	omits := options == "omitempty" || options == "omitzero"
	kind := f.Type.Kind()
	switch {
	case required == omits:
		return []string{fmt.Sprintf("%s: required is %v, json options are %q", at, required, options)}
	case required && (kind == reflect.Pointer):
		return []string{at + ": required, yet a pointer"}
	case required:
		return nil
	case f.Type == typ[time.Time]() && options != "omitzero", kind == reflect.Struct && f.Type != typ[time.Time]():
		return []string{at + ": this type is never left out with " + options}
	case kind == reflect.Bool || kind == reflect.Float64 || kind == reflect.Int64:
		return []string{at + ": optional, so the zero value must be told from no value by a pointer"}
	case inRequest && kind == reflect.Slice && options != "omitzero":
		return []string{at + ": an empty list must be sent, so omitzero"}
	case inRequest && f.Type == typ[Secret](): // none is ever empty, so the empty one is no value
		return nil
	case inRequest && kind != reflect.Pointer && kind != reflect.Slice:
		return []string{at + ": an optional member of a request must be a pointer or a list"}
	}
	return nil
}

// value compares a field's type with its schema.
func value(at string, goType reflect.Type, ref *openapi3.SchemaRef) []string {
	if goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	if component, ok := strings.CutPrefix(ref.Ref, "#/components/schemas/"); ok {
		if components[component] != goType {
			return []string{fmt.Sprintf("%s: is %v, the document says %s", at, goType, component)}
		}
		return nil
	}
	s := ref.Value
	ok := false
	switch {
	case s.Type == nil:
		ok = goType.Kind() == reflect.Interface
	case s.Type.Is("array"):
		if goType.Kind() != reflect.Slice {
			break
		}
		return value(at+"[]", goType.Elem(), s.Items)
	case s.Type.Is("object"):
		if goType.Kind() != reflect.Map || s.AdditionalProperties.Schema == nil {
			ok = goType == typ[map[string]any]()
			break
		}
		return value(at+"{}", goType.Elem(), s.AdditionalProperties.Schema)
	case s.Type.Is("string") && s.Format == "date-time":
		ok = goType == typ[time.Time]()
	case s.Type.Is("string") && s.Format == "password":
		ok = goType == typ[Secret]()
	case s.Type.Is("string"):
		ok = goType.Kind() == reflect.String
	case s.Type.Is("boolean"):
		ok = goType.Kind() == reflect.Bool
	case s.Type.Is("number"):
		ok = goType.Kind() == reflect.Float64
	case s.Type.Is("integer") && s.Format == "int64":
		ok = goType.Kind() == reflect.Int64
	case s.Type.Is("integer"):
		ok = goType.Kind() == reflect.Int
	}
	if !ok {
		return []string{fmt.Sprintf("%s: is %v, the document says %v %s", at, goType, s.Type, s.Format)}
	}
	return nil
}
