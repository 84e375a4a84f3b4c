package defendersim_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// TestReadmeListsEverySwitch keeps the table of switches complete.
func TestReadmeListsEverySwitch(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := json.Marshal(defendersim.Switches{})
	if err != nil {
		t.Fatal(err)
	}
	var names map[string]any
	if err := json.Unmarshal(all, &names); err != nil || len(names) < 10 {
		t.Fatalf("%d switches, %v", len(names), err)
	}
	for name := range names {
		if !strings.Contains(string(text), "| `"+name+"` | ") {
			t.Errorf("the table of switches lacks %s", name)
		}
	}
}
