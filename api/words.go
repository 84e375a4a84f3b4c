package api

// Role is what an API key may do. Each includes the ones before it.
type Role string

// The roles, least first.
const (
	RoleReadonly Role = "readonly"
	RoleAnalyst  Role = "analyst"
	RoleAdmin    Role = "admin"
)

// TenantState tells whether a tenant is served.
type TenantState string

// The states of a tenant. Only an active one is served.
const (
	TenantActive    TenantState = "active"
	TenantSuspended TenantState = "suspended"
	TenantDeleting  TenantState = "deleting"
)

// Actor is who has to act about a problem.
type Actor string

// Who has to act; openapi.yaml explains them.
const (
	ActorCaller        Actor = "caller"
	ActorCustomerAdmin Actor = "customer_admin"
	ActorPGPOperator   Actor = "pgp_operator"
	ActorNobody        Actor = "nobody"
)

// IntegrationTypeName is a type of integration.
type IntegrationTypeName string

// TypeMicrosoftDefender is Microsoft Defender for Endpoint.
const TypeMicrosoftDefender IntegrationTypeName = "microsoft-defender"

// IntegrationState tells whether an integration imports and, if not, why.
type IntegrationState string

// The states of an integration; openapi.yaml explains them.
const (
	IntegrationActive         IntegrationState = "active"
	IntegrationPaused         IntegrationState = "paused"
	IntegrationDegraded       IntegrationState = "degraded"
	IntegrationActionRequired IntegrationState = "action_required"
	IntegrationDisconnecting  IntegrationState = "disconnecting"
	IntegrationDisconnected   IntegrationState = "disconnected"
)

// RunState tells how far a run is.
type RunState string

// The states of a run. Succeeded, partially succeeded, failed and cancelled are final.
const (
	RunQueued             RunState = "queued"
	RunRunning            RunState = "running"
	RunCancelling         RunState = "cancelling"
	RunSucceeded          RunState = "succeeded"
	RunPartiallySucceeded RunState = "partially_succeeded"
	RunFailed             RunState = "failed"
	RunCancelled          RunState = "cancelled"
)

// Finished tells whether the state is final.
func (s RunState) Finished() bool {
	switch s {
	case RunSucceeded, RunPartiallySucceeded, RunFailed, RunCancelled:
		return true
	default:
		return false
	}
}

// RunTrigger is what started a run.
type RunTrigger string

// What starts runs. TriggerConnect is a first import, TriggerDisconnect a purge.
const (
	TriggerSchedule   RunTrigger = "schedule"
	TriggerManual     RunTrigger = "manual"
	TriggerConnect    RunTrigger = "connect"
	TriggerDisconnect RunTrigger = "disconnect"
)

// RunMode is how a run works.
type RunMode string

// The modes. ModePurge deletes the data of a disconnected integration; it cannot be asked for by starting a run.
const (
	ModeIncremental RunMode = "incremental"
	ModeFull        RunMode = "full"
	ModePurge       RunMode = "purge"
)

// RunStageName is a part of a run.
type RunStageName string

// The stages of an import in order, and that of a purge.
const (
	StageQueued          RunStageName = "queued"
	StageAuthenticate    RunStageName = "authenticate"
	StageAssets          RunStageName = "assets"
	StageCatalogue       RunStageName = "catalogue"
	StageVulnerabilities RunStageName = "vulnerabilities"
	StageFinish          RunStageName = "finish"
	StagePurge           RunStageName = "purge"
)

// RunStageState tells how far a stage is.
type RunStageState string

// The states of a stage. StageSkipped: it is not part of this run.
const (
	StagePending   RunStageState = "pending"
	StageRunning   RunStageState = "running"
	StageSucceeded RunStageState = "succeeded"
	StageFailed    RunStageState = "failed"
	StageCancelled RunStageState = "cancelled"
	StageSkipped   RunStageState = "skipped"
)

// PGPJobStatus is PGP's word for the state of a run.
type PGPJobStatus string

// PGP's words: queued, running, passed, failed.
const (
	PGPJobQueued  PGPJobStatus = "JQ"
	PGPJobRunning PGPJobStatus = "JR"
	PGPJobPassed  PGPJobStatus = "JP"
	PGPJobFailed  PGPJobStatus = "JF"
)

// SignInMethod is how an application proves itself to Microsoft.
type SignInMethod string

// The methods. A federated sign-in needs nothing secret: the directory trusts this service's own identity.
const (
	SignInClientSecret SignInMethod = "client_secret"
	SignInCertificate  SignInMethod = "certificate"
	SignInFederated    SignInMethod = "federated"
)

// FormInput is how to draw a form field.
type FormInput string

// The kinds of form fields.
const (
	InputText     FormInput = "text"
	InputTextarea FormInput = "textarea" // several lines; hidden like a password where the field is secret
	InputPassword FormInput = "password"
	InputCheckbox FormInput = "checkbox"
	InputSelect   FormInput = "select"
)
