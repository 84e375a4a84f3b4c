package api

import "time"

// ConnectRequest says what to connect and how.
type ConnectRequest struct {
	Type        IntegrationTypeName `json:"type" validate:"required,oneof=microsoft-defender"`
	Name        *string             `json:"name,omitempty" validate:"omitnil,min=1,max=100,name"`
	Credentials CredentialsInput    `json:"credentials" validate:"required"`
	Settings    *SettingsInput      `json:"settings,omitempty" validate:"omitnil"`
	Schedule    *Schedule           `json:"schedule,omitempty" validate:"omitnil"`
	StartPaused *bool               `json:"start_paused,omitempty"`
}

// CredentialsInput is an application registered in the customer's directory. TenantID is the directory's id. The method, a
// client secret when nil, says which one of ClientSecret and Certificate goes with it; a federated sign-in needs neither.
type CredentialsInput struct {
	ClientID        string        `json:"client_id" validate:"required,max=64"`
	Method          *SignInMethod `json:"method,omitempty" validate:"omitnil,oneof=client_secret certificate federated"`
	ClientSecret    Secret        `json:"client_secret,omitempty" validate:"omitempty,min=1,max=256"`
	Certificate     Secret        `json:"certificate,omitempty" validate:"omitempty,min=1,max=32768"`
	TenantID        string        `json:"tenant_id" validate:"required,max=64"`
	SecretExpiresAt *time.Time    `json:"secret_expires_at,omitempty"`
}

// RotateSecretRequest is a new secret, certificate or method, and the application if that changes too; see CredentialsInput. With
// Stage it need not work yet: it waits beside the old one and takes over once it does.
type RotateSecretRequest struct {
	ClientID        *string       `json:"client_id,omitempty" validate:"omitnil,min=1,max=64"`
	Method          *SignInMethod `json:"method,omitempty" validate:"omitnil,oneof=client_secret certificate federated"`
	ClientSecret    Secret        `json:"client_secret,omitempty" validate:"omitempty,min=1,max=256"`
	Certificate     Secret        `json:"certificate,omitempty" validate:"omitempty,min=1,max=32768"`
	SecretExpiresAt *time.Time    `json:"secret_expires_at,omitempty"`
	Stage           *bool         `json:"stage,omitempty"`
}

// SettingsInput says what to import. What is nil has its default on connecting and stays as it is in a patch; an empty list is a value.
type SettingsInput struct {
	ImportAssets           *bool              `json:"import_assets,omitempty"`
	ImportVulnerabilities  *bool              `json:"import_vulnerabilities,omitempty"`
	MinSeverity            *Severity          `json:"min_severity,omitempty" validate:"omitnil,oneof=low medium high critical"`
	AttackVectors          []AttackVector     `json:"attack_vectors,omitzero" validate:"omitnil,min=1,max=4,dive,oneof=network adjacent local physical"`
	UnknownVector          *UnknownVectorRule `json:"unknown_vector,omitempty" validate:"omitnil,oneof=include exclude include_if_severe"`
	ExcludeUserInteraction *bool              `json:"exclude_user_interaction,omitempty"`
	MaxAgeDays             *int               `json:"max_age_days,omitempty" validate:"omitnil,min=1,max=180"`
	RequireFQDN            *bool              `json:"require_fqdn,omitempty"`
	AllowUnderscore        *bool              `json:"allow_underscore,omitempty"`
	IncludeDiscovered      *bool              `json:"include_discovered,omitempty"`
	DeviceGroups           []string           `json:"device_groups,omitzero" validate:"omitnil,max=50,dive,min=1,max=200,nocontrol"`
	TagsInclude            []string           `json:"tags_include,omitzero" validate:"omitnil,max=50,dive,min=1,max=200,nocontrol"`
	TagsExclude            []string           `json:"tags_exclude,omitzero" validate:"omitnil,max=50,dive,min=1,max=200,nocontrol"`
	IPDeny                 []string           `json:"ip_deny,omitzero" validate:"omitnil,max=100,dive,max=49,ip|cidr"`
}

// Schedule says when runs start by themselves: every so many hours, 1 to 168.
type Schedule struct {
	IntervalHours int `json:"interval_hours" validate:"required,min=1,max=168"`
}

// IntegrationPatch is a merge patch (RFC 7396): what is nil stays as it is.
type IntegrationPatch struct {
	Name        *string           `json:"name,omitempty" validate:"omitnil,min=1,max=100,name"`
	Credentials *CredentialsPatch `json:"credentials,omitempty" validate:"omitnil"`
	Settings    *SettingsInput    `json:"settings,omitempty" validate:"omitnil"`
	Schedule    *Schedule         `json:"schedule,omitempty" validate:"omitnil"`
}

// CredentialsPatch corrects what was said of the credentials in use.
type CredentialsPatch struct {
	SecretExpiresAt *time.Time `json:"secret_expires_at,omitempty"`
}

