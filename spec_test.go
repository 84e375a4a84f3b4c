package defender_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	defender "pgp.internal/defender"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(defender.OpenAPI)
	if err != nil {
		t.Fatalf("load openapi.yaml: %v", err)
	}
	return doc
}

// operations calls check once for every operation of the document.
func operations(doc *openapi3.T, check func(name string, op *openapi3.Operation)) {
	for _, path := range doc.Paths.InMatchingOrder() {
		for method, op := range doc.Paths.Value(path).Operations() {
			check(method+" "+path, op)
		}
	}
}

func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	err := load(t).Validate(context.Background(), openapi3.EnableExamplesValidation())
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
}

func TestOperationsAreComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	operations(load(t), func(name string, op *openapi3.Operation) {
		if op.OperationID == "" || op.Summary == "" || op.Description == "" || len(op.Tags) == 0 {
			t.Errorf("%s: operationId, summary, description and tags are all needed", name)
		}
		if other, ok := seen[op.OperationID]; ok {
			t.Errorf("%s: operationId %s is taken by %s", name, op.OperationID, other)
		}
		seen[op.OperationID] = name
		for status, response := range op.Responses.Map() {
			for mediaType, content := range response.Value.Content {
				if content.Example == nil && len(content.Examples) == 0 {
					t.Errorf("%s: %s %s has no example", name, status, mediaType)
				}
			}
		}
	})
}

// Access is decided per operation, so an operation that forgets to say its role is a hole in the contract.
func TestOperationsSayWhoMayCallThem(t *testing.T) {
	t.Parallel()
	operations(load(t), func(name string, op *openapi3.Operation) {
		role, hasRole := op.Extensions["x-required-role"].(string)
		if op.Security != nil && len(*op.Security) == 0 {
			if hasRole || !strings.Contains(op.Description, "Open to everybody.") {
				t.Errorf("%s: an open operation says so and has no role", name)
			}
			return
		}
		if !slices.Contains([]string{"readonly", "analyst", "admin", "platform"}, role) {
			t.Errorf("%s: x-required-role is %q", name, role)
		}
		if !strings.Contains(op.Description, fmt.Sprintf("Role: %s.", role)) {
			t.Errorf("%s: the description does not name the role %s", name, role)
		}
		if op.Responses.Value("401") == nil {
			t.Errorf("%s: 401 is not documented", name)
		}
	})
}
