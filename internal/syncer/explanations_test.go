package syncer_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
)

// TestEveryExplanationIsDocumented reads the codes from the source, so that none is forgotten in the list.
func TestEveryExplanationIsDocumented(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "explanations.go", nil, 0)
	must(t, err)
	declared := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Explain") || len(spec.Values) != 1 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			code, err := strconv.Unquote(literal.Value)
			must(t, err)
			declared[code] = true
		}
		return true
	})
	for code := range declared {
		e, known := syncer.LookupExplanation(code)
		if !known || e.Title == "" || e.Detail == "" || e.Remedy == "" || e.Acts == "" {
			t.Errorf("%s: %+v", code, e)
		}
		if _, taken := fault.Lookup(code); taken {
			t.Errorf("%s is a fault as well", code)
		}
	}
	if len(declared) < 11 || len(syncer.Explanations()) != len(declared) {
		t.Errorf("%d codes, %d in the list", len(declared), len(syncer.Explanations()))
	}
}

// mustBeDocumented wants a code that Explain gave to be one that can be looked up, told by who has to act.
func mustBeDocumented(t *testing.T, n syncer.Notice) {
	t.Helper()
	e, explained := syncer.LookupExplanation(n.Code)
	d, failed := fault.Lookup(n.Code)
	switch {
	case !explained && !failed:
		t.Errorf("%s is documented nowhere", n.Code)
	case explained && (n.Title != e.Title || n.Remedy != e.Remedy || n.Acts != e.Acts || n.Detail == ""):
		t.Errorf("%+v, documented as %+v", n, e)
	case failed && n.Title != d.Title:
		t.Errorf("%+v, documented as %+v", n, d)
	}
}