// Settings is what an integration imports.
type Settings struct {
	ImportAssets           bool              `json:"import_assets"`
	ImportVulnerabilities  bool              `json:"import_vulnerabilities"`
	MinSeverity            Severity          `json:"min_severity"`
	AttackVectors          []AttackVector    `json:"attack_vectors"`
	UnknownVector          UnknownVectorRule `json:"unknown_vector"`
	ExcludeUserInteraction bool              `json:"exclude_user_interaction"`
	MaxAgeDays             int               `json:"max_age_days"`
	RequireFQDN            bool              `json:"require_fqdn"`
	AllowUnderscore        bool              `json:"allow_underscore"`
	IncludeDiscovered      bool              `json:"include_discovered"`
	DeviceGroups           []string          `json:"device_groups"`
	TagsInclude            []string          `json:"tags_include"`
	TagsExclude            []string          `json:"tags_exclude"`
	IPDeny                 []string          `json:"ip_deny"`
}

// EffectiveSettings says which imports really take place, after entitlements.
type EffectiveSettings struct {
	ImportAssets          bool `json:"import_assets"`
	ImportVulnerabilities bool `json:"import_vulnerabilities"`
}

// Credentials is the application in the customer's directory, without its secret.
type Credentials struct {
	TenantID        string             `json:"tenant_id"`
	ClientID        string             `json:"client_id"`
	Method          SignInMethod       `json:"method"`
	SecretHint      string             `json:"secret_hint,omitempty"`
	SecretUpdatedAt time.Time          `json:"secret_updated_at,omitzero"`
	SecretExpiresAt time.Time          `json:"secret_expires_at,omitzero"`
	SecretExpiredAt time.Time          `json:"secret_expired_at,omitzero"`
	Staged          *StagedCredentials `json:"staged,omitempty"`
}

// StagedCredentials wait to take the place of those in use. LastProblem is what trying them met.
type StagedCredentials struct {
	ClientID      string       `json:"client_id"`
	Method        SignInMethod `json:"method"`
	Hint          string       `json:"hint,omitempty"`
	StagedAt      time.Time    `json:"staged_at"`
	ExpiresAt     time.Time    `json:"expires_at,omitzero"`
	LastCheckedAt time.Time    `json:"last_checked_at,omitzero"`
	LastProblem   *Explanation `json:"last_problem,omitempty"`
}

// PGPIntegration is how PGP names an integration.
type PGPIntegration struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Key   string `json:"key"`
}

// IntegrationCounts is what is in store for an integration now.
type IntegrationCounts struct {
	Assets       int64 `json:"assets"`
	OpenFindings int64 `json:"open_findings"`
}

// Integration is a connection to a customer's Defender directory. Validation is there only in answers to calls that made checks.
type Integration struct {
	ID                string               `json:"id"`
	Type              IntegrationTypeName  `json:"type"`
	Name              string               `json:"name"`
	PGP               PGPIntegration       `json:"pgp"`
	Credentials       Credentials          `json:"credentials"`
	Settings          Settings             `json:"settings"`
	EffectiveSettings EffectiveSettings    `json:"effective_settings"`
	BlockedBy         []string             `json:"blocked_by"`
	State             IntegrationState     `json:"state"`
	StateReason       *Explanation         `json:"state_reason,omitempty"`
	Warnings          []IntegrationWarning `json:"warnings"`
	Schedule          Schedule             `json:"schedule"`
	LastRun           *RunRef              `json:"last_run,omitempty"`
	LastSuccessAt     time.Time            `json:"last_success_at,omitzero"`
	NextRunAt         time.Time            `json:"next_run_at,omitzero"`
	Counts            IntegrationCounts    `json:"counts"`
	Validation        *Validation          `json:"validation,omitempty"`
	ETag              string               `json:"etag"`
	CreatedAt         time.Time            `json:"created_at"`
	UpdatedAt         time.Time            `json:"updated_at"`
}

// IntegrationWarning is something that needs attention before it becomes trouble, such as a secret about to expire, or what the last
// run could not read. ExpiresAt and DaysLeft are set where something expires.
type IntegrationWarning struct {
	Code      string    `json:"code"`
	Title     string    `json:"title"`
	Detail    string    `json:"detail"`
	Remedy    string    `json:"remedy"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	DaysLeft  *int      `json:"days_left,omitempty"`
}

// IntegrationPreview is what connecting would create.
type IntegrationPreview struct {
	Type              IntegrationTypeName `json:"type"`
	Name              string              `json:"name"`
	PGP               PGPIntegration      `json:"pgp"`
	Credentials       Credentials         `json:"credentials"`
	Settings          Settings            `json:"settings"`
	EffectiveSettings EffectiveSettings   `json:"effective_settings"`
	BlockedBy         []string            `json:"blocked_by"`
	Schedule          Schedule            `json:"schedule"`
	Validation        Validation          `json:"validation"`
}
