package postgres_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// silent are the functions that change an audited table and record nothing themselves, with the reason why not.
var silent = map[string]string{
	"touchAPIKey": "last_used_at is no change that anybody made", "writeStaged": "UpdateIntegration records it",
	"insertIntegration": "CreateIntegration records it", "takeOver": "CreateIntegration records it", "insertRun": "who calls it records it; runs of the schedule are not events",
	"ScheduleDue": "runs of the schedule are not events", "endRunCancelled": "cancelling and disconnecting record it", "cancelRun": "CancelRun and CancelActiveRun record it",
	"ClaimRechecks": "plans a check", "PassExpiries": "notes what was told", "writeGuard": "work of a run", "PutKeyringCheck": "a start of the service",
	"BeginRun": "work of a run", "SaveProgress": "work of a run", "writeReading": "work of a run", "PutKEKCheck": "a start of the service", "RenewKEKCheck": "a check value, no key",
	"endRuns": "UpdateTenant and DeleteTenant record it", "shred": "DeleteTenant records it", "addPurged": "endTenant sums it up", "countPartition": "endTenant sums it up",
	"RequeueRun": "work of a run", "noteApplied": "work of a run", "bear": "FinishRun records it", "NoteWait": "nobody has changed anything",
}

var writesAudited = regexp.MustCompile(`(?i)\b(insert into|update|delete from)\s+(integration|api_key|tenant|entitlement|run|keyring_check|tenant_key)\b|select place_(apart|together)`)

// TestEveryStatementThatChangesSomethingIsRecorded reads the package's own source: a function with such a statement records
// an event, or stands in silent.
func TestEveryStatementThatChangesSomethingIsRecorded(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	writes, unused := 0, maps.Clone(silent)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !writesTo(f) {
				continue
			}
			writes++
			if _, excused := silent[f.Name.Name]; !excused && !calls(f, "record", "recordAll", "recordCancel", "replaceBox") {
				t.Errorf("%s: %s changes an audited table and records nothing", name, f.Name.Name)
			}
			delete(unused, f.Name.Name)
		}
	}
	if writes < 15 {
		t.Errorf("only %d functions seen", writes)
	}
	for _, name := range slices.Sorted(maps.Keys(unused)) {
		t.Errorf("%s is excused and changes nothing", name)
	}
}

func writesTo(f *ast.FuncDecl) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING && writesAudited.MatchString(text.Value) {
			found = true
		}
		return !found
	})
	return found
}

func calls(f *ast.FuncDecl, names ...string) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(names, s.Sel.Name) {
				found = true
			}
		}
		return !found
	})
	return found
}
