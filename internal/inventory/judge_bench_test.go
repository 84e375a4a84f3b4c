package inventory

import (
	"testing"
	"time"
)

func BenchmarkJudgeRow(b *testing.B) {
	j := NewJudge(DefaultSettings(), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	known := TraitsOf(&Vulnerability{Name: "CVE-2026-1", SeverityWord: "High", Score: 8.1, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"})
	row := Row{SeverityWord: "Critical", Score: 9.8, Exploitability: "ExploitIsPublic"}
	for name, traits := range map[string]Traits{"listed": known, "partial": PartialTraits()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				j.Row(traits, &row)
			}
		})
	}
}
