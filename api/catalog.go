package api

import (
	"context"
	"net/http"
)

// IntegrationType is something that can be connected.
type IntegrationType struct {
	Type        IntegrationTypeName `json:"type"`
	Name        string              `json:"name"`
	Category    string              `json:"category"`
	Description string              `json:"description"`
	LogoURL     string              `json:"logo_url,omitempty"`
	DocsURL     string              `json:"docs_url"`
	Surface     Surface             `json:"surface"`
	Multiple    bool                `json:"multiple"`
	Permissions []Permission        `json:"permissions"`
	SetupSteps  []SetupStep         `json:"setup_steps"`
	Form        Form                `json:"form"`
	Federation  *Federation         `json:"federation,omitempty"`
	Capability  Capability          `json:"capability"`
}

// Permission is what has to be granted to the application at Microsoft.
type Permission struct {
	Name         string `json:"name"`
	API          string `json:"api"`
	Kind         string `json:"kind"`
	AdminConsent bool   `json:"admin_consent"`
	Reason       string `json:"reason"`
	RequiredFor  string `json:"required_for"`
}

// SetupStep is one thing to do at Microsoft.
type SetupStep struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	URL    string `json:"url,omitempty"`
}

// Form is the connect form: the JSON Schema of its body and its fields in the order to show them.
type Form struct {
	Schema map[string]any `json:"schema"`
	Fields []FormField    `json:"fields"`
}

// Federation is the identity that a directory has to trust for the method federated.
type Federation struct {
	Issuer   string `json:"issuer"`
	Subject  string `json:"subject"`
	Audience string `json:"audience"`
}

// FormField is one field of a form. Pointer is the JSON Pointer of the member that it fills, as in FieldError.
type FormField struct {
	Name                string          `json:"name"`
	Pointer             string          `json:"pointer"`
	Label               string          `json:"label"`
	Input               FormInput       `json:"input"`
	Required            bool            `json:"required"`
	Secret              bool            `json:"secret"`
	Default             any             `json:"default,omitempty"`
	Placeholder         string          `json:"placeholder,omitempty"`
	Pattern             string          `json:"pattern,omitempty"`
	Options             []string        `json:"options,omitempty"`
	When                *FieldCondition `json:"when,omitempty"`
	Help                string          `json:"help"`
	Recommended         bool            `json:"recommended"`
	RequiresEntitlement string          `json:"requires_entitlement,omitempty"`
}

// FieldCondition holds when the member at Pointer has a value; its own default counts when it is not filled in.
type FieldCondition struct {
	Pointer string `json:"pointer"`
	Equals  string `json:"equals"`
}

// Capability is an integration as PGP describes its capabilities.
type Capability struct {
	Name        string                `json:"name"`
	Title       string                `json:"title"`
	Description string                `json:"description"`
	Surface     Surface               `json:"surface"`
	Integration bool                  `json:"integration"`
	Parameters  []CapabilityParameter `json:"parameters"`
}

// CapabilityParameter is a parameter of a capability. PGP gives defaults as text whatever the type.
type CapabilityParameter struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Type        string   `json:"type"`
	Required    bool     `json:"required"`
	Default     string   `json:"default,omitempty"`
	Options     []string `json:"options,omitempty"`
}

// ListIntegrationTypesOptions filter the catalog. The zero value filters nothing.
type ListIntegrationTypesOptions struct {
	Category string
	Q        string // part of name or description
}

// ListIntegrationTypes lists what can be connected. Role: readonly.
func (c *Client) ListIntegrationTypes(ctx context.Context, o ListIntegrationTypesOptions) ([]IntegrationType, error) {
	q := newQuery()
	q.text("category", o.Category)
	q.text("q", o.Q)
	var out list[IntegrationType]
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/catalog/integrations", query: q}, &out)
	return out.Items, err
}

// GetIntegrationType reads one type with its form. Role: readonly.
func (c *Client) GetIntegrationType(ctx context.Context, name IntegrationTypeName) (*IntegrationType, error) {
	return get[IntegrationType](ctx, c, path("/v1/catalog/integrations/%s", string(name)))
}
