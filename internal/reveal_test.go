package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// revealing lists who takes the text out of a secret, file by file, with how often. Whoever adds a place says here why the text
// goes no further.
var revealing = map[string]int{
	"cmd/defenderd/admit.go":                         1, // a new API key, into its file
	"cmd/defenderd/apikey.go":                        1, // a new API key, which the command shows
	"cmd/defenderd/demo_stage.go":                    1, // the demo's own API key, into its state
	"internal/httpapi/account.go":                    1, // a new API key, in the answer that shows it
	"internal/httpapi/auth.go":                       1, // a token, to be verified
	"internal/httpapi/limits.go":                     1, // a credential, to be hashed
	"internal/httpapi/repeats.go":                    1, // a new API key, to be sealed for a repeated request
	"internal/tenant/apikey.go":                      2, // its form, and its last four characters
	"internal/tenant/keyseals.go":                    2, // a key, and its digest, to be hashed
	"cmd/defenderbench/service.go":                   1, // a new keyring for the service that is measured
	"cmd/defenderd/demo_state.go":                    1, // a new keyring for the demo
	"cmd/defenderd/force.go":                         1, // to the database
	"cmd/defenderd/internal/config/reader.go":        1, // to look at sslmode
	"cmd/defenderd/keyring.go":                       1, // a new key, which the command is for
	"cmd/defenderd/migrate.go":                       4, // to the database
	"cmd/defenderd/operator.go":                      1, // to the database
	"cmd/defenderd/serve.go":                         1, // to the database
	"cmd/defenderd/service.go":                       1, // to the database
	"internal/connector/check.go":                    1, // its last three characters are the hint
	"internal/connector/defender/connector.go":       1, // to tell whether it is a GUID, and the end of a certificate's thumbprint
	"internal/connector/defender/grant.go":           2, // to Entra ID
	"internal/connector/defender/shape.go":           1, // to check its form
	"internal/httpapi/keptanswer.go":                 1, // the answer to a request that is repeated
	"internal/httpapi/integrations.go":               2, // from the request's type to the service's
	"internal/kms/aws.go":                            1, // a data key, to be wrapped
	"internal/kms/vault.go":                          1, // a data key, to be wrapped
	"internal/postgres/postgrestest/postgrestest.go": 1, // a keyring for tests
	"internal/seal/datakey.go":                       2, // to the cipher
	"internal/seal/derive.go":                        1, // to the derivation
	"internal/seal/seal.go":                          1, // to the cipher
	"internal/seal/secret.go":                        3, // to compare
}

// TestWhoRevealsSecrets notices a new caller of the one method that gives a secret's text.
func TestWhoRevealsSecrets(t *testing.T) {
	found := map[string]int{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Reveal" { // called, or handed on
				found[filepath.ToSlash(strings.TrimPrefix(path, "../"))]++
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if found[name] != revealing[name] {
			t.Errorf("%s reveals %d secrets, %d are known", name, found[name], revealing[name])
		}
	}
	for name := range revealing {
		if found[name] == 0 {
			t.Errorf("%s reveals none any more", name)
		}
	}
}

// TestThePageTellsHowManyMayReveal keeps the figure of the page about security true.
func TestThePageTellsHowManyMayReveal(t *testing.T) {
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("`TestWhoRevealsSecrets` | %d files may |", len(revealing)); !strings.Contains(string(page), want) {
		t.Errorf("docs/security.md does not say %q", want)
	}
}
