package postgres_test

import (
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
)

// TestRecordedStatementsCanBeRunAgain makes a page twice: by the store, and of what it told the recorder.
func TestRecordedStatementsCanBeRunAgain(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	var told []postgres.Statement
	ctx := postgres.Recording(t.Context(), func(s postgres.Statement) { told = append(told, s) })
	page, _, err := f.store.ListFindings(ctx, f.mine, inventory.FindingFilter{}, inventory.PageRequest{Limit: 3})
	if err != nil || len(page) != 3 || len(told) != 2 {
		t.Fatalf("%d findings, %d statements, %v", len(page), len(told), err)
	}
	instances := 0
	for i := range page {
		instances += len(page[i].Instances)
	}
	for i, want := range []int{3 + 1, instances} { // the page's statement reads one row more
		rows, err := f.owner.Query(told[i].Text, told[i].Args...)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for rows.Next() {
			got++
		}
		if err := rows.Err(); err != nil || got != want {
			t.Errorf("statement %d gives %d rows, want %d, %v", i, got, want, err)
		}
	}
}
