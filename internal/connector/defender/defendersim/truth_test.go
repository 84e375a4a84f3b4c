package defendersim_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// classify is a second, much simpler reading of vectors, good enough for the ordinary ones.
func classify(v map[string]any) string {
	vector, _ := v["cvssVector"].(string)
	for text, class := range map[string]string{"/AV:N/": "", "/AV:A/": "", "/AV:L/": "vector_local", "/AV:P/": "vector_physical"} {
		if strings.Contains(vector, text) {
			return class
		}
	}
	if v["severity"] == "High" || v["severity"] == "Critical" {
		return ""
	}
	return "vector_unknown"
}

// TestTruthMatchesContent recounts a directory of ordinary records from what the API delivers.
func TestTruthMatchesContent(t *testing.T) {
	h := start(t, func(c *defendersim.Config) {
		findings := 40
		c.NoQuotas, c.Directory.EdgeCases, c.Directory.Machines, c.Directory.FindingsPerMachine = true, new(bool), 200, &findings
	})
	token := h.token()
	class, severity := map[string]string{}, map[string]string{}
	list, _ := h.walk(token, "/api/vulnerabilities")
	for _, v := range list {
		class[v["id"].(string)] = classify(v)
		severity[v["id"].(string)], _ = v["severity"].(string)
	}
	rows, _ := h.walk(token, "/api/machines/SoftwareVulnerabilitiesByMachine?pageSize=1000")
	skipped, findings, cves, bySeverity := map[string]int{}, map[string]bool{}, map[string]bool{}, map[string]int{}
	accepted := 0
	for _, r := range rows {
		cve := r["cveId"].(string)
		if reason := class[cve]; reason != "" {
			skipped[reason]++
			continue
		}
		accepted++
		cves[cve] = true
		if key := r["deviceId"].(string) + cve; !findings[key] {
			findings[key] = true
			bySeverity[strings.ToLower(severity[cve])]++
		}
	}
	state, _ := h.State(dirID)
	truth := state.Truth()
	if truth.Machines.Accepted != 200 || truth.Rows.Fetched != len(rows) || truth.Rows.Accepted != accepted || truth.Findings.Total != len(findings) ||
		truth.Vulnerabilities != len(cves) {
		t.Errorf("truth %+v; recounted %d rows, %d accepted, %d findings, %d vulnerabilities", truth, len(rows), accepted, len(findings), len(cves))
	}
	if accepted == len(findings) {
		t.Error("no finding has two rows")
	}
	for reason, n := range skipped {
		if truth.Rows.Skipped[reason] != n {
			t.Errorf("%s: truth %d, recounted %d", reason, truth.Rows.Skipped[reason], n)
		}
	}
	for word, n := range bySeverity {
		if truth.Findings.BySeverity[word] != n {
			t.Errorf("%s: truth %d, recounted %d", word, truth.Findings.BySeverity[word], n)
		}
	}
}

// TestTruthCountsWhatIsDelivered checks the totals of a directory with edge cases against the wire, by both routes.
func TestTruthCountsWhatIsDelivered(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	state, _ := h.State(dirID)
	truth := state.Truth()
	machines, _ := h.walk(token, "/api/machines")
	rows, _ := h.walk(token, "/api/machines/SoftwareVulnerabilitiesByMachine")
	mapping, _ := h.walk(token, "/api/vulnerabilities/machinesVulnerabilities")
	if len(machines) != truth.Machines.Fetched || len(rows) != truth.Rows.Fetched || len(rows)-truth.Rows.Skipped["cve_missing"] != len(mapping) {
		t.Errorf("%d machines, %d rows, %d mapping rows; truth %+v", len(machines), len(rows), len(mapping), truth)
	}
	distinct := map[string]bool{}
	for _, id := range column(machines, "id") {
		distinct[id] = true
	}
	if len(machines)-len(distinct) != truth.Machines.Skipped["duplicate"] || truth.Machines.Skipped["duplicate"] != 2 {
		t.Errorf("%d ids come twice, truth says %d", len(machines)-len(distinct), truth.Machines.Skipped["duplicate"])
	}
	again, _ := h.walk(token, "/api/machines")
	a, _ := json.Marshal(machines)
	b, _ := json.Marshal(again)
	if string(a) != string(b) {
		t.Error("two pulls differ")
	}
}

func BenchmarkExportOverHTTP(b *testing.B) {
	findings := 40
	sim := defendersim.New(defendersim.Config{NoQuotas: true, Directory: &defendersim.DirectorySpec{ID: dirID, Machines: 5000,
		FindingsPerMachine: &findings, Apps: []defendersim.App{goodApp()}}})
	state, _ := sim.State(dirID)
	token := tokenFrom(b, sim)
	handler := sim.Handler()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/api/machines/SoftwareVulnerabilitiesByMachine?pageSize=200000", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := &discard{header: map[string][]string{}}
		handler.ServeHTTP(w, r)
		if w.status != 200 {
			b.Fatal(w.status)
		}
	}
	b.ReportMetric(float64(b.N*state.Truth().Rows.Fetched)/b.Elapsed().Seconds(), "rows/s")
}
