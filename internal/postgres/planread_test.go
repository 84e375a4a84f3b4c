package postgres_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

// planNode is a step of a plan as EXPLAIN tells it in JSON. Rows are those of one loop.
type planNode struct {
	Kind     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Rows     float64    `json:"Actual Rows"`
	Loops    float64    `json:"Actual Loops"`
	Filtered float64    `json:"Rows Removed by Filter"`
	Joined   float64    `json:"Rows Removed by Join Filter"`
	Recheck  float64    `json:"Rows Removed by Index Recheck"`
	Plans    []planNode `json:"Plans"`
}

// planCost is what a statement did. Steps give rows that they made or threw away in one loop, reads the rows that were
// taken from one table in all.
type planCost struct {
	step, read, sorted int
	whole              []string // tables of tenants that were read from end to end
	took               time.Duration
	plan               string
}

// inventoryTables have many rows of each tenant; integrations are so few that reading them all is right.
var inventoryTables = regexp.MustCompile(`^(finding|asset|asset_word|exposure|installation|location|remediation|run)($|_(t|shared_)\d+$)`)

func (c *planCost) add(n planNode) {
	if n.Loops == 0 {
		return
	}
	c.step = max(c.step, int(n.Rows), int(n.Filtered), int(n.Joined), int(n.Recheck))
	if n.Relation != "" && n.Relation != "integration" {
		c.read = max(c.read, int((n.Rows+n.Filtered+n.Recheck)*n.Loops))
	}
	if n.Kind == "Seq Scan" && inventoryTables.MatchString(n.Relation) {
		c.whole = append(c.whole, n.Relation)
	}
	for _, below := range n.Plans {
		if n.Kind == "Sort" || n.Kind == "Incremental Sort" {
			c.sorted = max(c.sorted, int(below.Rows*below.Loops))
		}
		c.add(below)
	}
}

// statements gives the queries that a read sends.
func statements(t *testing.T, read func(context.Context) error) (sent []postgres.Statement) {
	t.Helper()
	err := read(postgres.Recording(context.Background(), func(s postgres.Statement) { sent = append(sent, s) }))
	if err != nil || len(sent) == 0 {
		t.Fatalf("%d statements, %v", len(sent), err)
	}
	return sent
}

// measure runs a statement as the application would, behind those that choose settings for it, and tells what its plan did.
func (f inventoryFixture) measure(t *testing.T, id tenant.ID, s postgres.Statement, settings ...postgres.Statement) planCost {
	t.Helper()
	tx, err := f.owner.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec(fmt.Sprintf("set local app.tenant_id = '%d'; set local role defender_app; set local jit = off; set local max_parallel_workers_per_gather = 0; %s", id, s.Scope)); err != nil {
		t.Fatal(err)
	}
	for _, chosen := range settings {
		if _, err := tx.Exec(chosen.Text, chosen.Args...); err != nil {
			t.Fatal(err)
		}
	}
	cost := explained(t, tx, s.Text, s.Args...)
	if strings.HasPrefix(s.Text, "/* prepared */") {
		cost.worst(f.generic(t, tx, s))
	}
	return cost
}

// generic tells what the plan of a prepared statement does that knows none of its arguments, which the server may come to take for each call.
func (f inventoryFixture) generic(t *testing.T, tx *sql.Tx, s postgres.Statement) planCost {
	t.Helper()
	args := make([]string, len(s.Args))
	for i, a := range s.Args {
		var err error
		if args[i], err = postgres.Quoted(a); err != nil {
			t.Fatal(err)
		}
	}
	call := "execute looked_at"
	if len(args) > 0 {
		call += "(" + strings.Join(args, ", ") + ")"
	}
	if _, err := tx.Exec("set local plan_cache_mode = force_generic_plan; prepare looked_at as " + s.Text); err != nil {
		t.Fatalf("%v\n%s", err, s.Text)
	}
	cost := explained(t, tx, call)
	if _, err := tx.Exec("deallocate looked_at"); err != nil {
		t.Fatal(err)
	}
	return cost
}

// worst takes over from another plan what it does more of.
func (c *planCost) worst(other planCost) {
	if other.read > c.read || other.step > c.step || other.sorted > c.sorted || other.whole != nil {
		c.plan += "\nor\n" + other.plan
	}
	c.step, c.read, c.sorted = max(c.step, other.step), max(c.read, other.read), max(c.sorted, other.sorted)
	c.whole, c.took = append(c.whole, other.whole...), max(c.took, other.took)
}

// explained runs a statement and tells what its plan did.
func explained(t *testing.T, tx *sql.Tx, statement string, args ...any) planCost {
	t.Helper()
	var text []byte
	if err := tx.QueryRow("explain (analyze, timing off, format json) "+statement, args...).Scan(&text); err != nil {
		t.Fatalf("%v\n%s", err, statement)
	}
	var plans []struct {
		Plan planNode
		Took float64 `json:"Execution Time"`
	}
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 {
		t.Fatal(len(plans), err)
	}
	cost := planCost{took: time.Duration(plans[0].Took * float64(time.Millisecond)), plan: string(text)}
	cost.add(plans[0].Plan)
	return cost
}
