package defender

import (
	"testing"

	"pgp.internal/defender/internal/inventory"
)

func digestOf(d *identity, rows ...inventory.Row) uint64 {
	d.restart()
	for i := range rows {
		d.add(&rows[i])
	}
	return d.sum
}

func TestIdentityTellsPagesApart(t *testing.T) {
	t.Parallel()
	d := newIdentity()
	a := inventory.Row{MachineID: "1", CVE: "CVE-1", Vendor: "v", Product: "p", Version: "1"}
	b := inventory.Row{MachineID: "1", CVE: "CVE-2", Vendor: "v", Product: "p", Version: "1"}
	shifted := inventory.Row{MachineID: "1", CVE: "CVE-1", Vendor: "vp", Product: "", Version: "1"}
	swapped := inventory.Row{MachineID: "1", CVE: "CVE-1", Vendor: "p", Product: "v", Version: "1"}
	seen := map[uint64]int{}
	pages := [][]inventory.Row{{}, {a}, {b}, {shifted}, {swapped}, {a, b}, {b, a}, {a, a}, {a, a, a}, {{}}, {{}, {}}}
	for i, rows := range pages {
		sum := digestOf(d, rows...)
		if other, ok := seen[sum]; ok {
			t.Errorf("pages %d and %d have one digest", i, other)
		}
		seen[sum] = i
	}
	for i, rows := range pages {
		if seen[digestOf(d, rows...)] != i {
			t.Errorf("page %d has another digest when it is read again", i)
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	rows := make([]inventory.Row, 4000)
	for i := range rows {
		rows[i] = sampleRow(i).row()
	}
	d := newIdentity()
	b.ReportAllocs()
	for b.Loop() {
		digestOf(d, rows...)
	}
	b.ReportMetric(float64(len(rows)*b.N)/b.Elapsed().Seconds(), "rows/s")
}
