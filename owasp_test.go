package defender_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestContractKeepsTheRulesOfOWASP holds the document against the rules for OpenAPI that the OWASP API Security Top 10 (2023) has led
// to, by the names they have in Spectral's rule set for it. Left out is what limits answers: what PostgreSQL or Microsoft gave has
// the length it has. CORS is not offered, so no answer has its headers; RateLimit is on all answers and told of once, in the introduction.
func TestContractKeepsTheRulesOfOWASP(t *testing.T) {
	t.Parallel()
	for _, broken := range owaspFindings(load(t)) {
		t.Error(broken)
	}
}

// Each rule is seen to fail on a document that breaks it.
func TestRulesOfOWASPNoticeWhatBreaksThem(t *testing.T) {
	t.Parallel()
	at := func(doc *openapi3.T, path string) *openapi3.Operation { return doc.Paths.Value(path).Post }
	body := func(doc *openapi3.T) openapi3.Schemas {
		return at(doc, "/v1/api-keys").RequestBody.Value.Content["application/json"].Schema.Value.Properties
	}
	for rule, spoil := range map[string]func(doc *openapi3.T){
		"owasp:api2:2023-no-http-basic": func(doc *openapi3.T) { doc.Components.SecuritySchemes["apiKey"].Value.Scheme = "basic" },
		"owasp:api2:2023-no-api-keys-in-url": func(doc *openapi3.T) {
			*doc.Components.SecuritySchemes["apiKey"].Value = openapi3.SecurityScheme{Type: "apiKey", In: "query"}
		},
		"owasp:api2:2023-jwt-best-practices": func(doc *openapi3.T) { doc.Components.SecuritySchemes["token"].Value.Description = "A token." },
		"owasp:api2:2023-no-credentials-in-url": func(doc *openapi3.T) {
			at(doc, "/v1/api-keys").AddParameter(openapi3.NewQueryParameter("access_token").WithSchema(openapi3.NewUUIDSchema()))
		},
		"owasp:api2:2023-write-restricted": func(doc *openapi3.T) { at(doc, "/v1/api-keys").Security = &openapi3.SecurityRequirements{} },
		"owasp:api2:2023-read-restricted":  func(doc *openapi3.T) { doc.Paths.Value("/v1/summary").Get.Security = &openapi3.SecurityRequirements{} },
		"owasp:api1:2023-no-numeric-ids": func(doc *openapi3.T) {
			doc.Components.Parameters["RunID"].Value.Schema = openapi3.NewInt64Schema().NewRef()
		},
		"owasp:api3:2023-no-additionalProperties": func(doc *openapi3.T) {
			body(doc)["more"] = openapi3.NewObjectSchema().WithAnyAdditionalProperties().NewRef()
		},
		"owasp:api4:2023-rate-limit-responses-429": func(doc *openapi3.T) { at(doc, "/v1/api-keys").Responses.Delete("429") },
		"owasp:api4:2023-rate-limit-retry-after": func(doc *openapi3.T) {
			delete(at(doc, "/v1/api-keys").Responses.Value("429").Value.Headers, "Retry-After")
		},
		"owasp:api4:2023-array-limit": func(doc *openapi3.T) {
			body(doc)["list"] = openapi3.NewArraySchema().WithItems(openapi3.NewUUIDSchema()).NewRef()
		},
		"owasp:api4:2023-string-limit":  func(doc *openapi3.T) { body(doc)["text"] = openapi3.NewStringSchema().NewRef() },
		"owasp:api4:2023-integer-limit": func(doc *openapi3.T) { body(doc)["number"] = openapi3.NewInt32Schema().NewRef() },
		"owasp:api4:2023-integer-format": func(doc *openapi3.T) {
			body(doc)["number"] = openapi3.NewIntegerSchema().WithMin(0).WithMax(9).NewRef()
		},
		"owasp:api8:2023-define-error-responses-401": func(doc *openapi3.T) { at(doc, "/v1/api-keys").Responses.Delete("401") },
		"owasp:api8:2023-define-error-responses-500": func(doc *openapi3.T) { at(doc, "/v1/api-keys").Responses.Delete("500") },
		"owasp:api8:2023-define-error-validation": func(doc *openapi3.T) {
			at(doc, "/v1/api-keys").Responses.Delete("400")
			at(doc, "/v1/api-keys").Responses.Delete("422")
		},
		"owasp:api8:2023-no-scheme-http": func(doc *openapi3.T) { doc.Servers[0].URL = "http://defender.example" },
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			doc := load(t)
			spoil(doc)
			found := owaspFindings(doc)
			if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, rule+": ") }) {
				t.Errorf("not noticed; found %q", found)
			}
		})
	}
}

// owasp collects what breaks a rule, each with the rule's name in front.
type owasp struct{ found []string }

func (o *owasp) must(holds bool, rule, where string) {
	if !holds {
		o.found = append(o.found, rule+": "+where)
	}
}

