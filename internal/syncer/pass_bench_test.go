package syncer

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgp.internal/defender/internal/inventory"
)

// BenchmarkPass measures what a row costs between the decoder and the spool, and BenchmarkSpool what it costs to get it
// back in order and grouped.
func BenchmarkPass(b *testing.B) {
	rows := benchmarkRows(2_000, 90)
	b.ReportAllocs()
	for b.Loop() {
		p := benchmarkPass(b, 2_000)
		for from := 0; from < len(rows); from += 1_000 {
			if err := p.take(b.Context(), rows[from:min(len(rows), from+1_000)]); err != nil {
				b.Fatal(err)
			}
			p.pending = p.pending[:0]
		}
		if err := p.close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkSpool(b *testing.B) {
	rows := benchmarkRows(20_000, 90)
	b.ReportAllocs()
	var g grouping
	for b.Loop() {
		b.StopTimer()
		p := benchmarkPass(b, 20_000)
		for from := 0; from < len(rows); from += 1_000 {
			if err := p.take(b.Context(), rows[from:min(len(rows), from+1_000)]); err != nil {
				b.Fatal(err)
			}
			p.pending = p.pending[:0]
		}
		b.StartTimer()
		findings := 0
		err := p.rows.each(func(int32) bool { return true }, func(_ int32, rows []spooledRow) error {
			g.begin(StagedAsset{})
			g.take(rows)
			findings += len(g.findings)
			return nil
		})
		if err != nil || findings == 0 {
			b.Fatal(err, findings)
		}
		if err := p.close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "rows/s")
}

func benchmarkPass(b *testing.B, machines int) *pass {
	c := newCensus(inventory.NewJudge(inventory.DefaultSettings(), time.Now()), newSkipList())
	for i := range machines {
		c.byID.add(machineName(i), int32(i))
		c.entries = append(c.entries, entry{reason: inventory.Accepted})
	}
	p, err := newPass(&execution{Syncer: &Syncer{store: numbers{}, spoolFile: unnamedFile}, skipped: c.skipped}, &StageReport{publish: func() {}}, c, false)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// numbers is the part of the store that a pass needs.
type numbers struct{ Store }

func (numbers) SoftwareIDs(_ context.Context, software []Software) ([]int32, error) {
	ids := make([]int32, len(software))
	for i := range ids {
		ids[i] = int32(len(software[i].Product)*1000 + len(software[i].Version) + i + 1)
	}
	return ids, nil
}

func (numbers) KnownVulnerabilities(_ context.Context, names []string) ([]inventory.Vulnerability, error) {
	known := make([]inventory.Vulnerability, len(names))
	for i := range known {
		known[i] = inventory.Vulnerability{ID: int32(i + 1), Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Score: 7.5}
	}
	return known, nil
}

func machineName(i int) string { return fmt.Sprintf("%040x", i*7919) }

func benchmarkRows(machines, findings int) []inventory.Row {
	var rows []inventory.Row
	seen := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	paths := []string{`C:\Program Files\Contoso\app\app.exe`}
	for m := range machines {
		for f := range findings {
			software := (m + f/4) % 300
			rows = append(rows, inventory.Row{
				MachineID: machineName(m), CVE: fmt.Sprintf("CVE-2024-%05d", software*4+f%4), Vendor: "contoso",
				Product: fmt.Sprintf("product_%d", software), Version: fmt.Sprintf("1.2.%d.0", software), SeverityWord: "High", Score: 7.5,
				Exploitability: "NoExploit", UpdateText: "Contoso security update of November 2026", UpdateID: "5031356",
				UpdateURL: "https://catalog.update.contoso.example/Search.aspx?q=KB5031356", DiskPaths: paths,
				FirstSeen: seen.Add(time.Duration(m) * time.Minute), LastSeen: seen.AddDate(0, 5, 0),
			})
		}
	}
	return rows
}
