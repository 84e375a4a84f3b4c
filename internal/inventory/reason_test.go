package inventory

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// TestEveryReasonIsListed reads the constants from the source: a reason that is in no list is counted and documented
// nowhere.
func TestEveryReasonIsListed(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	listed, found := append(MachineReasons(), RowReasons()...), 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if kind, typed := spec.Type.(*ast.Ident); !ok || !typed || kind.Name != "Reason" {
			return true
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		reason, times := Reason(text), 0
		for _, l := range listed {
			if l == reason {
				times++
			}
		}
		want := 1
		if slices.Contains([]Reason{Accepted, Removed, ImportVulnerabilitiesOff}, reason) {
			want = 0
		}
		if reason == Unreadable { // of machines and of rows
			want = 2
		}
		if times != want {
			t.Errorf("%q is listed %d times, want %d", reason, times, want)
		}
		found += want
		return true
	})
	if found != len(listed) {
		t.Errorf("%d reasons in the source, %d are listed", found, len(listed))
	}
}
