package httpapi_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	defenderspec "pgp.internal/defender"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// operation is what the document says about an operation, as far as tests are made from it.
type operation struct {
	id, method, path string
	role             tenant.Role // empty when open to everybody
	documents        []string    // statuses
	mediaType        string      // of the body; empty without one
	required         bool        // the body
}

func operations(t *testing.T) []operation {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(defenderspec.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	var ops []operation
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			op := operation{id: o.OperationID, method: method, path: path}
			if role, ok := o.Extensions["x-required-role"].(string); ok {
				op.role = tenant.Role(role)
			}
			for status := range o.Responses.Map() {
				op.documents = append(op.documents, status)
			}
			if o.RequestBody != nil {
				op.mediaType, op.required = "application/json", o.RequestBody.Value.Required
			}
			ops = append(ops, op)
		}
	}
	slices.SortFunc(ops, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	if len(ops) < 30 {
		t.Fatalf("only %d operations in the document", len(ops))
	}
	return ops
}

func (o operation) answers(status string) bool { return slices.Contains(o.documents, status) }

// at fills the path with ids of objects; it reports false if the path has none of a tenant's.
func (o operation) at(x objects) (path string, ofTenant bool) {
	id := map[string]string{
		"/v1/integrations/": x.integration, "/v1/runs/": x.run, "/v1/assets/": x.asset, "/v1/findings/": x.finding, "/v1/api-keys/": x.key,
	}
	for prefix, value := range id {
		if strings.HasPrefix(o.path, prefix+"{id}") {
			return strings.Replace(o.path, "{id}", value, 1), true
		}
	}
	if o.role == tenant.Platform { // which names tenants, and nothing of theirs
		return strings.Replace(o.path, "{id}", x.tenant, 1), false
	}
	path = strings.NewReplacer("{type}", "microsoft-defender", "{code}", "internal", "{cve}", x.vulnerability).Replace(o.path)
	return path, strings.Contains(o.path, "{cve}")
}

// request is a well-formed request of the operation.
func (o operation) request(x objects, key string) raw {
	path, _ := o.at(x)
	r := raw{method: o.method, path: path, key: key}
	if o.mediaType != "" {
		r.header = map[string]string{"Content-Type": o.mediaType}
		r.body = bodies[o.id]
	}
	return r
}

// bodies are acceptable bodies for the operations that take one; they change as little as possible.
var bodies = map[string]string{
	"connectIntegration": `{"type":"microsoft-defender","credentials":{"client_id":"5f0c7d1e-1b1a-4c55-9d3a-0f6c2f6f4b11",` +
		`"client_secret":"` + canary + `","tenant_id":"0c8a6a52-8f0e-4b8c-9a55-3f6d2d4a9e10"}}`,
	"updateIntegration":       `{"name":"Another name"}`,
	"rotateIntegrationSecret": `{"client_secret":"` + canary + `"}`,
	"approveHeldChange":       `{"kind":"assets","run_id":"run_00000000000000000000000000000001"}`,
	"startRun":                `{"mode":"full"}`,
	"createTenant":            `{"name":"Fabrikam"}`,
	"setEntitlements":         `{"internal_assessments":true,"max_assets":100}`,
	"updateTenant":            `{"state":"suspended"}`,
	"createAPIKey":            `{"name":"SIEM","role":"readonly"}`,
}

// nobody's objects: well-formed ids that no tenant has.
var nobodys = objects{
	integration: "int_00000000000000000000000000000001", run: "run_00000000000000000000000000000001",
	asset: "ast_00000000000000000000000000000001", finding: "fnd_00000000000000000000000000000001_1",
	key: "key_00000000000000000000000000000001", vulnerability: "CVE-1999-0001", tenant: "tnt_00000000000000000000000000000001",
}

// TestEverySkipReasonIsDocumented compares the open list in the contract with the rules.
func TestEverySkipReasonIsDocumented(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(string(defenderspec.OpenAPI), "Records not taken, by reason.")
	text, _, _ = strings.Cut(text, "additionalProperties")
	words := strings.FieldsFunc(text, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
	for _, r := range append(inventory.MachineReasons(), inventory.RowReasons()...) {
		if !slices.Contains(words, string(r)) {
			t.Errorf("%s is not in the contract", r)
		}
	}
}

// TestNamesAreThoseOfTheContract holds the rule for names against the document's pattern, character by character.
func TestNamesAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(defenderspec.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	pattern := regexp.MustCompile(doc.Components.Schemas["DisplayName"].Value.Pattern)
	for r := rune(0); r <= 0xffff; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		for _, name := range []string{string(r), "a" + string(r) + "b"} {
			if valid := tenant.ValidName(name); valid != pattern.MatchString(name) {
				t.Errorf("%U in %q: %v by the rule, %v by the contract", r, name, valid, !valid)
			}
		}
	}
}
