package syncer

import (
	"maps"
	"strings"
	"testing"
)

func TestMachinesAreFoundByTheirID(t *testing.T) {
	t.Parallel()
	usual, odd := strings.Repeat("0a1b", 10), "not-hexadecimal"
	x := newMachineIndex()
	x.add(usual, 3)
	x.add(odd, 4)
	for id, want := range map[string]int32{usual: 3, strings.ToUpper(usual): 3, " " + usual + "\n": 3, odd: 4, "NOT-hexadecimal ": 4} {
		if got, ok := x.find(id); !ok || got != want {
			t.Errorf("%q is %d %v, want %d", id, got, ok, want)
		}
	}
	for _, id := range []string{"", usual[1:], usual + "0", strings.Repeat("z", 40), strings.Repeat("0a1c", 10)} {
		if got, ok := x.find(id); ok {
			t.Errorf("%q is %d", id, got)
		}
	}
	if got := maps.Collect(x.all()); !maps.Equal(got, map[string]int32{usual: 3, odd: 4}) {
		t.Errorf("all: %v", got)
	}
}
