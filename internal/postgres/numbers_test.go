package postgres

import (
	"testing"

	"pgp.internal/defender/internal/inventory"
)

// TestNumbersInStatements holds the table in doc.go, which statements and stored rows rely on.
func TestNumbersInStatements(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ got, want []int8 }{
		"state": {numbersOf(inventory.FindingOpen, inventory.FindingFixed, inventory.FindingOutOfScope), []int8{1, 2, 3}},
		"severity": {
			numbersOf(inventory.SeverityUnknown, inventory.SeverityLow, inventory.SeverityMedium, inventory.SeverityHigh, inventory.SeverityCritical),
			[]int8{0, 1, 2, 3, 4},
		},
		"severity_source": {
			numbersOf(inventory.FromNothing, inventory.FromRowScore, inventory.FromScore, inventory.FromRow, inventory.FromVulnerable),
			[]int8{0, 1, 2, 3, 4},
		},
		"attack_vector": {
			numbersOf(inventory.VectorUnknown, inventory.VectorNetwork, inventory.VectorAdjacent, inventory.VectorLocal, inventory.VectorPhysical),
			[]int8{0, 1, 2, 3, 4},
		},
	} {
		for i := range c.want {
			if c.got[i] != c.want[i] {
				t.Errorf("%s: %v, statements have %v", name, c.got, c.want)
				break
			}
		}
	}
}

func numbersOf[T ~int8](values ...T) []int8 {
	out := make([]int8, len(values))
	for i, v := range values {
		out[i] = int8(v)
	}
	return out
}
