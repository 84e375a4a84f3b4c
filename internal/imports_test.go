// Package internal_test holds the arrows of docs/architecture.md.
package internal_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed lists every in-module import of production code. Commands may import anything and are not listed.
var allowed = map[string]string{
	"":                            "",
	"api":                         "",
	"migrations":                  "",
	"internal/fault":              "",
	"internal/seal":               "",
	"internal/tenant":             "internal/seal",
	"internal/inventory":          "internal/fault",
	"internal/connector":          "internal/fault internal/inventory internal/ratelimit internal/seal internal/tenant",
	"internal/envelope":           "internal/seal internal/tenant",
	"internal/kms":                "internal/envelope internal/fault internal/seal",
	"internal/kms/kmstest":        "",
	"internal/connector/defender": "internal/connector internal/fault internal/inventory internal/seal",
	"internal/connector/defender/conformance":       "",
	"internal/connector/defender/defendersim":       "internal/connector/defender/defendersim/world",
	"internal/connector/defender/defendersim/world": "",
	"internal/audit":                 "internal/tenant",
	"internal/ratelimit":             "",
	"internal/repeat":                "internal/tenant",
	"internal/job":                   "internal/fault internal/tenant",
	"internal/pagelog":               "internal/connector",
	"internal/offboarding":           "internal/audit internal/fault internal/job internal/pagelog internal/tenant",
	"internal/syncer":                "internal/audit internal/connector internal/fault internal/inventory internal/job internal/pagelog internal/tenant",
	"internal/postgres":              "internal/audit internal/connector internal/envelope internal/fault internal/inventory internal/job internal/repeat internal/seal internal/syncer internal/tenant migrations",
	"internal/postgres/postgrestest": "internal/audit internal/postgres internal/seal internal/tenant migrations",
	"internal/identity":              "internal/fault internal/tenant",
	"internal/httpapi":               "api internal/audit internal/connector internal/fault internal/identity internal/inventory internal/ratelimit internal/repeat internal/seal internal/syncer internal/tenant",
	"internal/metrics":               "internal/connector internal/connector/defender internal/fault internal/httpapi internal/inventory internal/job internal/kms internal/postgres internal/syncer",
	"internal/pgserver":              "",
	"internal/contract":              ".",
	"internal/secrethunt":            "",
}

func TestImportsRunOneWay(t *testing.T) {
	const module = "pgp.internal/defender"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		room := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		if strings.HasPrefix(room, "cmd/") || room == "internal" {
			continue
		}
		seen++
		may, known := allowed[room]
		if !known {
			t.Errorf("%s: a new room; give it a sentence in docs/architecture.md and a line here", room)
			continue
		}
		for _, imported := range strings.Fields(imports) {
			target, ours := strings.CutPrefix(imported, module)
			if target = strings.TrimPrefix(target, "/"); target == "" {
				target = "." // the contract
			}
			if ours && !slices.Contains(strings.Fields(may), target) {
				t.Errorf("%s must not import %s", room, target)
			}
		}
	}
	if seen < 15 {
		t.Fatalf("only %d packages seen", seen)
	}
}

// TestRoomsAvoidForeignTools keeps the technical libraries where they belong.
func TestRoomsAvoidForeignTools(t *testing.T) {
	const module = "pgp.internal/defender/"
	only := map[string][]string{
		"github.com/lib/pq":                                {"internal/postgres", "internal/postgres/postgrestest", "internal/pgserver"},
		"github.com/jmoiron/sqlx":                          {"internal/postgres"},
		"database/sql":                                     {"internal/postgres", "internal/postgres/postgrestest", "internal/pgserver", "internal/metrics", "internal/secrethunt"},
		"github.com/hashicorp/vault/api":                   {"internal/kms"},
		"github.com/aws/aws-sdk-go-v2/service/kms":         {"internal/kms"},
		"github.com/go-chi/chi/v5":                         {"internal/httpapi"},
		"github.com/golang-jwt/jwt/v5":                     {"internal/connector/defender", "internal/identity"},
		"github.com/go-jose/go-jose/v4":                    {"internal/connector/defender/defendersim", "internal/identity"},
		"github.com/Azure/azure-sdk-for-go/sdk/azidentity": {}, // in tests only
		"net/http": {"api", "internal/httpapi", "internal/identity", "internal/contract", "internal/connector/defender", "internal/connector/defender/defendersim", "internal/kms", "internal/kms/kmstest", "internal/secrethunt"},
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		room := strings.TrimPrefix(path, module)
		if strings.HasPrefix(room, "cmd/") {
			continue
		}
		for _, imported := range strings.Fields(imports) {
			if rooms, limited := only[imported]; limited && !slices.Contains(rooms, room) {
				t.Errorf("%s imports %s, which belongs in %v", room, imported, rooms)
			}
		}
	}
}