func owaspFindings(doc *openapi3.T) []string {
	var o owasp
	for _, s := range doc.Servers {
		o.must(!strings.HasPrefix(s.URL, "http://"), "owasp:api8:2023-no-scheme-http", s.URL)
	}
	for name, s := range doc.Components.SecuritySchemes {
		o.must(!strings.EqualFold(s.Value.Scheme, "basic"), "owasp:api2:2023-no-http-basic", name)
		o.must(s.Value.Type != "apiKey" || s.Value.In == "header", "owasp:api2:2023-no-api-keys-in-url", name)
		o.must(s.Value.BearerFormat != "JWT" || strings.Contains(s.Value.Description, "RFC 8725"), "owasp:api2:2023-jwt-best-practices", name)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			o.operation(method+" "+path, method, op, slices.Concat(item.Parameters, op.Parameters))
		}
	}
	return o.found
}

// openReads are for everybody: what the service is, its contract, and what its problems mean.
var openReads = []string{"GET /v1/version", "GET /openapi.json", "GET /docs", "GET /problems", "GET /problems/{code}"}

func (o *owasp) operation(name, method string, op *openapi3.Operation, parameters openapi3.Parameters) {
	open := op.Security != nil && len(*op.Security) == 0
	has := func(status string) bool { return op.Responses.Value(status) != nil }
	if method == "GET" {
		o.must(open == slices.Contains(openReads, name), "owasp:api2:2023-read-restricted", name)
	} else {
		o.must(!open, "owasp:api2:2023-write-restricted", name)
	}
	if !open {
		o.must(has("401"), "owasp:api8:2023-define-error-responses-401", name)
		o.must(has("500"), "owasp:api8:2023-define-error-responses-500", name)
	}
	o.must(has("400") || has("422") || open, "owasp:api8:2023-define-error-validation", name)
	o.must(has("429") || open, "owasp:api4:2023-rate-limit-responses-429", name)
	if has("429") {
		o.must(op.Responses.Value("429").Value.Headers["Retry-After"] != nil, "owasp:api4:2023-rate-limit-retry-after", name)
	}
	for _, p := range parameters {
		o.parameter(name, p.Value)
	}
	if op.RequestBody != nil {
		for _, content := range op.RequestBody.Value.Content {
			o.input(name+" body", content.Schema.Value)
		}
	}
}

var credentialNames = regexp.MustCompile(`(?i)^(.*(token|secret|password|passphrase|credential).*|.*api.?key|authorization)$`)

func (o *owasp) parameter(name string, p *openapi3.Parameter) {
	where := fmt.Sprintf("%s %s %s", name, p.In, p.Name)
	if p.In != openapi3.ParameterInHeader {
		o.must(!credentialNames.MatchString(p.Name), "owasp:api2:2023-no-credentials-in-url", where)
	}
	if p.In == openapi3.ParameterInPath {
		o.must(!p.Schema.Value.Type.Is(openapi3.TypeInteger) && !p.Schema.Value.Type.Is(openapi3.TypeNumber), "owasp:api1:2023-no-numeric-ids", where)
	}
	s := p.Schema.Value
	if p.Name == "limit" { // whatever is more than the most is taken as the most
		o.must(s.Min != nil, "owasp:api4:2023-integer-limit", where)
		return
	}
	// A query ends with the URL, at 8 KiB, so a list of values in it needs no further end.
	if s.Type.Is(openapi3.TypeArray) {
		s = s.Items.Value
	}
	o.input(where, s)
}

// sized are formats whose values have an end, and patterns that have one are told by theirs.
var (
	sized   = []string{"uuid", "date-time", "date"}
	endless = regexp.MustCompile(`[*+]|,\}`)
)

// input is a value of a request, with all that it holds.
func (o *owasp) input(where string, s *openapi3.Schema) {
	switch {
	case s.Type.Is(openapi3.TypeString):
		patterned := strings.HasPrefix(s.Pattern, "^") && strings.HasSuffix(s.Pattern, "$") && !endless.MatchString(s.Pattern)
		o.must(s.MaxLength != nil || s.Enum != nil || slices.Contains(sized, s.Format) || patterned, "owasp:api4:2023-string-limit", where)
	case s.Type.Is(openapi3.TypeInteger), s.Type.Is(openapi3.TypeNumber):
		o.must(s.Min != nil && s.Max != nil, "owasp:api4:2023-integer-limit", where)
		o.must(s.Type.Is(openapi3.TypeNumber) || s.Format == "int32" || s.Format == "int64", "owasp:api4:2023-integer-format", where)
	case s.Type.Is(openapi3.TypeArray):
		o.must(s.MaxItems != nil, "owasp:api4:2023-array-limit", where)
		o.input(where+"[]", s.Items.Value)
	}
	o.must(s.AdditionalProperties.Schema == nil && (s.AdditionalProperties.Has == nil || !*s.AdditionalProperties.Has), "owasp:api3:2023-no-additionalProperties", where)
	for name, p := range s.Properties {
		o.input(where+"/"+name, p.Value)
	}
	for _, list := range []openapi3.SchemaRefs{s.AllOf, s.AnyOf, s.OneOf} {
		for _, part := range list {
			o.input(where, part.Value)
		}
	}
}
