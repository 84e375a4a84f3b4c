package postgres

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	tenantTable = regexp.MustCompile(`(?i)\b(?:from|join|update|into|using)\s+(?:only\s+)?(integration|run|job|asset|asset_word|finding|installation|location|remediation|exposure|finding_event|asset_tally|exposure_tally|api_key|entitlement|run_skipped|reconciliation|idempotency|tenant_key|audit_event|audit_head)\b`)

	// tenantTerm is a condition on the tenant, or the columns that a value for it is among; to select it is neither.
	tenantTerm = regexp.MustCompile(`(?i)\btenant_id\s*=|=\s*any\s*\(\s*\w*\.?tenant_id|\btenant_id\s+in\b|using\s*\(\s*tenant_id\b|\binto\s+\w+(?:\s+as\s+\w+)?\s*\([^()]*\btenant_id\b`)
)

// acrossTenants are the statements that look at many tenants on purpose, by a piece of their text: metrics, the queue, what is due and what is
// old. Row-level security keeps them to the tables meant for it; a database distributed by tenant asks each node.
var acrossTenants = []string{
	"as waiting,",                             // depth of the queue
	"from i group by state",                   // freshness of all integrations
	"(staged_box)) as b (box) where box is",   // keys that secrets are sealed with
	"api_key where revoked_at is null and ex", // keys that API keys are sealed with
	"with live as (",                          // jobs to claim
	"and holder = $1",                         // large jobs of a process
	"where i.next_run_at <= $1",               // runs to plan
	"where i.recheck_at <= $1",                // credentials to check
	"where i.purge_at <= $1",                  // what is kept no longer
	"where state = 'dead' and",                // old jobs
	"from finding_event where at",             // old events
	"r.finished_at < $1",                      // old runs
	"with near as (",                          // secrets that expire
	"union select tenant_id from audit_head",  // chains to verify
	"from tenant_key group by 1",              // data keys by what wraps them
	"order by tenant_id, public_id limit $4",  // API keys to seal anew
	"where (tenant_id, number) > ($1, $2)",    // data keys to unwrap and wrap anew
	"having count(*) = 1",                     // tenants whose data key is to be replaced
	"having count(*) > 1",                     // tenants whose data key was replaced
	"as header\n",                             // secrets to seal anew
	"from idempotency where created_at <",     // old answers
	"), stray as (",                           // boxes whose key was never in use
}

// beginnings are completed by conditions on the tenant wherever they are used.
var beginnings = []string{"i.staged_notice, i.settings,", "and i.id = r.integration_id) as integration_public,"}

// TestEveryStatementNamesTheTenant reads the SQL of this package: each mention of a table with tenants' data needs a
// condition on, or a value for, the tenant. Row-level security would keep tenants apart all the same; this is what lets
// partitions be pruned, and what a database distributed by tenant needs.
func TestEveryStatementNamesTheTenant(t *testing.T) {
	t.Parallel()
	seen := 0
	for where, text := range statementsOfPackage(t) {
		tables := tenantTable.FindAllString(text, -1)
		if len(tables) == 0 {
			continue
		}
		seen++
		if len(tenantTerm.FindAllString(text, -1)) >= len(tables) || containsAny(text, slices.Concat(acrossTenants, beginnings)) {
			continue
		}
		t.Errorf("%s: %d tables, %d conditions on tenant_id:\n%s", where, len(tables), len(tenantTerm.FindAllString(text, -1)), text)
	}
	if seen < 60 {
		t.Errorf("only %d statements were recognised", seen)
	}
}

func containsAny(text string, pieces []string) bool {
	for _, p := range pieces {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

// statementsOfPackage gives the string literals of the package, neighbours in a concatenation joined.
func statementsOfPackage(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files, texts := token.NewFileSet(), map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			if text, ok := literal(e); ok {
				texts[files.Position(e.Pos()).String()] = text
				return false
			}
			return true
		})
	}
	return texts
}

// literal joins what is constant in an expression.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		left, a := literal(e.X)
		right, b := literal(e.Y)
		return left + " " + right, e.Op == token.ADD && (a || b)
	case *ast.ParenExpr:
		return literal(e.X)
	}
	return "", false
}

// TestNoStatementSearchesAListForEachRow keeps out what PostgreSQL hashes only as long as it expects the list to fit its memory, and reads
// from end to end for each row beyond that. A join against what exists has no such end.
func TestNoStatementSearchesAListForEachRow(t *testing.T) {
	t.Parallel()
	list := regexp.MustCompile(`(?i)\bnot\s+in\s*\(\s*select\b|<>\s*all\s*\(\s*select\b`)
	for where, text := range statementsOfPackage(t) {
		if list.MatchString(text) {
			t.Errorf("%s: not in a list that is selected:\n%s", where, text)
		}
	}
}
