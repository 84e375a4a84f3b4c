package audit_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	defender "pgp.internal/defender"
	"pgp.internal/defender/internal/audit"
)

// TestActionsAreThoseDeclaredAndDocumented reads the package's own source and the contract.
func TestActionsAreThoseDeclaredAndDocumented(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("action.go")
	if err != nil {
		t.Fatal(err)
	}
	var listed, declared, documented []string
	for _, a := range audit.Actions() {
		listed = append(listed, string(a))
	}
	for _, match := range regexp.MustCompile(`Action = "(.*)"`).FindAllSubmatch(source, -1) {
		declared = append(declared, string(match[1]))
	}
	doc, err := openapi3.NewLoader().LoadFromData(defender.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range doc.Components.Schemas["AuditAction"].Value.Enum {
		documented = append(documented, word.(string))
	}
	if len(listed) < 20 || !slices.Equal(listed, declared) || !slices.Equal(listed, documented) {
		t.Errorf("listed %v\ndeclared %v\ndocumented %v", listed, declared, documented)
	}
}
