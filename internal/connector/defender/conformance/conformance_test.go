package conformance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// lastStatement is the highest number of the list in the simulator's README.
const lastStatement = 74

// kind tells whether a double may differ.
type kind string

const (
	strict   kind = "strict"   // documented by Microsoft or seen in a recording
	optional kind = "optional" // an assumption, or one of several variants: a double should be able to do it
)

// statement is one line of the list.
type statement struct {
	number int
	title  string // short words; part of the subtest's name
	kind   kind
	check  func(t *testing.T, d *double)
}

// statements are all lines that are checked, in no particular order.
var statements = slices.Concat(entraStatements, entraRefusalStatements, entraModeStatements, apiStatements, machineStatements,
	vulnerabilityStatements, exportStatements, cloudStatements)

// TestConformance has one subtest per statement, named by its number, so that -run 'TestConformance/30_' picks one.
func TestConformance(t *testing.T) {
	byNumber := map[int]statement{}
	for _, s := range statements {
		if _, twice := byNumber[s.number]; twice || s.number < 1 || s.number > lastStatement {
			t.Errorf("statement %d %q is there twice, or not in the list", s.number, s.title)
		}
		byNumber[s.number] = s
	}
	for number := 1; number <= lastStatement; number++ {
		s, checked := byNumber[number]
		if !checked {
			t.Errorf("statement %d has no check", number)
			continue
		}
		t.Run(fmt.Sprintf("%02d_%s", number, strings.ReplaceAll(s.title, " ", "_")), func(t *testing.T) {
			t.Attr("kind", string(s.kind))
			s.check(t, connect(t))
		})
	}
}
