package httpapi

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
)

func (s *server) listIntegrationTypes(w http.ResponseWriter, r *http.Request) error {
	p := readQuery(r)
	category := p.text("category", 1, 100)
	text := strings.ToLower(p.text("q", 2, 100))
	if err := p.err(); err != nil {
		return err
	}
	var found []connector.Description
	for _, d := range s.Integrations.Catalogue() {
		about := strings.ToLower(d.Name + "\n" + d.Description)
		if (category == "" || d.Category == category) && strings.Contains(about, text) {
			found = append(found, d)
		}
	}
	return answerTagged(w, r, page(found, "", s.integrationType))
}

func (s *server) getIntegrationType(w http.ResponseWriter, r *http.Request) error {
	d, err := s.Integrations.Describe(connector.Kind(chi.URLParam(r, "type")))
	if err != nil {
		return err
	}
	return answerTagged(w, r, s.integrationType(&d))
}

func (s *server) integrationType(d *connector.Description) api.IntegrationType {
	return api.IntegrationType{
		Type: api.IntegrationTypeName(d.Kind), Name: d.Name, Category: d.Category, Description: d.Description,
		LogoURL: d.LogoURL, DocsURL: d.DocsURL, Surface: api.Surface(d.Surface), Multiple: d.Multiple,
		Permissions: each(d.Permissions, permission), SetupSteps: each(d.SetupSteps, setupStep),
		Form:       api.Form{Schema: s.docs.connectSchema, Fields: each(d.Fields, formField)},
		Federation: federation(d.Federation),
		Capability: capability(d),
	}
}

func federation(t *connector.Trust) *api.Federation {
	if t == nil {
		return nil
	}
	return &api.Federation{Issuer: t.Issuer, Subject: t.Subject, Audience: t.Audience}
}

func permission(p *connector.Permission) api.Permission {
	return api.Permission{
		Name: p.Name, API: p.Resource, Kind: p.Kind, AdminConsent: p.Kind == "application", Reason: p.Description, RequiredFor: p.NeededFor,
	}
}

// setupStep splits a step at its first sentence: what to do, and then how.
func setupStep(text *string) api.SetupStep {
	title, detail, _ := strings.Cut(*text, ". ")
	return api.SetupStep{Title: strings.TrimSuffix(title, "."), Detail: detail}
}

func formField(f *connector.FormField) api.FormField {
	segments := strings.Split(f.Name, ".")
	var when *api.FieldCondition
	if f.When != nil {
		when = &api.FieldCondition{Pointer: fieldPointer(f.When.Field), Equals: f.When.Equals}
	}
	return api.FormField{
		Name: segments[len(segments)-1], Pointer: fieldPointer(f.Name), Options: f.Options, When: when, Label: f.Label, Input: api.FormInput(f.Input),
		Required: f.Required, Secret: f.Secret, Default: f.Default, Placeholder: f.Placeholder, Pattern: f.Pattern, Help: f.Help,
		Recommended: f.Recommended, RequiresEntitlement: f.Requires,
	}
}

// fieldPointer is a field's name as a JSON Pointer.
func fieldPointer(name string) string { return "/" + strings.ReplaceAll(name, ".", "/") }

func capability(d *connector.Description) api.Capability {
	c := d.Capability
	return api.Capability{
		Name: c.Name, Title: c.Title, Description: d.Description, Surface: api.Surface(c.Surface), Integration: c.Integration,
		Parameters: each(c.Parameters, func(p *connector.Parameter) api.CapabilityParameter {
			return api.CapabilityParameter{
				Name: p.Name, Description: p.Description, Type: p.Type, Required: p.Required, Default: p.Default, Options: p.Options,
			}
		}),
	}
}
