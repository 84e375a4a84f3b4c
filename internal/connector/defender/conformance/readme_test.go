package conformance_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestReadmeListsEveryStatement keeps the list that others read equal to what is checked.
func TestReadmeListsEveryStatement(t *testing.T) {
	text, err := os.ReadFile("../defendersim/README.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[int]kind{}
	for _, s := range statements {
		kinds[s.number] = s.kind
	}
	next := 1
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (\w+) \| .+ \|$`).FindAllStringSubmatch(string(text), -1) {
		number, err := strconv.Atoi(row[1])
		if err != nil || number != next {
			t.Fatalf("row %q, want statement %d", row[0], next)
		}
		if want, checked := kinds[number]; checked && row[2] != string(want) {
			t.Errorf("statement %d is %s in the list and %s in the suite", number, row[2], want)
		}
		next++
	}
	if next != lastStatement+1 {
		t.Errorf("the list ends at %d", next-1)
	}
}
